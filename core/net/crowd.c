/* Connections by address. See crowd.h. */
#include "net/crowd.h"

#include <netinet/in.h>
#include <string.h>

#include "base/access.h"
#include "base/clock.h"

#define NUMBER_MAX 0xffffu
#define PRIME      0x9e3779b97f4a7c15u

/* A cell of `open`: 48 bits of the key, 16 of the number of connections. One of `recent`: 32 bits
 * of the key, 16 of the period in which there were 16 bits of new connections. */
#define OPEN_TAG(key)   ((key) & ~(uint64_t)NUMBER_MAX)
#define RECENT_TAG(key) ((key)&0xffffffff00000000u)

/* ---- Keys ---- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 32) * 0xd6e8feb86659fd93u;
    value = (value ^ value >> 32) * 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

uint64_t crowd_key(const struct crowd *crowd, const struct crowd_limit *limit,
                   const struct sockaddr *address)
{
    struct sockaddr_storage room;
    const struct sockaddr *plain = access_plain(address, &room);
    uint64_t number = 0;

    if (plain->sa_family == AF_INET)
        number = ((const struct sockaddr_in *)(const void *)plain)->sin_addr.s_addr;
    else if (plain->sa_family == AF_INET6)
        memcpy(&number, &((const struct sockaddr_in6 *)(const void *)plain)->sin6_addr,
               sizeof(number));
    else
        return 0;
    uint64_t where = (uint64_t)limit->server << 1 | (plain->sa_family == AF_INET6);
    uint64_t key = mix(mix(crowd->seed ^ number) + mix(crowd->seed * PRIME + where) * PRIME);
    return OPEN_TAG(key) == 0 || RECENT_TAG(key) == 0 ? PRIME : key;
}

/* The bits of the key that neither tag has choose the set; those of `recent` lack too many. */
static uint32_t set_of(uint64_t key)
{
    return (uint32_t)(mix(key) % CROWD_SETS);
}

/* ---- Cells ---- */

static uint64_t read_cell(const crowd_set *set, uint32_t way)
{
    return atomic_load_explicit(&(*set)[way], memory_order_seq_cst);
}

/* The number that a row has for the key: in `recent`, of this period. */
static uint32_t number_of(const crowd_set *set, uint64_t name, uint64_t mask)
{
    for (uint32_t way = 0; way < CROWD_WAYS; way++) {
        uint64_t cell = read_cell(set, way);
        if ((cell & mask) == name)
            return (uint32_t)(cell & NUMBER_MAX);
    }
    return 0;
}

/* Adds to the number in this worker's own row. A cell is free when its number is 0, or when it is
 * of another period (`period_mask`). False when none is. */
static bool add(crowd_set *set, uint64_t name, uint64_t mask, uint64_t period_mask, int more)
{
    uint32_t free_way = CROWD_WAYS;

    for (uint32_t way = 0; way < CROWD_WAYS; way++) {
        uint64_t cell = read_cell(set, way);
        uint64_t number = cell & NUMBER_MAX;
        if (number > 0 && (cell & mask) == name) {
            if (more > 0 ? number < NUMBER_MAX : true)
                atomic_store_explicit(&(*set)[way], more > 0 ? cell + 1 : cell - 1,
                                      memory_order_seq_cst);
            return true;
        }
        if (number == 0 || (cell & period_mask) != (name & period_mask))
            free_way = way;
    }
    if (more < 0 || free_way == CROWD_WAYS)
        return false;
    atomic_store_explicit(&(*set)[free_way], name | 1, memory_order_seq_cst);
    return true;
}

/* ---- All workers ---- */

void crowd_count(struct crowd *crowd, uint64_t key)
{
    atomic_store_explicit(&crowd->own->used, 1, memory_order_relaxed);
    add(&crowd->own->open[set_of(key)], OPEN_TAG(key), ~(uint64_t)NUMBER_MAX, 0, 1);
}

void crowd_leave(struct crowd *crowd, uint64_t key)
{
    add(&crowd->own->open[set_of(key)], OPEN_TAG(key), ~(uint64_t)NUMBER_MAX, 0, -1);
}

static uint64_t sum(const struct crowd *crowd, uint64_t key, uint64_t name, bool recent)
{
    const struct crowd_row *row;
    uint64_t all = 0;

    for (uint32_t i = 0; (row = crowd->next(crowd->context, &i)) != NULL;) {
        if (atomic_load_explicit(&row->used, memory_order_relaxed) == 0)
            continue;
        all += number_of(recent ? &row->recent[set_of(key)] : &row->open[set_of(key)], name,
                         ~(uint64_t)NUMBER_MAX);
    }
    return all;
}

bool crowd_is_full(const struct crowd *crowd, const struct crowd_limit *limit, uint64_t key)
{
    return limit->most > 0 && sum(crowd, key, OPEN_TAG(key), false) >= limit->most;
}

enum crowd_answer crowd_enter(struct crowd *crowd, const struct crowd_limit *limit, uint64_t key,
                              uint64_t now_ns)
{
    crowd_set *recent = &crowd->own->recent[set_of(key)];

    crowd_count(crowd, key);
    if (limit->most > 0 && sum(crowd, key, OPEN_TAG(key), false) > limit->most) {
        crowd_leave(crowd, key);
        return CROWD_FULL;
    }
    if (limit->rate == 0)
        return CROWD_ENTERED;
    uint64_t period = (now_ns / NS_PER_S / limit->period_s & 0xffff) << 16;
    uint64_t name = RECENT_TAG(key) | period;
    if (!add(recent, name, ~(uint64_t)NUMBER_MAX, 0xffff0000u, 1) ||
        sum(crowd, key, name, true) <= limit->rate)
        return CROWD_ENTERED;
    add(recent, name, ~(uint64_t)NUMBER_MAX, 0xffff0000u, -1);
    crowd_leave(crowd, key);
    return CROWD_TOO_FAST;
}
