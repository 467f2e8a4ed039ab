/* A list of 10,000 rows, written as it goes, each row by a table, and as a tree of cJSON; for the
 * benchmark. */
#include <pillion/module.h>

#define ROWS 10000

static const char *const names[] = {"Ada Lovelace", "Grace Hopper", "Alan \"T\" Turing", "Zoë"};

static void rows(pillion_request *req)
{
    pillion_begin_object(req, "rows");
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
    pillion_end(req);
}

struct row {
    int64_t id;
    const char *name;
    double price;
    bool loud;
};

struct table {
    pillion_array rows;
};

static const pillion_param row_rows[] = {
    PILLION_PARAM(struct row, id, PILLION_INTEGER),
    PILLION_PARAM(struct row, name, PILLION_STRING),
    PILLION_PARAM(struct row, price, PILLION_NUMBER),
    PILLION_PARAM(struct row, loud, PILLION_FLAG),
    {0},
};

static const pillion_param table_rows[] = {
    PILLION_PARAM(struct table, rows, PILLION_OBJECT, .list = true,
                  PILLION_MEMBERS(struct row, row_rows)),
    {0},
};

static void rows_table(pillion_request *req)
{
    pillion_begin_object(req, "rows");
    pillion_begin_array(req, "rows");
    for (int i = 0; i < ROWS; i++) {
        const struct row row = {i, names[i % 4], i * 0.25, i % 3 == 0};
        pillion_put_struct(req, NULL, row_rows, &row);
    }
    pillion_end(req);
    pillion_end(req);
}

static void rows_tree(pillion_request *req)
{
    cJSON *result = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(result, "rows");

    for (int i = 0; i < ROWS; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", i);
        cJSON_AddStringToObject(row, "name", names[i % 4]);
        cJSON_AddNumberToObject(row, "price", i * 0.25);
        cJSON_AddBoolToObject(row, "loud", i % 3 == 0);
        cJSON_AddItemToArray(list, row);
    }
    pillion_reply(req, "rows", result);
}

static const pillion_method methods[] = {
    {.name = "rows", .handler = rows},
    {.name = "rows_table", .handler = rows_table, PILLION_GIVES(struct table, table_rows)},
    {.name = "rows_tree", .handler = rows_tree},
    {0},
};

PILLION_MODULE(.name = "rows", .version = "1.0.0", .methods = methods);
