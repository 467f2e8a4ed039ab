/* Methods that declare schemas as text. */
#include <pillion/module.h>

#define ORDER                                                                                      \
    "{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}," \
    "\"pieces\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":99}},\"required\":[\"sku\"],"      \
    "\"additionalProperties\":false}"

/* Gives its params back. */
static void order(pillion_request *req)
{
    pillion_reply_raw(req, "order", pillion_params_raw(req));
}

/* Gives back what it was given as "sku", by a tree or as it goes. */
static void tree(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    cJSON *result = cJSON_CreateObject();

    cJSON_AddItemToObject(result, "sku",
                          cJSON_Duplicate(cJSON_GetObjectItem(params, "sku"), cJSON_True));
    pillion_reply(req, "tree", result);
}

static void written(pillion_request *req)
{
    const cJSON *params = pillion_params(req);

    pillion_begin_object(req, "written");
    if (cJSON_GetObjectItem(params, "sku") != NULL)
        pillion_put_string(req, "sku", cJSON_GetObjectItem(params, "sku")->valuestring);
    pillion_end(req);
}

struct both {
    int64_t n;
};

static const pillion_param both_params[] = {
    PILLION_PARAM(struct both, n, PILLION_INTEGER, .required = true), {0}};

/* A table for the structure, and a schema for what a table cannot say. */
static void both(pillion_request *req)
{
    const struct both *params = pillion_args(req);

    pillion_begin_array(req, "both");
    pillion_put_integer(req, NULL, params->n);
    pillion_end(req);
}

static const pillion_method methods[] = {
    {.name = "order", .handler = order, .read_only = true, .params = ORDER, .result = ORDER},
    {.name = "tree", .handler = tree, .result = ORDER},
    {.name = "written", .handler = written, .result = ORDER},
    {.name = "word", .handler = order, .params = "{\"type\":\"string\",\"maxLength\":3}"},
    {.name = "maybe", .handler = order, .params = "{\"type\":\"object\"}"},
    {.name = "both",
     .handler = both,
     PILLION_PARAMS(struct both, both_params),
     .params = "{\"type\":\"object\",\"properties\":{\"n\":{\"multipleOf\":3}}}"},
    {0},
};

PILLION_MODULE(.name = "schemas", .version = "1", .methods = methods);
