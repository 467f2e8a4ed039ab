/* Sums over the board's rows, while the master adds a row to the totals and frees it. There are two
 * totals. The master makes the others of those in use and the row's counts, and then one word says
 * at once that they are in use and that they have the row's: no reader counts the row twice or not
 * at all, however slow the master is, or a reader. A count that went down for a moment would look
 * like one that has begun anew, and all of it like what has just happened. */
#ifndef PILLION_RPC_BOARD_FOLD_H
#define PILLION_RPC_BOARD_FOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FOLD_ROW_BITS 16u

/* Above, a number whose lowest bit names the totals in use; below, 1 + the row that they have. */
typedef _Atomic uint64_t fold_word;

static inline uint64_t fold_begin(const fold_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* False when what was summed up since fold_begin has to be summed up anew. */
static inline bool fold_holds(const fold_word *word, uint64_t seen)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(word, memory_order_relaxed) == seen;
}

static inline uint32_t fold_totals(uint64_t seen)
{
    return seen >> FOLD_ROW_BITS & 1;
}

static inline bool fold_has(uint64_t seen, uint32_t row)
{
    return (seen & ((1u << FOLD_ROW_BITS) - 1)) == row + 1;
}

/* The master has made the other totals, which have this row's counts: the row may be zeroed. */
static inline void fold_commit(fold_word *word, uint32_t row)
{
    uint64_t number = (atomic_load_explicit(word, memory_order_relaxed) >> FOLD_ROW_BITS) + 1;

    atomic_store_explicit(word, number << FOLD_ROW_BITS | (row + 1), memory_order_release);
    atomic_thread_fence(
        memory_order_release); /* what follows is seen by nobody who has not seen it */
}

/* The row is zeroed, and taken again: from here on it is counted. */
static inline void fold_release(fold_word *word, uint32_t row)
{
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);

    if (fold_has(seen, row))
        atomic_store_explicit(word, ((seen >> FOLD_ROW_BITS) + 2) << FOLD_ROW_BITS,
                              memory_order_release);
}

#endif
