/* The choice of one of several servers that can stand in for each other: the one with less under
 * way of two that are drawn by their weights. To look at all of them would have every worker send
 * its next requests to the same server, the one that has just become free, or has just lost all of
 * its requests because it fails; and it takes longer the more of them there are. */
#ifndef PILLION_MODULES_CHOOSE_H
#define PILLION_MODULES_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

/* Random numbers for a choice, not for secrets: xorshift64* (Vigna, "An experimental exploration of
 * Marsaglia's xorshift generators, scrambled", 2016). Its state is never 0. */
struct dice {
    uint64_t state;
};

static inline struct dice dice_of(uint64_t seed)
{
    return (struct dice){.state = seed * 0x9e3779b97f4a7c15u | 1};
}

/* Another one in each process. */
static inline struct dice dice_new(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return dice_of((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^ (uint64_t)getpid() << 45);
}

static inline uint64_t dice_throw(struct dice *dice)
{
    uint64_t x = dice->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    dice->state = x;
    return x * 0x2545f4914f6cdd1du;
}

/* A number below `limit`, which is at least 1. */
static inline uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)((dice_throw(dice) >> 32) * limit >> 32);
}

/* Draws one of `count` servers, each as often as its weight says: `sums[i]` is the sum of the
 * weights up to and with server i, each at least 1. */
static inline size_t choose_draw(struct dice *dice, const uint32_t *sums, size_t count)
{
    uint32_t at = dice_below(dice, sums[count - 1]);
    size_t first = 0, last = count - 1;

    while (first < last) {
        size_t middle = (first + last) / 2;
        if (at < sums[middle])
            last = middle;
        else
            first = middle + 1;
    }
    return first;
}

/* Draws two different servers of two or more. */
static inline void choose_two(struct dice *dice, const uint32_t *sums, size_t count, size_t *a,
                              size_t *b)
{
    *a = choose_draw(dice, sums, count);
    *b = count == 2 ? 1 - *a : choose_draw(dice, sums, count);
    for (int again = 0; *b == *a && again < 4; again++)
        *b = choose_draw(dice, sums, count);
    if (*b == *a) /* which has nearly all of the weight */
        *b = (*a + 1) % count;
}

/* True when the first server has less under way for its weight than the second. Between those that
 * have as much, the order in which they were drawn decides, and that is by weight. */
static inline bool choose_lighter(size_t pending, uint32_t weight, size_t other_pending,
                                  uint32_t other_weight)
{
    return (uint64_t)pending * other_weight < (uint64_t)other_pending * weight;
}

/* How much of its weight a new server has, of 1024: it grows for `slow_ms`, from a tenth on, so
 * that a server whose caches are empty is not met by its whole share at once. */
static inline uint32_t choose_part(uint64_t age_ms, uint64_t slow_ms)
{
    if (age_ms >= slow_ms)
        return 1024;
    uint32_t part = (uint32_t)(age_ms * 1024 / slow_ms);
    return part < 103 ? 103 : part;
}

#endif
