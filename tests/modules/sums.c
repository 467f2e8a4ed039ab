/* The methods of the examples in section 7 of the specification of JSON-RPC 2.0, and methods for
 * what it does not show. */
#include <pillion/module.h>
#include <string.h>

static unsigned updates; /* calls of `update` that this worker has seen */

static double number_of(const cJSON *params, int index, const char *name)
{
    return cJSON_GetNumberValue(cJSON_IsArray(params)
                                    ? cJSON_GetArrayItem(params, index)
                                    : cJSON_GetObjectItemCaseSensitive(params, name));
}

static void subtract(pillion_request *req)
{
    const cJSON *params = pillion_params(req);

    pillion_reply(
        req, "difference",
        cJSON_CreateNumber(number_of(params, 0, "minuend") - number_of(params, 1, "subtrahend")));
}

/* Declares an object, so that is all it ever gets. */
static void minus(pillion_request *req)
{
    const cJSON *params = pillion_params(req);

    if (!cJSON_IsObject(params) || cJSON_GetArraySize(params) < 2)
        pillion_fail(req, PILLION_INVALID_PARAMS, "give minuend and subtrahend");
    else
        subtract(req);
}

static void sum(pillion_request *req)
{
    const cJSON *item;
    double total = 0;

    cJSON_ArrayForEach(item, pillion_params(req)) total += item->valuedouble;
    pillion_reply(req, "sum", cJSON_CreateNumber(total));
}

static void get_data(pillion_request *req)
{
    cJSON *data = cJSON_CreateArray();

    cJSON_AddItemToArray(data, cJSON_CreateString("hello"));
    cJSON_AddItemToArray(data, cJSON_CreateNumber(5));
    pillion_reply(req, "data", data);
}

static void update(pillion_request *req)
{
    updates++;
    pillion_reply_raw(req, "updated", pillion_params_raw(req));
}

static void count_updates(pillion_request *req)
{
    pillion_reply(req, "updates", cJSON_CreateNumber(updates));
}

/* Fails with a code of its own. */
static void refuse(pillion_request *req)
{
    pillion_fail(req, "out_of_cheese", "there is no \"%s\" left", "Gouda");
}

static const pillion_method methods[] = {
    {.name = "subtract", .handler = subtract},
    {.name = "minus",
     .handler = minus,
     .params = "{\"type\":\"object\",\"properties\":{\"minuend\":{\"type\":\"number\"},"
               "\"subtrahend\":{\"type\":\"number\"}}}"},
    {.name = "sum", .handler = sum},
    {.name = "get_data", .handler = get_data},
    {.name = "update", .handler = update},
    {.name = "notify_hello", .handler = update},
    {.name = "notify_sum", .handler = update},
    {.name = "updates", .handler = count_updates},
    {.name = "refuse", .handler = refuse},
    {0},
};

PILLION_MODULE(.name = "sums", .version = "1", .methods = methods);
