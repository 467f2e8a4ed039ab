/* Values in parts. See zone_large.h. */
#include "rpc/zone_large.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"

#define BURST 64u /* parts in one holding of the lock: some microseconds */

/* A version's lowest four bits are the place of the first part in its set. */
#define PLACE_BITS 4u
static_assert(SET_CELLS == 1u << PLACE_BITS, "a place in a set is four bits");

/* The first part begins with the value's size. */
#define SIZE_SIZE sizeof(uint64_t)

size_t large_max(const pillion_zone *zone)
{
    return (size_t)zone->set_count * SET_CELLS * sizeof(struct cell) / 8;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* No two values of a zone have the same, also those of dead processes. */
static uint64_t new_version(void)
{
    static _Atomic uint64_t count;
    uint64_t number =
        mix(clock_ns() ^ (uint64_t)getpid() << 40) + mix(atomic_fetch_add(&count, 1) + 1);

    return (mix(number) | (uint64_t)1 << 63) & ~(uint64_t)(SET_CELLS - 1);
}

uint32_t large_tag(uint64_t version)
{
    return (uint32_t)(version >> PLACE_BITS);
}

static uint64_t mark_of(uint64_t version, size_t i)
{
    return mix((version >> PLACE_BITS) + (uint64_t)i * 0x9e3779b97f4a7c15u) | 1;
}

/* ---- From part to part ---- */

struct walk {
    const struct large_place *place;
    uint64_t version;
    size_t i;      /* the part's number */
    size_t set;    /* where it is */
    unsigned cell; /* which cell of the set */
};

static struct walk walk_begin(const struct large_place *place, uint64_t version)
{
    return (struct walk){
        .place = place,
        .version = version,
        .set = (place->hash % place->zone->set_count + 1) % place->zone->set_count,
        .cell = (unsigned)version & (SET_CELLS - 1),
    };
}

/* False when the lock cannot be taken; then it is not held. */
static bool walk_lock(const struct walk *walk)
{
    const struct large_place *place = walk->place;

    if (place->held || walk->i % BURST != 0)
        return true;
    if (walk->i > 0)
        zone_unlock(place->zone);
    return zone_lock(place->zone);
}

static void walk_end(const struct walk *walk)
{
    if (!walk->place->held)
        zone_unlock(walk->place->zone);
}

/* The part, or NULL when it is not there any more. */
static struct cell *walk_part(const struct walk *walk)
{
    struct cell *part = &zone_set_at(walk->place->zone, walk->set)[walk->cell];

    return part->hash == mark_of(walk->version, walk->i) && part->key_size == 0 ? part : NULL;
}

static void walk_on(struct walk *walk, unsigned cell)
{
    walk->i++;
    walk->set = walk->set + 1 == walk->place->zone->set_count ? 0 : walk->set + 1;
    walk->cell = cell & (SET_CELLS - 1);
}

/* ---- Writing ---- */

/* Fills a part, whose value_size the next one sets. */
static void fill(struct cell *part, const struct walk *walk, const void *data, size_t size,
                 struct large_times times)
{
    part->hash = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    part->key_size = 0;
    part->value_size = 0;
    part->tag = large_tag(walk->version);
    part->expires_ms = times.expires_ms;
    part->used_ms = times.used_ms;
    memcpy(part->part + (walk->i == 0 ? SIZE_SIZE : 0), data, size);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    part->hash = mark_of(walk->version, walk->i);
}

uint64_t large_write(const struct large_place *place, uint64_t former, const void *value,
                     size_t size, struct large_times times)
{
    struct walk walk = walk_begin(place, new_version());
    const struct kept_cells kept = {place->hash, {large_tag(walk.version), large_tag(former)}};
    struct cell *before = NULL;
    uint64_t first = 0, size_at_first = size;
    const char *from = value;

    for (size_t left = size; left > 0;) {
        if (!walk_lock(&walk))
            return 0;
        struct cell *set = zone_set_at(place->zone, walk.set);
        struct cell *part = cell_to_replace(set, times.used_ms, &kept);
        unsigned at = (unsigned)(part - set);
        size_t room = walk.i == 0 ? PART_SIZE - SIZE_SIZE : PART_SIZE;
        size_t part_size = left < room ? left : room;
        fill(part, &walk, from, part_size, times);
        if (walk.i == 0) {
            first = at;
            memcpy(part->part, &size_at_first, SIZE_SIZE);
        } else if (before->hash == mark_of(walk.version, walk.i - 1)) {
            /* Otherwise another process has taken its cell since: the value is not there. */
            before->value_size = (uint16_t)at;
        }
        before = part;
        from += part_size;
        left -= part_size;
        walk_on(&walk, 0);
    }
    walk_end(&walk);
    return walk.version | first;
}

/* ---- Reading and freeing ---- */

/* The size that the first part tells, or 0 when no value has it. */
static size_t size_in(const pillion_zone *zone, const struct cell *first)
{
    uint64_t size;

    memcpy(&size, first->part, SIZE_SIZE);
    return size <= large_max(zone) ? (size_t)size : 0;
}

long large_read(const struct large_place *place, uint64_t version, void *value, size_t room,
                uint64_t used_ms)
{
    struct walk walk = walk_begin(place, version);
    size_t size = 0, done = 0;

    do {
        if (!walk_lock(&walk))
            return -1;
        struct cell *part = walk_part(&walk);
        if (part != NULL && walk.i == 0)
            size = size_in(place->zone, part);
        if (part == NULL || size == 0) {
            walk_end(&walk);
            return -1;
        }
        size_t skipped = walk.i == 0 ? SIZE_SIZE : 0, here = PART_SIZE - skipped;
        here = here < size - done ? here : size - done;
        if (done < room)
            memcpy((char *)value + done, part->part + skipped,
                   here < room - done ? here : room - done);
        if (used_ms != 0)
            part->used_ms = used_ms;
        done += here;
        walk_on(&walk, part->value_size);
    } while (done < size);
    walk_end(&walk);
    return (long)size;
}

void large_free(const struct large_place *place, uint64_t version)
{
    struct walk walk = walk_begin(place, version);
    struct cell *part;

    while (walk_lock(&walk)) {
        part = walk_part(&walk);
        if (part == NULL) {
            walk_end(&walk);
            return;
        }
        unsigned next = part->value_size;
        part->hash = 0;
        walk_on(&walk, next);
    }
}
