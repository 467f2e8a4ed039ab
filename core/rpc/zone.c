/* Cells in sets, behind one lock. See zone.h. */
#include "rpc/zone.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "base/shared_lock.h"

#define ZONE_MAGIC  0x454e4f5au /* "ZONE" */
#define ZONE_LAYOUT 1u
#define SET_CELLS   16u

struct cell {
    uint64_t hash; /* 0: free. Written last, and cleared first */
    uint64_t expires_ms, used_ms;
    uint16_t key_size, value_size;
    uint32_t unused;
    _Alignas(8) char data[ZONE_DATA_MAX]; /* the value, then the key: values are aligned */
    uint64_t spare;
};
static_assert(sizeof(struct cell) == 256, "sixteen of them are a page");

struct zone_header {
    uint32_t magic, layout, cell_size, set_count;
    char unused[256]; /* versions before had a mutex here */
    struct shared_lock lock;
};

/* A zone's dimensions as this process has checked them once: they are copied here, because any
 * worker may write over the zone itself. */
struct pillion_zone {
    char *name;
    struct shared_lock *lock;
    pthread_mutex_t
        threads; /* among those of this process; it says so to one that has it already */
    struct cell *cells;
    uint32_t set_count;
    struct pillion_zone *next;
};

static struct pillion_zone *zones; /* of this process */

/* ---- The file ---- */

#define CELLS_AT 4096u

int zone_create(uint64_t size, struct error *error)
{
    uint32_t sets = (uint32_t)((size - CELLS_AT) / (SET_CELLS * sizeof(struct cell)));
    int fd = memfd_create("pillion zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 ||
        ftruncate(fd, (off_t)(CELLS_AT + (uint64_t)sets * SET_CELLS * sizeof(struct cell))) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        error_errno(error, "cannot make a zone of %llu bytes", (unsigned long long)size);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    struct zone_header *header = mmap(NULL, CELLS_AT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) {
        error_errno(error, "cannot map a zone");
        close(fd);
        return -1;
    }
    header->layout = ZONE_LAYOUT;
    header->cell_size = sizeof(struct cell);
    header->set_count = sets;
    header->magic = ZONE_MAGIC;
    munmap(header, CELLS_AT);
    return fd;
}

static bool header_known(const struct zone_header *header, off_t size)
{
    return header->magic == ZONE_MAGIC && header->layout == ZONE_LAYOUT &&
           header->cell_size == sizeof(struct cell) && header->set_count > 0 &&
           size ==
               (off_t)(CELLS_AT + (uint64_t)header->set_count * SET_CELLS * sizeof(struct cell));
}

bool zone_known(int fd)
{
    struct zone_header header;
    struct stat status;

    return fstat(fd, &status) == 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
           header_known(&header, status.st_size);
}

bool zone_add(const char *name, int fd, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_errno(error, "cannot examine the zone \"%s\"", name);
    if (status.st_size < (off_t)(CELLS_AT + SET_CELLS * sizeof(struct cell)))
        return error_set(error, "the zone \"%s\" has no room for anything", name);
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "cannot map the zone \"%s\"", name);
    /* Most of it may have no pages: a core dump would give it all of them. */
    madvise(memory, (size_t)status.st_size, MADV_DONTDUMP);
    struct pillion_zone *zone = must_zalloc(sizeof(*zone));
    struct zone_header *header = memory;
    pthread_mutexattr_t checked;
    pthread_mutexattr_init(&checked);
    pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&zone->threads, &checked);
    pthread_mutexattr_destroy(&checked);
    zone->name = must_strdup(name);
    zone->lock = &header->lock;
    zone->cells = (struct cell *)(void *)((char *)memory + CELLS_AT);
    zone->set_count =
        (uint32_t)(((uint64_t)status.st_size - CELLS_AT) / (SET_CELLS * sizeof(struct cell)));
    zone->next = zones;
    zones = zone;
    return true;
}

void zones_forget(void)
{
    zones = NULL;
}

pillion_zone *zone_find(const char *name)
{
    struct pillion_zone *zone = zones;
    while (zone != NULL && strcmp(zone->name, name) != 0)
        zone = zone->next;
    return zone;
}

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

static struct cell *set_of(const pillion_zone *zone, uint64_t hash)
{
    return &zone->cells[hash % zone->set_count * SET_CELLS];
}

/* The sizes are checked, because a worker that died may have written anywhere. */
static bool holds(const struct cell *cell, uint64_t hash, const void *key, size_t size)
{
    return cell->hash == hash && cell->key_size == size &&
           (size_t)cell->value_size + cell->key_size <= ZONE_DATA_MAX &&
           memcmp(cell->data + cell->value_size, key, size) == 0;
}

static bool expired(const struct cell *cell, uint64_t now_ms)
{
    return cell->expires_ms != 0 && cell->expires_ms <= now_ms;
}

static struct cell *find(const pillion_zone *zone, uint64_t hash, const void *key, size_t size,
                         uint64_t now_ms)
{
    struct cell *set = set_of(zone, hash);

    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (holds(&set[i], hash, key, size))
            return expired(&set[i], now_ms) ? NULL : &set[i];
    }
    return NULL;
}

/* A cell for a new key: its own that has expired, one that is free or has expired, or the one that
 * was used longest ago. */
static struct cell *take(const pillion_zone *zone, uint64_t hash, const void *key, size_t size,
                         uint64_t now_ms)
{
    struct cell *set = set_of(zone, hash), *best = &set[0];

    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (holds(&set[i], hash, key, size))
            return &set[i];
    }
    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (set[i].hash == 0 || expired(&set[i], now_ms))
            return &set[i];
        if (set[i].used_ms < best->used_ms)
            best = &set[i];
    }
    return best;
}

/* A worker that dies within a change leaves nothing half linked: cells are whole, or free. */
static bool lock(pillion_zone *zone)
{
    int error = pthread_mutex_lock(&zone->threads);

    if (error == EDEADLK) {
        log_seldom(LOG_ERROR_LEVEL, zone,
                   "a module uses the zone \"%s\" from within pillion_zone_update", zone->name);
        return false;
    }
    shared_lock_take(zone->lock);
    return true;
}

static void unlock(pillion_zone *zone)
{
    shared_lock_give(zone->lock);
    pthread_mutex_unlock(&zone->threads);
}

static bool fits(size_t key_size, size_t value_size)
{
    return key_size > 0 && key_size <= ZONE_DATA_MAX && value_size <= ZONE_DATA_MAX - key_size;
}

static uint64_t now_in_ms(void)
{
    return clock_ns() / NS_PER_MS;
}

/* When a value expires that is written now. */
static uint64_t expiry(const struct cell *cell, bool fresh, uint64_t now_ms, uint64_t ttl_ms)
{
    const uint64_t mark = PILLION_ONCE(0);
    bool once = (ttl_ms & mark) != 0 && ttl_ms != UINT64_MAX; /* which always was for ever */

    if (once && !fresh)
        return cell->expires_ms;
    ttl_ms = once ? ttl_ms & ~mark : ttl_ms;
    return ttl_ms == 0 ? 0 : clock_after(now_ms * NS_PER_MS, ttl_ms) / NS_PER_MS;
}

/* ---- What modules do ---- */

bool zone_update(pillion_zone *zone, const void *key, size_t key_size, uint64_t ttl_ms,
                 size_t value_size, void (*update)(void *value, bool fresh, void *data), void *data)
{
    uint64_t hash = hash_of(key, key_size), now = now_in_ms();

    if (!fits(key_size, value_size) || !lock(zone))
        return false;
    struct cell *cell = find(zone, hash, key, key_size, now);
    bool fresh = cell == NULL || cell->value_size != value_size;
    if (fresh) {
        if (cell == NULL)
            cell = take(zone, hash, key, key_size, now);
        cell->hash = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        cell->key_size = (uint16_t)key_size;
        cell->value_size = (uint16_t)value_size;
        memset(cell->data, 0, value_size);
        memcpy(cell->data + value_size, key, key_size);
    }
    cell->used_ms = now;
    cell->expires_ms = expiry(cell, fresh, now, ttl_ms);
    if (update != NULL)
        update(cell->data, fresh, data);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cell->hash = hash;
    unlock(zone);
    return true;
}

long zone_get(pillion_zone *zone, const void *key, size_t key_size, void *value, size_t room)
{
    uint64_t hash = hash_of(key, key_size), now = now_in_ms();
    long size = -1;

    if (!lock(zone))
        return -1;
    struct cell *cell = find(zone, hash, key, key_size, now);
    if (cell != NULL) {
        size = cell->value_size;
        if (room > 0)
            memcpy(value, cell->data, cell->value_size < room ? cell->value_size : room);
        cell->used_ms = now;
    }
    unlock(zone);
    return size;
}

struct copied {
    const void *data;
    size_t size;
};

static void copy_value(void *value, bool fresh, void *data)
{
    const struct copied *copied = data;

    (void)fresh;
    memcpy(value, copied->data, copied->size);
}

bool zone_set(pillion_zone *zone, const void *key, size_t key_size, const void *value,
              size_t value_size, uint64_t ttl_ms)
{
    struct copied copied = {value, value_size};
    return zone_update(zone, key, key_size, ttl_ms, value_size, copy_value, &copied);
}

void zone_delete(pillion_zone *zone, const void *key, size_t key_size)
{
    uint64_t hash = hash_of(key, key_size);

    if (!lock(zone))
        return;
    struct cell *cell = find(zone, hash, key, key_size, now_in_ms());
    if (cell != NULL)
        cell->hash = 0;
    unlock(zone);
}

/* Sizes that no zone_update has written are damage. */
static bool is_there(const struct cell *cell, uint64_t now_ms)
{
    return cell->hash != 0 && !expired(cell, now_ms) && cell->key_size > 0 &&
           fits(cell->key_size, cell->value_size);
}

void zone_each(pillion_zone *zone, zone_visitor each, void *data)
{
    for (uint32_t set = 0; set < zone->set_count; set++) {
        struct cell copies[SET_CELLS];
        uint64_t now = now_in_ms();
        if (!lock(zone))
            return;
        memcpy(copies, &zone->cells[(size_t)set * SET_CELLS], sizeof(copies));
        unlock(zone);
        for (unsigned i = 0; i < SET_CELLS; i++) {
            const struct cell *cell = &copies[i];
            const pillion_bytes key = {cell->data + cell->value_size, cell->key_size};
            if (is_there(cell, now) && !each(key, cell->data, cell->value_size, data))
                return;
        }
    }
}
