/* Finding equal sets. See method_sets.h. */
#include "registry/method_sets.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BUCKETS        256u
#define NAME_MAX_BYTES 255u

static struct {
    struct method_set *buckets[BUCKETS];
    uint32_t count;
    uint64_t size; /* bytes of all texts */
} sets;

/* FNV-1a, 32 bits. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261u;

    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash;
}

static bool is_name(const cJSON *name)
{
    if (!cJSON_IsString(name) || name->valuestring[0] == '\0' ||
        strlen(name->valuestring) > NAME_MAX_BYTES)
        return false;
    for (const char *c = name->valuestring; *c != '\0'; c++) {
        if (*c <= ' ' || *c == 127)
            return false;
    }
    return true;
}

static int compare(const void *one, const void *other)
{
    return strcmp(((const struct directory_method *)one)->name,
                  ((const struct directory_method *)other)->name);
}

static void method_free(const struct directory_method *method)
{
    free((char *)(uintptr_t)method->name);
    free((char *)(uintptr_t)method->about);
}

/* Sorts by name, and leaves one of each. */
static size_t leave_one(struct directory_method *items, size_t count)
{
    size_t kept = 0;

    qsort(items, count, sizeof(*items), compare);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(items[kept - 1].name, items[i].name) == 0)
            method_free(&items[i]);
        else
            items[kept++] = items[i];
    }
    return kept;
}

static void fill(struct method_set *set, cJSON *array)
{
    size_t size = (size_t)cJSON_GetArraySize(array), count = 0;
    struct directory_method *items = must_zalloc((size + 1) * sizeof(*items));
    cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
        if (!cJSON_IsObject(item) || !is_name(name))
            continue;
        cJSON_DetachItemViaPointer(item, name);
        char *about = cJSON_PrintUnformatted(item);
        items[count++] = (struct directory_method){must_strdup(name->valuestring),
                                                   must_strdup(about == NULL ? "{}" : about)};
        cJSON_free(about);
        cJSON_Delete(name);
    }
    set->methods = (struct directory_methods){items, leave_one(items, count)};
}

struct method_set *method_sets_take(cJSON *array)
{
    char *text = cJSON_PrintUnformatted(array);
    if (text == NULL)
        return NULL;
    uint32_t hash = hash_of(text);
    struct method_set **bucket = &sets.buckets[hash % BUCKETS];

    for (struct method_set *set = *bucket; set != NULL; set = set->next) {
        if (set->hash != hash || strcmp(set->text, text) != 0)
            continue;
        cJSON_free(text);
        set->uses++;
        return set;
    }
    uint64_t size = strlen(text);
    if (sets.count == METHOD_SETS_MAX || sets.size + size > METHOD_SETS_BYTES_MAX) {
        cJSON_free(text);
        return NULL;
    }
    struct method_set *set = must_zalloc(sizeof(*set));
    *set = (struct method_set){
        .text = must_strdup(text), .size = size, .hash = hash, .uses = 1, .next = *bucket};
    cJSON_free(text);
    fill(set, array);
    *bucket = set;
    sets.count++;
    sets.size += size;
    return set;
}

void method_sets_release(struct method_set *set)
{
    if (set == NULL || --set->uses > 0)
        return;
    struct method_set **at = &sets.buckets[set->hash % BUCKETS];
    while (*at != set)
        at = &(*at)->next;
    *at = set->next;
    sets.count--;
    sets.size -= set->size;
    for (size_t i = 0; i < set->methods.count; i++)
        method_free(&set->methods.items[i]);
    free((struct directory_method *)(uintptr_t)set->methods.items);
    free(set->text);
    free(set);
}
