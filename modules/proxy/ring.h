/* A ring on which servers have points by the hashes of their addresses. A key belongs to the server
 * of the first point at or behind its own hash: to the same one in all processes on all hosts, and
 * when a server comes or goes only the keys change theirs that it gets or had. */
#ifndef PROXY_RING_H
#define PROXY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_POINTS     64u /* of a server whose weight is 100 */
#define RING_INDEX_BITS 20u
#define RING_LEAST      8u /* so much may be under way at a server before it counts as too much */

/* Points in ascending order: the hash in the upper bits, and the server's index in the lower. */
struct ring {
    uint64_t *points;
    size_t count;
};

/* How many points a server of this weight has. */
static inline size_t ring_share(uint32_t weight)
{
    size_t share = (size_t)weight * RING_POINTS / 100;
    return share == 0 ? 1 : share;
}

/* Adds the points of a server, by the hash of its address. There is room for them. */
void ring_add(struct ring *ring, uint64_t hash, uint32_t weight, uint32_t index);

/* Puts the points in order, once all are added. `scratch` has room for as many. */
void ring_sort(struct ring *ring, uint64_t *scratch);

/* The place of the point that a key belongs to. There is one point at least. */
size_t ring_find(const struct ring *ring, uint64_t key);

static inline uint32_t ring_index(const struct ring *ring, size_t place)
{
    return (uint32_t)(ring->points[place] & ((UINT64_C(1) << RING_INDEX_BITS) - 1));
}

/* True when a server may have one more under way: with it, it has no more than `percent` of its
 * share, by weight, of all that is under way ("Consistent Hashing with Bounded Loads", Mirrokni,
 * Thorup and Zadimoghaddam, 2016). 0: always. */
static inline bool ring_has_room(size_t pending, uint32_t weight, size_t all, uint32_t weights,
                                 uint32_t percent)
{
    if (percent == 0 || pending < RING_LEAST)
        return true;
    return (uint64_t)pending * 100 * weights < (uint64_t)(all + 1) * weight * percent;
}

#endif
