/* Where its requests stand in a trace: told at once, and later, and in the log. */
#include <pillion/module.h>

static void add(cJSON *result, const char *text)
{
    cJSON_AddItemToArray(result, text == NULL ? cJSON_CreateNull() : cJSON_CreateString(text));
}

static void answer(pillion_request *req)
{
    cJSON *result = cJSON_CreateArray();

    add(result, pillion_traceparent(req));
    add(result, pillion_tracestate(req));
    pillion_log_request(req, PILLION_LOG_NOTICE, NULL, "it is traced");
    pillion_reply(req, "trace", result);
}

static void due(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(*(pillion_token *)data);

    (void)self;
    if (req != NULL)
        answer(req);
}

static void later(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));

    *token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 10, 0, due, token);
}

static const pillion_method methods[] = {
    {.name = "trace", .handler = answer, .params = "{\"type\":\"object\"}"},
    {.name = "trace_later", .handler = later, .idempotent = true},
    {0},
};

PILLION_MODULE(.name = "traces", .version = "1", .methods = methods);
