/* The functions of <pillion/module.h> for zones. See api.c. */
#include <pillion/module.h>

#include "rpc/zone.h"
#include "rpc/zone_memory.h"

PILLION_EXPORT pillion_zone *pillion_zone_open(pillion_instance *self, const char *name)
{
    (void)self;
    return zone_find(name);
}

PILLION_EXPORT bool pillion_zone_update(pillion_zone *zone, const void *key, size_t key_size,
                                        uint64_t ttl_ms, size_t value_size,
                                        void (*update)(void *value, bool fresh, void *data),
                                        void *data)
{
    return zone_update(zone, key, key_size, ttl_ms, value_size, update, data);
}

PILLION_EXPORT long pillion_zone_get(pillion_zone *zone, const void *key, size_t key_size,
                                     void *value, size_t room)
{
    return zone_get(zone, key, key_size, value, room);
}

PILLION_EXPORT bool pillion_zone_set(pillion_zone *zone, const void *key, size_t key_size,
                                     const void *value, size_t value_size, uint64_t ttl_ms)
{
    return zone_set(zone, key, key_size, value, value_size, ttl_ms);
}

static void add_to(void *value, bool fresh, void *data)
{
    int64_t *sum = value, *delta = data;

    (void)fresh;
    *sum += *delta;
    *delta = *sum;
}

PILLION_EXPORT int64_t pillion_zone_add(pillion_zone *zone, const void *key, size_t key_size,
                                        int64_t delta, uint64_t ttl_ms)
{
    return zone_update(zone, key, key_size, ttl_ms, sizeof(delta), add_to, &delta) ? delta : 0;
}

PILLION_EXPORT void pillion_zone_delete(pillion_zone *zone, const void *key, size_t key_size)
{
    zone_delete(zone, key, key_size);
}

PILLION_EXPORT void pillion_zone_each(pillion_zone *zone,
                                      bool (*each)(pillion_bytes key, const void *value,
                                                   size_t value_size, void *data),
                                      void *data)
{
    zone_each(zone, each, data);
}
