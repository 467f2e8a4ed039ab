/* Methods that end their worker, each in its own way, and one that is only slow. Each that is run
 * adds a line with the request's id to the file `journal`, before anything else happens: so that a
 * test can see that no request is run twice. */
#include <fcntl.h>
#include <pillion/module.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct config {
    const char *journal;
};

static const pillion_directive directives[] = {
    {.name = "journal",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, journal),
     .summary = "Where a line is added for each call."},
    {0},
};

static void write_journal(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    pillion_bytes id = pillion_request_id(req);
    char line[256];

    if (config->journal == NULL)
        return;
    int fd = open(config->journal, O_WRONLY | O_APPEND | O_CREAT, 0666);
    int size = snprintf(line, sizeof(line), "%s %.*s\n", pillion_method_name(req), (int)id.size,
                        id.data == NULL ? "" : id.data);
    if (fd < 0 || write(fd, line, (size_t)size) != size)
        _exit(99);
    close(fd);
}

/* Nothing but that. */
static void noted(pillion_request *req)
{
    write_journal(req);
    pillion_reply_raw(req, "noted", pillion_params_raw(req));
}

static void null(pillion_request *req)
{
    volatile int *nowhere = NULL;
    write_journal(req);
    *nowhere = 1;
}

static void aborts(pillion_request *req)
{
    write_journal(req);
    abort();
}

static void exit0(pillion_request *req)
{
    write_journal(req);
    exit(0);
}

static void exit1(pillion_request *req)
{
    write_journal(req);
    _exit(1);
}

static int deeper(volatile char *above)
{
    volatile char here[4096];
    here[0] = above[0];
    return here[0] + deeper(here) + here[1];
}

static void overflow(pillion_request *req)
{
    volatile char here[1] = {1};
    write_journal(req);
    deeper(here);
}

static void hang(pillion_request *req)
{
    write_journal(req);
    for (volatile unsigned i = 0;; i++)
        ;
}

static void kills(pillion_request *req)
{
    write_journal(req);
    kill(getpid(), SIGKILL);
}

/* As with the pid of a child that there is not. */
static void killall(pillion_request *req)
{
    write_journal(req);
    kill(0, SIGKILL);
}

static void closefds(pillion_request *req)
{
    write_journal(req);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    pillion_reply_raw(req, "closefds", pillion_params_raw(req));
}

/* Takes memory until there is none: the system call that limits it is the test's. */
static void eat(pillion_request *req)
{
    write_journal(req);
    for (;;) {
        char *memory = malloc(1 << 20);
        if (memory == NULL)
            abort();
        memset(memory, 1, 1 << 20);
    }
}

/* params: milliseconds. */
static void sleeps(pillion_request *req)
{
    const cJSON *params = pillion_params(req); /* MS or [MS] */
    double ms = cJSON_GetNumberValue(cJSON_IsArray(params) ? params->child : params);
    struct timespec time = {(time_t)ms / 1000, (long)ms % 1000 * 1000000};

    write_journal(req);
    while (nanosleep(&time, &time) < 0)
        ;
    pillion_reply_raw(req, "slept", pillion_params_raw(req));
}

static const pillion_method methods[] = {
    {.name = "null", .handler = null},
    {.name = "abort", .handler = aborts},
    {.name = "exit0", .handler = exit0},
    {.name = "exit1", .handler = exit1},
    {.name = "overflow", .handler = overflow},
    {.name = "hang", .handler = hang},
    {.name = "kill", .handler = kills},
    {.name = "killall", .handler = killall},
    {.name = "closefds", .handler = closefds},
    {.name = "eat", .handler = eat},
    {.name = "sleep", .handler = sleeps},
    {.name = "noted", .handler = noted},
    {.name = "noted_again", .handler = noted, .idempotent = true},
    {0},
};

PILLION_MODULE(.name = "crash", .version = "1.0.0", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .needs = PILLION_NEEDS_FILES);
