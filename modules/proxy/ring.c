/* See ring.h. */
#include "ring.h"

#include <string.h>

#include "../hash.h"

#define DIGIT_BITS \
    11u /* of the 44 bits of a hash: four rounds, so that the last ends in `points` */
#define DIGITS (1u << DIGIT_BITS)

void ring_add(struct ring *ring, uint64_t hash, uint32_t weight, uint32_t index)
{
    for (size_t i = 0; i < ring_share(weight); i++) {
        uint64_t point = hash_mix(hash + i * 0x9e3779b97f4a7c15u);
        ring->points[ring->count++] = point >> RING_INDEX_BITS << RING_INDEX_BITS | index;
    }
}

/* Sorts by one digit of the hash, and keeps the order among equal ones. */
static void sort_by(const uint64_t *from, uint64_t *to, size_t count, unsigned shift)
{
    uint32_t places[DIGITS] = {0}, sum = 0;

    for (size_t i = 0; i < count; i++)
        places[from[i] >> shift & (DIGITS - 1)]++;
    for (size_t i = 0; i < DIGITS; i++) {
        uint32_t these = places[i];
        places[i] = sum;
        sum += these;
    }
    for (size_t i = 0; i < count; i++)
        to[places[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

void ring_sort(struct ring *ring, uint64_t *scratch)
{
    for (unsigned shift = RING_INDEX_BITS; shift < 64; shift += 2 * DIGIT_BITS) {
        sort_by(ring->points, scratch, ring->count, shift);
        sort_by(scratch, ring->points, ring->count, shift + DIGIT_BITS);
    }
}

size_t ring_find(const struct ring *ring, uint64_t key)
{
    size_t first = 0, last = ring->count;

    while (first < last) {
        size_t middle = (first + last) / 2;
        if (ring->points[middle] < key)
            first = middle + 1;
        else
            last = middle;
    }
    return first == ring->count ? 0 : first;
}
