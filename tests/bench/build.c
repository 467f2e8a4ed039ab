/* build: a method that reads its params with cJSON and builds its reply with cJSON, for the
 * benchmark. raw_cjson.c does the same without a server around it. */
#include <pillion/module.h>

/* {"n": 1, "name": "x"} -> {"n": 2, "name": "x"} */
static void build(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(params, "n");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(params, "name");

    if (!cJSON_IsNumber(number) || !cJSON_IsString(name)) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "give a number n and a string name");
        return;
    }
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "n", number->valuedouble + 1);
    cJSON_AddStringToObject(result, "name", name->valuestring);
    pillion_reply(req, "built", result);
}

static const pillion_method methods[] = {
    {.name = "build", .handler = build, .summary = "Counts up."},
    {0},
};

PILLION_MODULE(.name = "build", .version = "1.0.0", .methods = methods);
