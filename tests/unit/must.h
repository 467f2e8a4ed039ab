/* Assertions for inner loops, and numbers to feed them: check's own assertions each write to a
 * file, which is too slow a million times over. */
#ifndef PILLION_TESTS_MUST_H
#define PILLION_TESTS_MUST_H

#include <check.h>
#include <stdint.h>

#define must(condition)                     \
    do {                                    \
        if (!(condition))                   \
            ck_abort_msg("%s", #condition); \
    } while (0)

/* The same numbers in every run (xorshift64*), so that a failure comes again. */
static inline uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 33) % limit;
}

#endif
