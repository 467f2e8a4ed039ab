/* Keeps a pointer to what belongs to a request, and reads it when that is over: a mistake that
 * tools tell, where each such thing is a block of its own (<pillion/test.h>). */
#include <pillion/module.h>
#include <stdlib.h>
#include <string.h>

struct params {
    const char *name;
};

static const pillion_param params[] = {
    PILLION_PARAM(struct params, name, PILLION_STRING, .required = true),
    {0},
};

static const volatile char *kept;
static pillion_token token;

static void keep(pillion_request *req, const void *bytes)
{
    kept = bytes;
    pillion_reply(req, "kept", cJSON_CreateTrue());
}

static void keep_raw(pillion_request *req)
{
    keep(req, pillion_params_raw(req).data);
}

static void keep_body(pillion_request *req)
{
    keep(req, pillion_body(req).data);
}

static void keep_tree(pillion_request *req)
{
    keep(req, pillion_params(req));
}

static void keep_args(pillion_request *req)
{
    const struct params *given = pillion_args(req);
    keep(req, given->name);
}

static void keep_alloc(pillion_request *req)
{
    keep(req, memset(pillion_alloc(req, 8), 'x', 8));
}

static void keep_peer(pillion_request *req)
{
    keep(req, pillion_peer(req));
}

static void keep_request(pillion_request *req)
{
    keep(req, req);
}

static void keep_nothing(pillion_request *req)
{
    static char own[8] = "own";
    keep(req, own);
}

static void answer(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(token);

    (void)self;
    (void)data;
    keep_raw(req);
}

static void keep_deferred(pillion_request *req)
{
    token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, answer, NULL);
}

static void called(pillion_request *req, const char *code, pillion_bytes result, void *data)
{
    (void)code;
    (void)data;
    if (req != NULL)
        keep(req, result.data);
}

/* Calls itself, until that is too deep. */
static void keep_result(pillion_request *req)
{
    pillion_call(req, pillion_method_name(req), (pillion_bytes){NULL, 0}, called, NULL);
}

static void stop(pillion_instance *self)
{
    pillion_log(self, PILLION_LOG_NOTICE, "kept %s",
                kept == NULL   ? "nothing"
                : *kept == 'x' ? "x"
                               : "something");
}

static const pillion_method methods[] = {
    {.name = "raw", .handler = keep_raw},
    {.name = "body", .handler = keep_body},
    {.name = "tree", .handler = keep_tree},
    {.name = "args", .handler = keep_args, PILLION_PARAMS(struct params, params)},
    {.name = "alloc", .handler = keep_alloc},
    {.name = "peer", .handler = keep_peer},
    {.name = "request", .handler = keep_request},
    {.name = "deferred", .handler = keep_deferred},
    {.name = "result", .handler = keep_result},
    {.name = "nothing", .handler = keep_nothing},
    {0},
};

PILLION_MODULE(.name = "keeps", .version = "1", .methods = methods, .stop = stop);
