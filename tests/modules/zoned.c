/* Keeps what clients give it in the zone "z": values of any size, and counters. */
#include <pillion/module.h>
#include <string.h>

struct put {
    const char *key, *value;
    int64_t times, ttl_ms;
};

static const pillion_param put_params[] = {
    PILLION_PARAM(struct put, key, PILLION_STRING, .min = 1, .max = 200, .required = true),
    PILLION_PARAM(struct put, value, PILLION_STRING, .fallback = "\"\""),
    PILLION_PARAM(struct put, times, PILLION_INTEGER, .fallback = "1", .min = 1, .max = 1000000),
    PILLION_PARAM(struct put, ttl_ms, PILLION_INTEGER, .fallback = "0", .min = 0),
    {0},
};

/* True when the value, so many times over, was kept. */
static void put(pillion_request *req)
{
    const struct put *args = pillion_args(req);
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "z");
    size_t once = strlen(args->value), size = once * (size_t)args->times;
    char *value = pillion_alloc(req, size + 1);

    if (zone == NULL || value == NULL) {
        pillion_fail(req, PILLION_INTERNAL_ERROR, "no zone, or no memory");
        return;
    }
    for (int64_t i = 0; i < args->times; i++)
        memcpy(value + (size_t)i * once, args->value, once);
    bool kept =
        pillion_zone_set(zone, args->key, strlen(args->key), value, size, (uint64_t)args->ttl_ms);
    pillion_reply(req, "put", cJSON_CreateBool(kept));
}

/* The value, or null. */
static void get(pillion_request *req)
{
    const struct put *args = pillion_args(req);
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "z");
    long size = zone == NULL ? -1 : pillion_zone_get(zone, args->key, strlen(args->key), NULL, 0);
    char *value = size < 0 ? NULL : pillion_alloc(req, (size_t)size + 1);

    if (value == NULL ||
        pillion_zone_get(zone, args->key, strlen(args->key), value, (size_t)size) != size) {
        pillion_reply(req, "get", cJSON_CreateNull());
        return;
    }
    value[size] = '\0';
    pillion_reply(req, "get", cJSON_CreateString(value));
}

/* Adds `times` to a counter: what it is now. */
static void add(pillion_request *req)
{
    const struct put *args = pillion_args(req);
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "z");
    int64_t now = zone == NULL ? -1
                               : pillion_zone_add(zone, args->key, strlen(args->key), args->times,
                                                  (uint64_t)args->ttl_ms);

    pillion_reply(req, "add", cJSON_CreateNumber((double)now));
}

static bool count(pillion_bytes key, const void *value, size_t value_size, void *data)
{
    (void)key;
    (void)value;
    (void)value_size;
    ++*(int64_t *)data;
    return true;
}

/* How many values there are. */
static void all(pillion_request *req)
{
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "z");
    int64_t values = 0;

    if (zone != NULL)
        pillion_zone_each(zone, count, &values);
    pillion_reply(req, "all", cJSON_CreateNumber((double)values));
}

static const pillion_method methods[] = {
    {.name = "put", .handler = put, PILLION_PARAMS(struct put, put_params)},
    {.name = "get", .handler = get, PILLION_PARAMS(struct put, put_params)},
    {.name = "add", .handler = add, PILLION_PARAMS(struct put, put_params)},
    {.name = "all", .handler = all},
    {0},
};

PILLION_MODULE(.name = "zoned", .version = "1.0.0", .methods = methods);
