/* Metrics, counted memory, lines with fields, and JSON text that is read without a tree. */
#include <pillion/module.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS, LEVEL, SIZES, WAITS };

static const double sizes[] = {1, 10, 100};

static const pillion_metric metrics[] = {
    [CALLS] = {.name = "calls", .type = PILLION_COUNTER, .summary = "Calls of count."},
    [LEVEL] = {.name = "level", .type = PILLION_GAUGE, .summary = "What raise has raised."},
    [SIZES] = {.name = "sizes", .type = PILLION_HISTOGRAM, PILLION_BOUNDS(sizes)},
    [WAITS] = {.name = "waits", .type = PILLION_HISTOGRAM, .summary = "How long it took."},
    {0},
};

static void *block;
static cJSON *kept;

static double number(pillion_request *req, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(pillion_params(req), name));
}

static void done(pillion_request *req)
{
    pillion_reply_raw(req, "done", (pillion_bytes){"true", 4});
}

static void count(pillion_request *req)
{
    pillion_count(pillion_self(req), CALLS, 1);
    done(req);
}

static void count_in_thread(void *data)
{
    pillion_count(*(pillion_instance **)data, CALLS, 1);
}

static void counted(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        done(req);
}

static void thread(pillion_request *req)
{
    pillion_instance **self = pillion_alloc(req, sizeof(self));

    *self = pillion_self(req);
    pillion_offload(req, 0, count_in_thread, counted, self);
}

static void raise(pillion_request *req)
{
    pillion_count(pillion_self(req), LEVEL, (int64_t)number(req, "by"));
    done(req);
}

static void beyond(pillion_request *req)
{
    pillion_count(pillion_self(req), 9, 1);
    pillion_count(pillion_self(req), SIZES, 1);
    pillion_observe(pillion_self(req), CALLS, 1);
    pillion_observe(pillion_self(req), 9, 1);
    pillion_observe(pillion_self(req), SIZES, strtod("nan", NULL));
    pillion_observe(pillion_self(req), SIZES, strtod("inf", NULL));
    done(req);
}

static void observe(pillion_request *req)
{
    pillion_observe(pillion_self(req), SIZES, number(req, "value"));
    pillion_observe(pillion_self(req), WAITS, 0.3);
    done(req);
}

static void observe_in_thread(void *data)
{
    for (int i = 0; i < 10000; i++)
        pillion_observe(*(pillion_instance **)data, SIZES, 0.5);
}

static void observe_much(pillion_request *req)
{
    pillion_instance **self = pillion_alloc(req, sizeof(self));

    *self = pillion_self(req);
    pillion_offload(req, 0, observe_in_thread, counted, self);
}

static void grab(pillion_request *req)
{
    size_t size = (size_t)number(req, "bytes");

    block = pillion_realloc(pillion_self(req), block, size);
    memset(block, 1, size);
    done(req);
}

static void drop(pillion_request *req)
{
    pillion_free(pillion_self(req), block);
    block = NULL;
    pillion_free(pillion_self(req), pillion_malloc(pillion_self(req), 100));
    done(req);
}

static void keep(pillion_request *req)
{
    kept = cJSON_CreateString("a tree that stays");
    done(req);
}

static void let_go(pillion_request *req)
{
    cJSON_Delete(kept);
    kept = NULL;
    pillion_reply(req, "done", cJSON_CreateArray());
}

static void wait(pillion_request *req)
{
    pillion_defer(req, 60000);
}

static void note(pillion_request *req)
{
    const cJSON *text = cJSON_GetObjectItem(pillion_params(req), "text");
    const pillion_log_field fields[] = {
        {.name = "text", .text = cJSON_GetStringValue(text)},
        {.name = "size", .number = -5},
        {0},
    };

    pillion_log_request(req, PILLION_LOG_WARN, cJSON_IsString(text) ? fields : NULL, "%s noted",
                        "it is");
    done(req);
}

static void pick(pillion_request *req)
{
    pillion_bytes value = pillion_json_member(pillion_params_raw(req), "a");

    if (value.data == NULL)
        pillion_fail(req, PILLION_INVALID_PARAMS, "there is no a");
    else if (!pillion_json_check(value) || pillion_json_check((pillion_bytes){"[1", 2}) ||
             pillion_json_check((pillion_bytes){NULL, 0}))
        pillion_fail(req, "wrong", "pillion_json_check is wrong");
    else
        pillion_reply_raw(req, "a", value);
}

static void crash(pillion_request *req)
{
    (void)req;
    abort();
}

static const pillion_method methods[] = {
    {.name = "count", .handler = count},
    {.name = "thread", .handler = thread},
    {.name = "raise", .handler = raise},
    {.name = "beyond", .handler = beyond},
    {.name = "observe", .handler = observe},
    {.name = "observe_much", .handler = observe_much},
    {.name = "grab", .handler = grab},
    {.name = "drop", .handler = drop},
    {.name = "keep", .handler = keep},
    {.name = "let_go", .handler = let_go},
    {.name = "wait", .handler = wait},
    {.name = "note", .handler = note},
    {.name = "pick", .handler = pick},
    {.name = "crash", .handler = crash},
    {0},
};

static void tick(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    (void)error;
    pillion_timer(self, 1000, 1000, tick, NULL);
    return 0;
}

PILLION_MODULE(.name = "counts", .version = "1.0.0", .methods = methods, .metrics = metrics,
               .start = start);
