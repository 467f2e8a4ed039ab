/* Methods that break the promises of <pillion/module.h>. */
#include <pillion/module.h>
#include <stdlib.h>
#include <string.h>

static void silent(pillion_request *req)
{
    (void)req;
}

static void twice(pillion_request *req)
{
    pillion_reply_raw(req, "first", pillion_params_raw(req));
    pillion_reply(req, "second", cJSON_CreateNumber(2));
    pillion_fail(req, "third", "and once more");
}

static void invalid(pillion_request *req)
{
    pillion_reply_raw(req, "invalid", (pillion_bytes){"{\"a\":}", 6});
}

static void nothing(pillion_request *req)
{
    pillion_reply_raw(req, "nothing", (pillion_bytes){NULL, 0});
}

static void null(pillion_request *req)
{
    pillion_reply(req, "null", NULL);
}

static void binary(pillion_request *req)
{
    pillion_reply(req, "binary", cJSON_CreateString("\xff\xfe"));
}

static void name(pillion_request *req)
{
    pillion_reply(req, "\xff", cJSON_CreateNull());
}

/* More than any arena's largest reply. */
static void huge(pillion_request *req)
{
    size_t size = (size_t)200 << 20;
    char *text = malloc(size);

    if (text == NULL)
        return;
    memset(text, '1', size);
    pillion_reply_raw(req, "huge", (pillion_bytes){text, size});
    free(text);
}

/* Deletes what is not its own. */
static void deletes(pillion_request *req)
{
    cJSON *params = (cJSON *)(uintptr_t)pillion_params(req);
    cJSON_Delete(params);
    pillion_reply(req, "deletes", cJSON_CreateTrue());
}

/* Puts a part of the params into the reply. */
static void steals(pillion_request *req)
{
    cJSON *reply = cJSON_CreateArray();
    cJSON_AddItemToArray(
        reply, cJSON_DetachItemFromObject((cJSON *)(uintptr_t)pillion_params(req), "part"));
    pillion_reply(req, "steals", reply);
}

static const pillion_method methods[] = {
    {.name = "silent", .handler = silent},
    {.name = "twice", .handler = twice},
    {.name = "invalid", .handler = invalid},
    {.name = "nothing", .handler = nothing},
    {.name = "null", .handler = null},
    {.name = "binary", .handler = binary},
    {.name = "name", .handler = name},
    {.name = "huge", .handler = huge},
    {.name = "deletes", .handler = deletes},
    {.name = "steals", .handler = steals},
    {0},
};

PILLION_MODULE(.name = "rude", .version = "1.0.0", .methods = methods);
