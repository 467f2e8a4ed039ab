/* Methods that fork: each replies with its child's process id. */
#include <pillion/module.h>
#include <stdlib.h>
#include <unistd.h>

/* Both processes answer and return. */
static void both(pillion_request *req)
{
    pid_t child = fork();
    pillion_reply(req, "both", cJSON_CreateNumber(child));
}

/* The child returns without a word. */
static void mute(pillion_request *req)
{
    pid_t child = fork();
    if (child != 0)
        pillion_reply(req, "mute", cJSON_CreateNumber(child));
}

/* The child stays for as long as it is left alone. */
static void stays(pillion_request *req)
{
    pid_t child = fork();
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

/* In a thread of the pool. */
static void work(void *data)
{
    *(pid_t *)data = fork();
}

static void done(pillion_request *req, void *data)
{
    if (req != NULL)
        pillion_reply(req, "thread", cJSON_CreateNumber(*(pid_t *)data));
    free(data);
}

static void thread(pillion_request *req)
{
    pillion_offload(req, 10000, work, done, malloc(sizeof(pid_t)));
}

static void due(pillion_instance *self, void *data)
{
    (void)self;
    fork();
    (void)data;
}

/* From a timer. */
static void timer(pillion_request *req)
{
    pillion_timer(pillion_self(req), 0, 0, due, NULL);
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

PILLION_MODULE(.name = "forks", .version = "1.0.0", .methods = methods);
