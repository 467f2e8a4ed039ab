/* A directive of every type; the method `options` tells their values. */
#include <pillion/module.h>

struct config {
    bool flag;
    int64_t integer;
    uint64_t size;
    uint64_t time;
    const char *string;
    int choice;
    pillion_list list;
    const char *path;
};

static const char *const choices[] = {"red", "green", "blue", NULL};

#define AT(member) .offset = offsetof(struct config, member)

static const pillion_directive directives[] = {
    {.name = "flag", .type = PILLION_FLAG, AT(flag), .fallback = "off"},
    {.name = "integer",
     .type = PILLION_INTEGER,
     AT(integer),
     .fallback = "-3",
     .min = -10,
     .max = 10},
    {.name = "size", .type = PILLION_SIZE, AT(size), .fallback = "4k"},
    {.name = "time", .type = PILLION_TIME, AT(time), .fallback = "1m30s"},
    {.name = "string", .type = PILLION_STRING, AT(string), .required = true},
    {.name = "choice", .type = PILLION_ENUM, AT(choice), .fallback = "green", .words = choices},
    {.name = "list", .type = PILLION_LIST, AT(list)},
    {.name = "path", .type = PILLION_PATH, AT(path), .fallback = "some/file"},
    {0},
};

static void options(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    cJSON *result = cJSON_CreateObject();

    cJSON_AddBoolToObject(result, "flag", config->flag);
    cJSON_AddNumberToObject(result, "integer", (double)config->integer);
    cJSON_AddNumberToObject(result, "size", (double)config->size);
    cJSON_AddNumberToObject(result, "time", (double)config->time);
    cJSON_AddStringToObject(result, "string", config->string);
    cJSON_AddStringToObject(result, "choice", choices[config->choice]);
    cJSON *list = cJSON_AddArrayToObject(result, "list");
    for (size_t i = 0; i < config->list.count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(config->list.items[i]));
    cJSON_AddStringToObject(result, "path", config->path);
    pillion_reply(req, "options", result);
}

static const pillion_method methods[] = {{.name = "options", .handler = options}, {0}};

PILLION_MODULE(.name = "options", .version = "1.0.0", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config));
