/* The table of servers. See instances.h. */
#include "registry/instances.h"

#include <stdlib.h>
#include <string.h>

#include "base/log_seldom.h"
#include "base/memory.h"
#include "base/printable.h"
#include "base/service_name.h"
#include "registry/record.h"

static struct {
    struct instance **items; /* by key */
    size_t count, capacity;
    uint64_t snapshot; /* the number of the last one */
    uint64_t bad;
    bool keeps; /* those that are gone */
} table;

static int compare(struct bytes key, const char *other)
{
    size_t size = strlen(other);
    int order = memcmp(key.data, other, key.size < size ? key.size : size);

    return order != 0 ? order : (key.size > size) - (key.size < size);
}

/* The index of the first key that is not before this one. */
static size_t lower_bound(struct bytes key)
{
    size_t low = 0, high = table.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(key, table.items[middle]->key) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(size_t index, struct bytes key)
{
    return index < table.count && compare(key, table.items[index]->key) == 0;
}

static void instance_free(struct instance *instance)
{
    method_sets_release(instance->set);
    service_count_remove(instance->of);
    free(instance->key);
    free(instance);
}

static void remove_at(size_t index)
{
    instance_free(table.items[index]);
    memmove(&table.items[index], &table.items[index + 1],
            (--table.count - index) * sizeof(struct instance *));
}

static void insert_at(size_t index, struct instance *instance)
{
    if (table.count == table.capacity) {
        table.capacity = table.capacity == 0 ? 64 : 2 * table.capacity;
        table.items = must_realloc(table.items, table.capacity * sizeof(struct instance *));
    }
    memmove(&table.items[index + 1], &table.items[index],
            (table.count++ - index) * sizeof(struct instance *));
    table.items[index] = instance;
}

static void tell_bad(struct bytes key, const char *why)
{
    struct text shown = {0};

    table.bad++;
    text_append_line(&shown, key);
    log_seldom(LOG_WARN_LEVEL, NULL, "the registry's record %s is left out: %s",
               text_string(&shown), why);
    text_free(&shown);
}

/* A key is shown in logs and pages, and cut up at its slashes. */
static bool is_key(struct bytes key)
{
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] <= ' ' || key.data[i] >= 127)
            return false;
    }
    return key.size > 1 && key.size < 1024 && key.data[0] == '/';
}

static struct instance *make(struct bytes key, uint64_t since_ms)
{
    struct instance *instance = must_zalloc(sizeof(*instance));

    instance->key = must_strndup(key.data, key.size);
    instance->since_ms = since_ms;
    return instance;
}

static void fill(struct instance *instance, struct record *record)
{
    size_t size = strlen(instance->key) - strlen(record->address);

    instance->address = instance->key + size;
    if (instance->of == NULL)
        instance->of = service_count_add((struct bytes){instance->key, size - 1});
    instance->service = instance->of->name;
    instance->weight = record->weight;
    method_sets_release(instance->set);
    instance->set = record->methods == NULL ? NULL : method_sets_take(record->methods);
    if (record->methods != NULL && instance->set == NULL)
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "the methods of %s are left out: those of other servers leave no room for them",
                   instance->key);
}

/* Whether callers can name the service that the key is in: all in front of its last slash. */
static bool is_in_service(struct bytes key, const struct record *record, struct error *error)
{
    size_t size = key.size - strlen(record->address) - 1;
    char *name = must_printf("registry:%.*s", (int)size, key.data);
    bool good = service_name_check(name, error);

    if (good && key.data[size - 1] == '/')
        good = error_set(error, "its key has an empty part between two slashes");
    free(name);
    return good;
}

static bool read_whole(struct bytes key, struct bytes value, struct record *record,
                       struct error *error)
{
    if (!record_read(key, value, record, error))
        return false;
    if (is_in_service(key, record, error))
        return true;
    record_free(record);
    return false;
}

/* The last server of the service in the order of keys. */
static size_t last_of(const struct service_count *service)
{
    size_t at = table.count;

    while (at > 0 && table.items[at - 1]->of != service)
        at--;
    return at - 1;
}

/* Whether there is room for one server more of this service: if need be, the service that has the
 * most loses one, so that a service that floods the registry costs no other its servers. */
static bool make_room(struct bytes service)
{
    if (table.count < INSTANCES_MAX)
        return true;
    const struct service_count *largest = service_count_largest();
    if (service_count_of(service) + 1 >= largest->count)
        return false;
    size_t index = last_of(largest);
    tell_bad(bytes_of(table.items[index]->key),
             "there are as many servers as are kept already, and its service has the most");
    remove_at(index);
    return true;
}

void instances_put(struct bytes key, struct bytes value, uint64_t since_ms)
{
    struct record record;
    struct error error = {""};

    if (!is_key(key)) {
        tell_bad(key, "its key is none of a server's");
        return;
    }
    size_t index = lower_bound(key);
    bool there = is_at(index, key);
    if (!read_whole(key, value, &record, &error)) {
        tell_bad(key, error.text);
        if (there)
            remove_at(index);
        return;
    }
    const struct bytes service = {key.data, key.size - strlen(record.address) - 1};
    if (!there && !make_room(service)) {
        tell_bad(key, "there are as many servers as are kept already");
        record_free(&record);
        return;
    }
    if (!there) {
        index = lower_bound(key); /* another one may have gone */
        insert_at(index, make(key, since_ms));
    }
    struct instance *instance = table.items[index];
    if (there && strlen(instance->address) != strlen(record.address)) { /* another service */
        service_count_remove(instance->of);
        instance->of = NULL;
    }
    instance->told = table.snapshot;
    instance->lost = false;
    fill(instance, &record);
    record_free(&record);
}

void instances_remove(struct bytes key)
{
    size_t index = lower_bound(key);

    if (!is_at(index, key))
        return;
    if (table.keeps)
        table.items[index]->lost = true;
    else
        remove_at(index);
}

void instances_begin(void)
{
    table.snapshot++;
}

/* The range of those that begin with the prefix. */
static size_t range(const char *prefix, size_t *end)
{
    size_t size = strlen(prefix), begin = lower_bound((struct bytes){prefix, size});

    for (*end = begin; *end < table.count && strncmp(table.items[*end]->key, prefix, size) == 0;)
        ++*end;
    return begin;
}

/* Removes those of the range that are gone. */
static void sweep(const char *prefix, bool (*gone)(struct instance *instance))
{
    size_t end, begin = range(prefix, &end), kept = begin;

    if (table.count == 0)
        return;
    for (size_t i = begin; i < end; i++) {
        if (gone(table.items[i]))
            instance_free(table.items[i]);
        else
            table.items[kept++] = table.items[i];
    }
    memmove(&table.items[kept], &table.items[end], (table.count - end) * sizeof(struct instance *));
    table.count -= end - kept;
}

static bool is_not_told(struct instance *instance)
{
    instance->lost = instance->lost || instance->told < table.snapshot;
    return instance->lost && !table.keeps;
}

static bool is_any(struct instance *instance)
{
    (void)instance;
    return true;
}

static bool is_lost(struct instance *instance)
{
    return instance->lost;
}

void instances_end(const char *prefix)
{
    sweep(prefix, is_not_told);
}

void instances_forget(const char *prefix)
{
    sweep(prefix, is_any);
}

bool instances_keep(bool on)
{
    size_t before = table.count;

    table.keeps = on;
    if (!on)
        sweep("", is_lost);
    return table.count != before;
}

struct instance *const *instances_below(const char *prefix, size_t *count)
{
    size_t end, begin = range(prefix, &end);

    *count = end - begin;
    return table.items == NULL ? NULL : table.items + begin;
}

uint64_t instances_bad(void)
{
    return table.bad;
}
