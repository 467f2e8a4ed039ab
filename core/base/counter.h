/* Numbers in shared memory, read and written without locks. Every process may read them. A counter
 * is written by one thread of one process, a metric cell by all threads of one. Loads and stores
 * are relaxed: a reader may see numbers of different moments. */
#ifndef PILLION_BASE_COUNTER_H
#define PILLION_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint64_t counter;

/* Adds to a counter that only this process writes. */
static inline void counter_add(counter *c, uint64_t more)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* A number that may go down too, and that any thread of one process adds to. */
typedef _Atomic int64_t metric_cell;

static inline void metric_cell_add(metric_cell *cell, int64_t more)
{
    atomic_fetch_add_explicit(cell, more, memory_order_relaxed);
}

/* The same for a number that only one thread ever adds to, at a fifth of the cost. */
static inline void metric_cell_step(metric_cell *cell, int64_t more)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* The same for a cell that holds a double, and for any thread. */
static inline double metric_cell_real(int64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

static inline void metric_cell_add_real(metric_cell *cell, double more)
{
    int64_t before = atomic_load_explicit(cell, memory_order_relaxed), after;

    do {
        double sum = metric_cell_real(before) + more;
        memcpy(&after, &sum, sizeof(after));
    } while (!atomic_compare_exchange_weak_explicit(cell, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}

#endif
