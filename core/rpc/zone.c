/* Cells in sets, behind one lock. See zone.h. */
#include "rpc/zone.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/zone_cells.h"
#include "rpc/zone_large.h"

/* ---- Cells ---- */

/* FNV-1a, and a round of mixing; never 0. */
static uint64_t hash_of(const void *key, size_t size)
{
    const unsigned char *bytes = key;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    return hash == 0 ? 1 : hash;
}

static bool fits(size_t key_size, size_t value_size)
{
    return key_size > 0 && key_size <= ZONE_DATA_MAX && value_size <= ZONE_DATA_MAX - key_size;
}

static bool fits_parts(const pillion_zone *zone, size_t key_size, size_t value_size)
{
    return key_size > 0 && key_size <= ZONE_DATA_MAX && value_size <= large_max(zone);
}

static uint64_t now_in_ms(const pillion_zone *zone)
{
    return clock_ns() / NS_PER_MS + zone->ahead_ms;
}

/* A key, and the time at which a call looks for it. */
struct sought {
    const void *key;
    size_t key_size;
    uint64_t hash, now_ms;
};

static struct sought seek(const pillion_zone *zone, const void *key, size_t key_size)
{
    return (struct sought){key, key_size, hash_of(key, key_size), now_in_ms(zone)};
}

static struct cell *find(const pillion_zone *zone, const struct sought *sought)
{
    return cell_find(zone, sought->hash, sought->key, sought->key_size, sought->now_ms);
}

/* A cell for a key that has none: its own that has expired, or another's. */
static struct cell *take(const pillion_zone *zone, const struct sought *sought,
                         const struct kept_cells *kept)
{
    struct cell *set = zone_set_of(zone, sought->hash);

    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (cell_holds(&set[i], sought->hash, sought->key, sought->key_size))
            return &set[i];
    }
    return cell_to_replace(set, sought->now_ms, kept);
}

/* When a value expires that is written now. `cell`: the value it had, or NULL. */
static uint64_t expiry(const struct cell *cell, uint64_t now_ms, uint64_t ttl_ms)
{
    const uint64_t mark = PILLION_ONCE(0);
    bool once = (ttl_ms & mark) != 0 && ttl_ms != UINT64_MAX; /* which always was for ever */

    if (once && cell != NULL)
        return cell->expires_ms;
    ttl_ms = once ? ttl_ms & ~mark : ttl_ms;
    return ttl_ms == 0 ? 0 : clock_after(now_ms * NS_PER_MS, ttl_ms) / NS_PER_MS;
}

/* The version of a value that lies in parts; 0 for others. */
static uint64_t version_of(const struct cell *cell)
{
    return cell != NULL && cell_is_large(cell) ? cell->version : 0;
}

static struct large_place place_of(pillion_zone *zone, const struct sought *sought, bool held)
{
    return (struct large_place){zone, sought->hash, held};
}

/* Frees the parts of a value that nothing leads to any more. Not under the lock. */
static void free_parts(pillion_zone *zone, const struct sought *sought, uint64_t version)
{
    const struct large_place place = place_of(zone, sought, false);

    if (version != 0)
        large_free(&place, version);
}

/* ---- Changing a value ---- */

static bool update_small(pillion_zone *zone, const struct sought *sought, uint64_t ttl_ms,
                         size_t value_size, void (*update)(void *value, bool fresh, void *data),
                         void *data)
{
    if (!zone_lock(zone))
        return false;
    struct cell *cell = find(zone, sought);
    const uint64_t former = version_of(cell), expires_ms = expiry(cell, sought->now_ms, ttl_ms);
    bool fresh = cell == NULL || cell->value_size != value_size;
    if (fresh) {
        if (cell == NULL)
            cell = take(zone, sought, NULL);
        cell->hash = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        cell->key_size = (uint16_t)sought->key_size;
        cell->value_size = (uint16_t)value_size;
        memset(cell->data, 0, value_size);
        memcpy(cell->data + value_size, sought->key, sought->key_size);
    }
    cell->used_ms = sought->now_ms;
    cell->expires_ms = expires_ms;
    if (update != NULL)
        update(cell->data, fresh, data);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cell->hash = sought->hash;
    zone_unlock(zone);
    free_parts(zone, sought, former);
    return true;
}

/* The key leads to the parts of `version` from now on. `cell`: where it is, or NULL. Returns the
 * version that it led to. */
static uint64_t lead_to(pillion_zone *zone, const struct sought *sought, struct cell *cell,
                        uint64_t version, uint64_t expires_ms)
{
    const struct kept_cells kept = {sought->hash, {large_tag(version), large_tag(version)}};
    const uint64_t former = version_of(cell);

    if (former != 0) {
        cell->used_ms = sought->now_ms;
        cell->expires_ms = expires_ms;
        __atomic_store_n(&cell->version, version, __ATOMIC_RELEASE);
        return former;
    }
    if (cell == NULL)
        cell = take(zone, sought, &kept);
    cell->hash = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cell->key_size = (uint16_t)sought->key_size;
    cell->value_size = SIZE_LARGE;
    memcpy(cell->data, sought->key, sought->key_size);
    cell->version = version;
    cell->used_ms = sought->now_ms;
    cell->expires_ms = expires_ms;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cell->hash = sought->hash;
    return 0;
}

/* `update` sees one copy, and what it leaves there is written, all under the lock. */
static bool update_large(pillion_zone *zone, const struct sought *sought, uint64_t ttl_ms,
                         size_t value_size, void (*update)(void *value, bool fresh, void *data),
                         void *data)
{
    const struct large_place place = place_of(zone, sought, true);
    void *copy = malloc(value_size);

    if (copy == NULL || !zone_lock(zone)) {
        free(copy);
        return false;
    }
    struct cell *cell = find(zone, sought);
    const uint64_t former = version_of(cell), expires_ms = expiry(cell, sought->now_ms, ttl_ms);
    bool fresh = former == 0 || large_read(&place, former, copy, value_size, 0) != (long)value_size;
    if (fresh)
        memset(copy, 0, value_size);
    if (update != NULL)
        update(copy, fresh, data);
    uint64_t version = large_write(&place, former, copy, value_size,
                                   (struct large_times){expires_ms, sought->now_ms});
    lead_to(zone, sought, cell, version, expires_ms);
    zone_unlock(zone);
    free(copy);
    free_parts(zone, sought, former);
    return true;
}

bool zone_update(pillion_zone *zone, const void *key, size_t key_size, uint64_t ttl_ms,
                 size_t value_size, void (*update)(void *value, bool fresh, void *data), void *data)
{
    const struct sought sought = seek(zone, key, key_size);

    if (fits(key_size, value_size))
        return update_small(zone, &sought, ttl_ms, value_size, update, data);
    return fits_parts(zone, key_size, value_size) &&
           update_large(zone, &sought, ttl_ms, value_size, update, data);
}

struct copied {
    const void *data;
    size_t size;
};

static void copy_value(void *value, bool fresh, void *data)
{
    const struct copied *copied = data;

    (void)fresh;
    if (copied->size > 0)
        memcpy(value, copied->data, copied->size);
}

/* The parts are written before the lock is held to lead to them. */
static bool set_large(pillion_zone *zone, const struct sought *sought, const void *value,
                      size_t value_size, uint64_t ttl_ms)
{
    const struct large_place place = place_of(zone, sought, false);

    if (!zone_lock(zone))
        return false;
    const struct cell *now = find(zone, sought);
    const uint64_t known = version_of(now), expires_ms = expiry(now, sought->now_ms, ttl_ms);
    zone_unlock(zone);
    uint64_t version = large_write(&place, known, value, value_size,
                                   (struct large_times){expires_ms, sought->now_ms});
    if (version == 0 || !zone_lock(zone))
        return false;
    uint64_t former = lead_to(zone, sought, find(zone, sought), version, expires_ms);
    zone_unlock(zone);
    free_parts(zone, sought, former);
    return true;
}

bool zone_set(pillion_zone *zone, const void *key, size_t key_size, const void *value,
              size_t value_size, uint64_t ttl_ms)
{
    struct copied copied = {value, value_size};
    const struct sought sought = seek(zone, key, key_size);

    if (fits(key_size, value_size))
        return update_small(zone, &sought, ttl_ms, value_size, copy_value, &copied);
    return fits_parts(zone, key_size, value_size) &&
           set_large(zone, &sought, value, value_size, ttl_ms);
}

void zone_delete(pillion_zone *zone, const void *key, size_t key_size)
{
    const struct sought sought = seek(zone, key, key_size);

    if (!zone_lock(zone))
        return;
    struct cell *cell = find(zone, &sought);
    const uint64_t former = version_of(cell);
    if (cell != NULL)
        cell->hash = 0;
    zone_unlock(zone);
    free_parts(zone, &sought, former);
}

/* ---- Reading ---- */

/* Where a value is copied to. */
struct target {
    void *value;
    size_t room;
    bool uses; /* the value counts as used now */
};

static long copy_small(const struct cell *cell, const struct target *to)
{
    if (to->room > 0)
        memcpy(to->value, cell->data, cell->value_size < to->room ? cell->value_size : to->room);
    return cell->value_size;
}

#define TRIES 4u /* then the lock is held for the whole of a value that changes all the time */

static long get(pillion_zone *zone, const struct sought *sought, const struct target *to)
{
    const uint64_t used_ms = to->uses ? sought->now_ms : 0;
    uint64_t failed = 0;

    for (unsigned tries = 0;; tries++) {
        if (!zone_lock(zone))
            return -1;
        struct cell *cell = find(zone, sought);
        const uint64_t version = version_of(cell);
        /* The same version again: it was not replaced meanwhile, but has lost a part. */
        const bool held = version == failed || tries == TRIES;
        const struct large_place place = place_of(zone, sought, held);
        long size = -1;
        if (cell != NULL && to->uses)
            cell->used_ms = used_ms;
        if (cell != NULL && version == 0)
            size = copy_small(cell, to);
        else if (cell != NULL && held)
            size = large_read(&place, version, to->value, to->room, used_ms);
        if (cell != NULL && held && size < 0)
            cell->hash = 0;
        zone_unlock(zone);
        if (version == 0 || size >= 0)
            return size;
        if (held) {
            free_parts(zone, sought, version);
            return -1;
        }
        size = large_read(&place, version, to->value, to->room, used_ms);
        if (size >= 0)
            return size;
        failed = version;
    }
}

long zone_get(pillion_zone *zone, const void *key, size_t key_size, void *value, size_t room)
{
    const struct sought sought = seek(zone, key, key_size);
    const struct target to = {value, room, true};

    return get(zone, &sought, &to);
}

/* Sizes that no zone_update has written are damage. */
static bool is_there(const struct cell *cell, uint64_t now_ms)
{
    return cell->hash != 0 && !cell_expired(cell, now_ms) && cell->key_size > 0 &&
           fits(cell->key_size, cell_is_large(cell) ? 0 : cell->value_size);
}

/* A buffer that grows with the largest value. */
struct buffer {
    void *data;
    size_t room;
};

/* Copies a value into the buffer. -1 when it is gone, or there is no memory for it. */
static long get_whole(pillion_zone *zone, pillion_bytes key, struct buffer *buffer)
{
    const struct sought sought = seek(zone, key.data, key.size);

    for (;;) {
        const struct target to = {buffer->data, buffer->room, false};
        long size = get(zone, &sought, &to);
        if (size < 0 || (size_t)size <= buffer->room)
            return size;
        free(buffer->data);
        buffer->data = malloc((size_t)size);
        buffer->room = buffer->data != NULL ? (size_t)size : 0;
        if (buffer->data != NULL)
            continue;
        log_seldom(LOG_ERROR_LEVEL, zone,
                   "no memory for the %ld bytes of a value: pillion_zone_each leaves it out", size);
        return -1;
    }
}

static bool visit(pillion_zone *zone, const struct cell *cell, struct buffer *buffer,
                  zone_visitor each, void *data)
{
    const pillion_bytes key = {cell->data + cell_key_at(cell), cell->key_size};

    if (!cell_is_large(cell))
        return each(key, cell->data, cell->value_size, data);
    long size = get_whole(zone, key, buffer);
    return size < 0 || each(key, buffer->data, (size_t)size, data);
}

void zone_each(pillion_zone *zone, zone_visitor each, void *data)
{
    struct buffer buffer = {0};
    bool goes_on = true;

    for (uint32_t set = 0; goes_on && set < zone->set_count; set++) {
        struct cell copies[SET_CELLS];
        uint64_t now = now_in_ms(zone);
        if (!zone_lock(zone))
            break;
        memcpy(copies, zone_set_at(zone, set), sizeof(copies));
        zone_unlock(zone);
        for (unsigned i = 0; goes_on && i < SET_CELLS; i++)
            goes_on = !is_there(&copies[i], now) || visit(zone, &copies[i], &buffer, each, data);
    }
    free(buffer.data);
}
