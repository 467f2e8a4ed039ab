/* Harm that is done elsewhere than in a handler: params are {"where": …, "what": …, "ms": N}, where
 * is what is called, and what is the harm, after so many milliseconds (a hang in
 * `work` is at once, and has so many to be answered). The directive `early` does it in a timer that
 * no method has set. */
#include <errno.h>
#include <pillion/module.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

struct config {
    bool early;
};

static const pillion_directive directives[] = {
    {.name = "early", .type = PILLION_FLAG, .offset = offsetof(struct config, early)},
    {0},
};

/* A request that does harm, in its own memory. */
struct harm {
    pillion_instance *self;
    pillion_token token;
    char what[16];
    useconds_t us;
    int pipe[2];
};

static int deeper(volatile int depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    return depth > 1 << 30 ? page[0] : deeper(depth + 1) + page[0];
}

static void do_harm(const struct harm *harm)
{
    if (strcmp(harm->what, "hang") != 0)
        usleep(harm->us);
    if (strcmp(harm->what, "segv") == 0)
        *(volatile int *)(intptr_t)8 = 1;
    if (strcmp(harm->what, "overflow") == 0)
        deeper(0);
    if (strcmp(harm->what, "trap") == 0)
        __builtin_trap();
    if (strcmp(harm->what, "traced") == 0 && ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
        raise(SIGTRAP);
    if (strcmp(harm->what, "exit") == 0)
        exit(3);
    if (strcmp(harm->what, "_exit") == 0)
        _exit(4);
    if (strcmp(harm->what, "leave") == 0)
        pthread_exit(NULL);
    if (strcmp(harm->what, "abort") == 0)
        abort();
    for (volatile bool on = strcmp(harm->what, "hang") == 0; on;)
        usleep(1000);
}

static void answer(pillion_request *req)
{
    if (req != NULL)
        pillion_reply_raw(req, "done", pillion_params_raw(req));
}

static void works(void *data)
{
    do_harm(data);
}

static void naps(void *data)
{
    (void)data;
    usleep(1000);
}

static void worked(pillion_request *req, void *data)
{
    (void)data;
    answer(req);
}

static void harms_after(pillion_request *req, void *data)
{
    do_harm(data);
    answer(req);
}

static void called(pillion_instance *self, void *data)
{
    struct harm *harm = data;
    (void)self;
    do_harm(harm);
    answer(pillion_resume(harm->token));
}

static void resumed(pillion_instance *self, void *data)
{
    struct harm *harm = data;
    pillion_request *req = pillion_resume(harm->token);

    (void)self;
    do_harm(harm);
    answer(req);
}

static void seen(pillion_instance *self, int fd, unsigned events, void *data)
{
    (void)fd;
    (void)events;
    called(self, data);
}

static void cancelled(void *data)
{
    do_harm(data);
}

static void *posts(void *data)
{
    pillion_post(((struct harm *)data)->self, called, data);
    return NULL;
}

static void *thread(void *data)
{
    do_harm(data);
    return NULL;
}

/* As libraries do that want no signals in their threads. */
static void make_thread(void *(*run)(void *), void *data)
{
    sigset_t every, before;
    pthread_t id;

    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    if (pthread_create(&id, NULL, run, data) == 0)
        pthread_detach(id);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static const char *text(pillion_request *req, const char *name)
{
    const char *given =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(pillion_params(req), name));
    return given == NULL ? "" : given;
}

static void harm(pillion_request *req)
{
    struct harm *harm = pillion_alloc(req, sizeof(*harm));
    const cJSON *ms = cJSON_GetObjectItemCaseSensitive(pillion_params(req), "ms");
    const char *where = text(req, "where");

    *harm = (struct harm){.self = pillion_self(req)};
    strncpy(harm->what, text(req, "what"), sizeof(harm->what) - 1);
    harm->us = cJSON_IsNumber(ms) ? (useconds_t)ms->valuedouble * 1000 : 0;
    if (strcmp(where, "work") == 0) {
        pillion_offload(req, strcmp(harm->what, "hang") == 0 ? (uint64_t)harm->us / 1000 : 0, works,
                        worked, harm);
        return;
    }
    if (strcmp(where, "done") == 0) {
        pillion_offload(req, 0, naps, harms_after, harm);
        return;
    }
    if (strcmp(where, "handler") == 0) {
        do_harm(harm);
        answer(req);
        return;
    }
    harm->token = pillion_defer(req, strcmp(where, "cancel") == 0 ? 1 : 0);
    if (strcmp(where, "timer") == 0)
        pillion_timer(harm->self, 1, 0, called, harm);
    else if (strcmp(where, "resumed") == 0)
        pillion_timer(harm->self, 1, 0, resumed, harm);
    else if (strcmp(where, "cancel") == 0)
        pillion_on_cancel(harm->token, cancelled, harm);
    else if (strcmp(where, "posted") == 0)
        make_thread(posts, harm);
    else if (strcmp(where, "thread") == 0)
        make_thread(thread, harm);
    else if (strcmp(where, "watch") == 0 && pipe(harm->pipe) == 0 &&
             write(harm->pipe[1], "x", 1) == 1)
        pillion_watch(harm->self, harm->pipe[0], PILLION_READ, seen, harm);
    else if (strcmp(where, "filter") == 0)
        pillion_timer(harm->self, 1, 0, called, harm);
}

/* Waits for a connection that never comes in this worker; the next one has it, when
 * the file `where` is there. */
static void waiting(pillion_request *req)
{
    pillion_token token;

    if (access(text(req, "where"), F_OK) == 0) {
        answer(req);
        return;
    }
    token = pillion_defer(req, 0);
    pillion_rerunnable(token, true);
    if (strcmp(text(req, "what"), "sent") == 0)
        pillion_rerunnable(token, false);
}

/* A filter that does harm once the reply is there. */
static void after(pillion_request *req)
{
    if (strcmp(text(req, "where"), "filter") == 0)
        abort();
}

static void early(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
    abort();
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    (void)error;
    if (config->early && pillion_worker(self) == 0)
        pillion_timer(self, 300, 0, early, NULL);
    return 0;
}

static const pillion_method methods[] = {
    {.name = "harm", .handler = harm},
    {.name = "waiting", .handler = waiting},
    {.name = "again", .handler = harm, .idempotent = true},
    {0},
};

static const pillion_filter filters[] = {{.name = "after", .after = after}, {0}};

PILLION_MODULE(.name = "threads", .version = "1", .methods = methods, .filters = filters,
               .directives = directives, .config_size = sizeof(struct config), .start = start);
