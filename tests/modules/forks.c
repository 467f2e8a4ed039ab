/* Methods that fork: each replies with its child's process id. Params name the call. */
#define _GNU_SOURCE
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t fork_barely(void)
{
    return (pid_t)syscall(SYS_fork);
}

static pid_t clone_barely(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

typedef pid_t forker(void);

/* The call that makes the child: params name it, or it is fork(3). */
static forker *asked(pillion_request *req)
{
    static const struct {
        const char *name;
        forker *call;
    } ways[] = {{"_Fork", _Fork}, {"SYS_fork", fork_barely}, {"SYS_clone", clone_barely}};
    const char *by = cJSON_GetStringValue(pillion_params(req));

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        if (by != NULL && strcmp(by, ways[i].name) == 0)
            return ways[i].call;
    }
    return fork;
}

/* Both processes answer and return. */
static void both(pillion_request *req)
{
    pid_t child = asked(req)();
    pillion_reply(req, "both", cJSON_CreateNumber(child));
}

/* The child returns without a word. */
static void mute(pillion_request *req)
{
    pid_t child = asked(req)();
    if (child != 0)
        pillion_reply(req, "mute", cJSON_CreateNumber(child));
}

/* The child stays for as long as it is left alone. */
static void stays(pillion_request *req)
{
    pid_t child = asked(req)();
    while (child == 0)
        pause();
    pillion_reply(req, "stays", cJSON_CreateNumber(child));
}

/* The child ends, as it ought to. */
static void ends(pillion_request *req)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    pillion_reply(req, "ends", cJSON_CreateNumber(child));
}

struct job {
    forker *call;
    pid_t child;
};

/* In a thread of the pool. */
static void work(void *data)
{
    struct job *job = data;
    job->child = job->call();
}

static void done(pillion_request *req, void *data)
{
    if (req != NULL)
        pillion_reply(req, "thread", cJSON_CreateNumber(((struct job *)data)->child));
    free(data);
}

static void thread(pillion_request *req)
{
    struct job *job = malloc(sizeof(*job));
    job->call = asked(req);
    pillion_offload(req, 10000, work, done, job);
}

static void due(pillion_instance *self, void *data)
{
    (void)self;
    work(data);
    free(data);
}

/* From a timer. */
static void timer(pillion_request *req)
{
    struct job *job = malloc(sizeof(*job));
    job->call = asked(req);
    pillion_timer(pillion_self(req), 0, 0, due, job);
    pillion_reply(req, "timer", cJSON_CreateTrue());
}

static const pillion_method methods[] = {
    {.name = "both", .handler = both},
    {.name = "mute", .handler = mute},
    {.name = "stays", .handler = stays},
    {.name = "ends", .handler = ends},
    {.name = "thread", .handler = thread},
    {.name = "timer", .handler = timer},
    {0},
};

PILLION_MODULE(.name = "forks", .version = "1.0.0", .methods = methods,
               .needs = PILLION_NEEDS_PROCESSES);
