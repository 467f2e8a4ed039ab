/* The table of methods. See method.h. */
#include "rpc/method.h"

#include <stdlib.h>

#include "base/memory.h"

/* FNV-1a, eight bytes at a time where there are as many: names are short. */
static uint32_t hash_name(struct bytes name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    size_t i = 0;

    for (; i + 8 <= name.size; i += 8) {
        uint64_t word;
        memcpy(&word, name.data + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    }
    for (; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001b3u;
    return (uint32_t)(hash ^ hash >> 32);
}

static const struct method *scan(const struct method_table *table, struct bytes name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (bytes_equal(table->methods[i].name, name))
            return &table->methods[i];
    }
    return NULL;
}

bool method_table_add(struct method_table *table, const struct method *method)
{
    if (scan(table, method->name) != NULL)
        return false;
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->methods = must_realloc(table->methods, table->capacity * sizeof(*table->methods));
    }
    table->methods[table->count++] = *method;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct method *)a)->name.data, ((const struct method *)b)->name.data);
}

void method_table_seal(struct method_table *table)
{
    uint32_t size = 16;

    if (table->count > 0)
        qsort(table->methods, table->count, sizeof(*table->methods), compare);
    /* At most a quarter full, so that most names are found at their first place. */
    while (size < table->count * 4)
        size *= 2;
    free(table->slots);
    table->slots = must_zalloc(size * sizeof(*table->slots));
    table->mask = size - 1;
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t at = hash_name(table->methods[i].name) & table->mask;
        while (table->slots[at] != 0)
            at = (at + 1) & table->mask;
        table->slots[at] = i + 1;
    }
}

const struct method *method_table_find(const struct method_table *table, struct bytes name)
{
    if (table->slots == NULL)
        return NULL;
    for (uint32_t at = hash_name(name) & table->mask; table->slots[at] != 0;
         at = (at + 1) & table->mask) {
        const struct method *method = &table->methods[table->slots[at] - 1];
        if (bytes_equal(method->name, name))
            return method;
    }
    return NULL;
}

void method_table_free(struct method_table *table)
{
    free(table->methods);
    free(table->slots);
    *table = (struct method_table){0};
}
