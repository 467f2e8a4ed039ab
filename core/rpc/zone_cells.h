/* The cells of a zone, and its lock: what zone.c and zone_large.c share.
 *
 * A key belongs to one set of sixteen cells, and replaces the least recently used cell when its set
 * is full. A value that does not fit into its key's cell lies in cells of other sets, its parts.
 * Places of cells are computed or masked, never read from the zone, which a module may have written
 * over: sizes are checked at each use. */
#ifndef PILLION_RPC_ZONE_CELLS_H
#define PILLION_RPC_ZONE_CELLS_H

#include <assert.h>
#include <pillion/module.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/shared_lock.h"

#define ZONE_DATA_MAX 216u /* bytes of a key, or of a key and its value in one cell */
#define SET_CELLS     16u
#define PART_SIZE     224u
#define SIZE_LARGE    0xffffu /* the value is in parts */

struct cell {
    uint64_t hash; /* of the key, or the part's mark. 0: free. Written last, and cleared first */
    uint64_t expires_ms, used_ms;
    uint16_t key_size;   /* 0: a part */
    uint16_t value_size; /* SIZE_LARGE, or in a part: the next part's place in its set */
    uint32_t tag;        /* in a part: its value's, so that no part replaces another of the same */
    union {
        struct {
            _Alignas(8) char data[ZONE_DATA_MAX]; /* the value, then the key: values are aligned */
            uint64_t version;                     /* with SIZE_LARGE: which parts are the value */
        };
        char part[PART_SIZE];
    };
};
static_assert(sizeof(struct cell) == 256, "sixteen of them are a page");

/* A zone's dimensions as this process has checked them once: they are copied here, because any
 * worker may write over the zone itself. */
struct pillion_zone {
    char *name;
    struct shared_lock *lock;
    pthread_mutex_t
        threads; /* among those of this process; it says so to one that has it already */
    struct cell *cells;
    uint32_t set_count;
    uint64_t ahead_ms; /* of this machine's clock: times in cells are the zone's */
    struct pillion_zone *next;
};

/* Takes the zone's lock. False, logged, in a thread that has it. */
bool zone_lock(pillion_zone *zone);
void zone_unlock(pillion_zone *zone);

static inline struct cell *zone_set_at(const pillion_zone *zone, size_t set)
{
    return &zone->cells[set * SET_CELLS];
}

static inline struct cell *zone_set_of(const pillion_zone *zone, uint64_t hash)
{
    return zone_set_at(zone, hash % zone->set_count);
}

static inline bool cell_is_large(const struct cell *cell)
{
    return cell->value_size == SIZE_LARGE;
}

static inline size_t cell_key_at(const struct cell *cell)
{
    return cell_is_large(cell) ? 0 : cell->value_size;
}

/* The sizes are checked, because a worker that died may have written anywhere. */
static inline bool cell_holds(const struct cell *cell, uint64_t hash, const void *key, size_t size)
{
    return cell->hash == hash && cell->key_size == size &&
           cell_key_at(cell) + size <= ZONE_DATA_MAX &&
           memcmp(cell->data + cell_key_at(cell), key, size) == 0;
}

static inline bool cell_expired(const struct cell *cell, uint64_t now_ms)
{
    return cell->expires_ms != 0 && cell->expires_ms <= now_ms;
}

/* The key's cell, unless it has expired. */
static inline struct cell *cell_find(const pillion_zone *zone, uint64_t hash, const void *key,
                                     size_t size, uint64_t now_ms)
{
    struct cell *set = zone_set_of(zone, hash);

    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (cell_holds(&set[i], hash, key, size))
            return cell_expired(&set[i], now_ms) ? NULL : &set[i];
    }
    return NULL;
}

/* Cells that a change leaves alone: the key's, and the parts of its two values. */
struct kept_cells {
    uint64_t hash;
    uint32_t tags[2];
};

static inline bool cell_is_kept(const struct cell *cell, const struct kept_cells *kept)
{
    return kept != NULL && (cell->hash == kept->hash ||
                            (cell->key_size == 0 && cell->hash != 0 &&
                             (cell->tag == kept->tags[0] || cell->tag == kept->tags[1])));
}

/* A cell of the set to be written: one that is free or has expired, or the one that was used
 * longest ago. `kept` may be NULL; a value's parts are few enough that some cell is none of them.
 */
static inline struct cell *cell_to_replace(struct cell *set, uint64_t now_ms,
                                           const struct kept_cells *kept)
{
    struct cell *best = NULL;

    for (unsigned i = 0; i < SET_CELLS; i++) {
        if (cell_is_kept(&set[i], kept))
            continue;
        if (set[i].hash == 0 || cell_expired(&set[i], now_ms))
            return &set[i];
        if (best == NULL || set[i].used_ms < best->used_ms)
            best = &set[i];
    }
    return best != NULL ? best : &set[0];
}

#endif
