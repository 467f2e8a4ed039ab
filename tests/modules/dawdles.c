/* Methods that take their time, each in another way: {"ms": N} says for how long. */
#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wait {
    pillion_token token;
    pillion_instance *self;
    int64_t ms;
};

static int64_t number(pillion_request *req, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(pillion_params(req), name);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

static struct wait *wait_new(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    *wait = (struct wait){.self = pillion_self(req), .ms = number(req, "ms")};
    return wait;
}

/* In the handler. The log says when it begins. */
static void handler(pillion_request *req)
{
    int64_t ms = number(req, "ms");

    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "dawdling begins");
    usleep((useconds_t)ms * 1000);
    pillion_reply(req, "dawdled", cJSON_CreateNull());
}

/* In a thread. */
static void sleeps(void *data)
{
    const struct wait *wait = data;

    usleep((useconds_t)wait->ms * 1000);
}

static void slept(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        pillion_reply(req, "dawdled", cJSON_CreateNull());
}

static void thread(pillion_request *req)
{
    pillion_offload(req, 0, sleeps, slept, wait_new(req));
}

/* By a timer, whose callback sleeps for as long again when {"twice": 1}. */
static void waited(pillion_instance *self, void *data)
{
    const struct wait *wait = data;
    pillion_request *req = pillion_resume(wait->token);

    (void)self;
    if (req == NULL)
        return;
    if (number(req, "twice") != 0)
        usleep((useconds_t)wait->ms * 1000);
    pillion_reply(req, "dawdled", cJSON_CreateNull());
}

static void timer(pillion_request *req)
{
    struct wait *wait = wait_new(req);

    wait->token = pillion_defer(req, 0);
    if (wait->token != 0)
        pillion_timer(wait->self, (uint64_t)wait->ms, 0, waited, wait);
}

/* A timer that nobody waits for keeps the loop. */
static void keeps(pillion_instance *self, void *data)
{
    int64_t ms = (int64_t)(intptr_t)data;

    pillion_log(self, PILLION_LOG_NOTICE, "dawdling begins");
    usleep((useconds_t)ms * 1000);
}

static void later(pillion_request *req)
{
    pillion_timer(pillion_self(req), 1, 0, keeps, (void *)(intptr_t)number(req, "ms"));
    pillion_reply(req, "dawdles", cJSON_CreateNull());
}

/* Leaves a program behind whose parent has ended, for {"ms": N}. */
static void orphan(pillion_request *req)
{
    char command[64];

    snprintf(command, sizeof(command), "sleep %lld.%03lld &", (long long)(number(req, "ms") / 1000),
             (long long)(number(req, "ms") % 1000));
    pillion_reply(req, system(command) == 0 ? "left" : "failed", cJSON_CreateNull());
}

/* A reply of {"bytes": N}. */
static void large(pillion_request *req)
{
    size_t size = (size_t)number(req, "bytes");
    char *text = malloc(size + 3);

    memset(text, 'x', size + 2);
    text[0] = text[size + 1] = '"';
    text[size + 2] = '\0';
    pillion_reply_raw(req, "large", (pillion_bytes){text, size + 2});
    free(text);
}

static const pillion_method methods[] = {
    {.name = "dawdle", .handler = handler},
    {.name = "dawdle_thread", .handler = thread},
    {.name = "dawdle_timer", .handler = timer},
    {.name = "dawdle_later", .handler = later},
    {.name = "large", .handler = large},
    {.name = "orphan", .handler = orphan},
    {0},
};

PILLION_MODULE(.name = "dawdles", .version = "1", .methods = methods);
