/* Five params, checked: by a table, and as a handler checks them with cJSON; for the benchmark.
 * raw_cjson.c does the latter without a server around it. */
#include <pillion/module.h>
#include <string.h>

static const char *const moods[] = {"calm", "cheerful", NULL};

struct five {
    const char *name;
    int64_t times;
    double price;
    int mood;
    bool loud;
};

static const pillion_param five_params[] = {
    PILLION_PARAM(struct five, name, PILLION_STRING, .min = 1, .max = 40, .required = true),
    PILLION_PARAM(struct five, times, PILLION_INTEGER, .fallback = "1", .min = 1, .max = 100),
    PILLION_PARAM(struct five, price, PILLION_NUMBER, .from = 0, .to = 1e6, .required = true),
    PILLION_PARAM(struct five, mood, PILLION_ENUM, .fallback = "\"calm\"", .words = moods),
    PILLION_PARAM(struct five, loud, PILLION_FLAG),
    {0},
};

static void reply(pillion_request *req, bool good)
{
    if (good)
        pillion_reply_raw(req, "five", (pillion_bytes){"true", 4});
    else
        pillion_fail(req, PILLION_INVALID_PARAMS, "the params are wrong");
}

static void five(pillion_request *req)
{
    const struct five *params = pillion_args(req);

    reply(req, params->name[0] != '\0' && params->times > 0 && params->mood >= 0);
}

static void five_tree(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(params, "name");
    const cJSON *times = cJSON_GetObjectItemCaseSensitive(params, "times");
    const cJSON *price = cJSON_GetObjectItemCaseSensitive(params, "price");
    const cJSON *mood = cJSON_GetObjectItemCaseSensitive(params, "mood");
    const cJSON *loud = cJSON_GetObjectItemCaseSensitive(params, "loud");

    reply(req, cJSON_IsString(name) && name->valuestring[0] != '\0' &&
                   strlen(name->valuestring) <= 40 && cJSON_IsNumber(times) &&
                   times->valuedouble >= 1 && times->valuedouble <= 100 && cJSON_IsNumber(price) &&
                   price->valuedouble >= 0 && price->valuedouble <= 1e6 && cJSON_IsString(mood) &&
                   (strcmp(mood->valuestring, moods[0]) == 0 ||
                    strcmp(mood->valuestring, moods[1]) == 0) &&
                   cJSON_IsBool(loud));
}

static const pillion_method methods[] = {
    {.name = "five", .handler = five, PILLION_PARAMS(struct five, five_params)},
    {.name = "five_tree", .handler = five_tree},
    {0},
};

PILLION_MODULE(.name = "five", .version = "1.0.0", .methods = methods);
