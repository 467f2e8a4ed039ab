/* A list of 10,000 rows, written as it goes and as a tree of cJSON; for the benchmark. */
#include <pillion/module.h>

#define ROWS 10000

static const char *const names[] = {"Ada Lovelace", "Grace Hopper", "Alan \"T\" Turing", "Zoë"};

static void rows(pillion_request *req)
{
    pillion_begin_array(req, "rows");
    for (int i = 0; i < ROWS; i++) {
        pillion_begin_object(req, NULL);
        pillion_put_integer(req, "id", i);
        pillion_put_string(req, "name", names[i % 4]);
        pillion_put_number(req, "price", i * 0.25);
        pillion_put_flag(req, "loud", i % 3 == 0);
        pillion_end(req);
    }
    pillion_end(req);
}

static void rows_tree(pillion_request *req)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; i < ROWS; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", i);
        cJSON_AddStringToObject(row, "name", names[i % 4]);
        cJSON_AddNumberToObject(row, "price", i * 0.25);
        cJSON_AddBoolToObject(row, "loud", i % 3 == 0);
        cJSON_AddItemToArray(list, row);
    }
    pillion_reply(req, "rows", list);
}

static const pillion_method methods[] = {
    {.name = "rows", .handler = rows},
    {.name = "rows_tree", .handler = rows_tree},
    {0},
};

PILLION_MODULE(.name = "rows", .version = "1.0.0", .methods = methods);
