/* Making schemas. See schema.h. */
#include "rpc/schema.h"

#include <stdlib.h>

#include "rpc/schema_keyword.h"
#include "wire/json.h"

#define READING 255u /* as a height: of a node whose height is being worked out */

/* Reads what is wanted, which may want more. */
static bool read_all(struct making *making)
{
    for (size_t i = 0; i < making->queue_count; i++) {
        const struct wanted wanted = making->queue[i];
        if (*wanted.value.data == '{' &&
            !schema_read_keywords(making, wanted.trail, wanted.value, wanted.node))
            return false;
    }
    return true;
}

/* ---- Circles ---- */

static bool measure(struct making *making, struct schema_node *node, unsigned depth);

static bool measure_list(struct making *making, struct schema_node *node,
                         const struct schema_list *list, unsigned depth)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!measure(making, list->of[i], depth + 1))
            return false;
        if (list->of[i]->height >= node->height)
            node->height = (uint8_t)(list->of[i]->height + 1);
    }
    return true;
}

/* Works out how many schemas a value has to pass for this one: those that are about the value as a
 * whole. One of them that is this one itself would never end. */
static bool measure(struct making *making, struct schema_node *node, unsigned depth)
{
    struct schema_node *single[] = {node->not, node->when, node->then, node->otherwise};
    const struct schema_object *object = node->object;
    uint8_t height = 1;
    bool good = true;

    if (node->height == READING)
        return error_set(making->error, "a $ref leads back to its own schema for the same value, "
                                        "which never ends");
    if (depth > SCHEMA_HEIGHT_MAX ||
        (node->height != 0 && depth + node->height > SCHEMA_HEIGHT_MAX))
        return error_set(making->error,
                         "more than %u schemas are about the same value, by $ref, allOf and the "
                         "like",
                         SCHEMA_HEIGHT_MAX);
    if (node->height != 0)
        return true;
    struct schema_node total = {.height = height};
    node->height = READING;
    good = measure_list(making, &total, &node->all, depth) &&
           measure_list(making, &total, &node->any, depth) &&
           measure_list(making, &total, &node->one, depth);
    for (size_t i = 0; good && i < sizeof(single) / sizeof(*single); i++) {
        struct schema_list list = {&single[i], single[i] != NULL};
        good = measure_list(making, &total, &list, depth);
    }
    for (size_t i = 0; good && object != NULL && i < object->name_count; i++) {
        struct schema_list list = {&object->names[i].whole, object->names[i].whole != NULL};
        good = measure_list(making, &total, &list, depth);
    }
    node->height = total.height;
    return good;
}

static bool measure_all(struct making *making)
{
    for (size_t i = 0; i < making->queue_count; i++) {
        if (!measure(making, making->queue[i].node, 1))
            return false;
    }
    return true;
}

/* ---- The whole ---- */

static bool make(struct making *making)
{
    const struct json_limits limits = {.depth = SCHEMA_DEPTH_MAX * 2, .values = UINT32_MAX};
    struct schema *schema = making->schema;
    struct json_error fault;
    size_t start = 0, end = schema->text.size;

    if (!json_check(schema->text, &limits, &fault))
        return error_set(making->error, "%s, at byte %zu", fault.reason, fault.offset);
    while (strchr(" \t\r\n", schema->text.data[start]) != NULL)
        start++;
    while (strchr(" \t\r\n", schema->text.data[end - 1]) != NULL)
        end--;
    schema->text = (struct bytes){schema->text.data + start, end - start};
    making->at = must_zalloc(schema->text.size * sizeof(*making->at));
    return schema_use(making, NULL, schema->text, &schema->root) && read_all(making) &&
           measure_all(making);
}

struct schema *schema_make(struct bytes text, struct error *error)
{
    struct schema *schema;
    struct making making = {.work = SCHEMA_WORK_MAX, .error = error};

    if (text.size > SCHEMA_SIZE_MAX) {
        error_set(error, "it has %zu bytes; %u are allowed", text.size, SCHEMA_SIZE_MAX);
        return NULL;
    }
    schema = must_zalloc(sizeof(*schema));
    char *copy = pool_must_zalloc(&schema->pool, text.size + 1);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    schema->text = (struct bytes){copy, text.size};
    making.schema = schema;
    bool good = make(&making);
    free(making.at);
    free(making.queue);
    if (good)
        return schema;
    schema_free(schema);
    return NULL;
}

size_t schema_held(const struct schema *schema)
{
    return sizeof(*schema) + pool_held(&schema->pool);
}

void schema_free(struct schema *schema)
{
    if (schema == NULL)
        return;
    pool_free(&schema->pool);
    free(schema);
}
