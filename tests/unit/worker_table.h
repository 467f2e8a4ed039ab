/* Workers that are rows of a table, and two generations, for tests of the master that start no
 * worker: workers_first and generation_current are wrapped by the linker (tests.mk). */
#ifndef PILLION_TESTS_WORKER_TABLE_H
#define PILLION_TESTS_WORKER_TABLE_H

#include "unit.h"

#include "master/generations.h"
#include "master/master.h"
#include "master/workers.h"

static struct generation now, before;
static bool has_now = true;
static struct worker table[8];
static uint32_t worker_count;

struct generation *__wrap_generation_current(void);
struct generation *__wrap_generation_current(void)
{
    return has_now ? &now : NULL;
}

struct worker *__wrap_workers_first(void);
struct worker *__wrap_workers_first(void)
{
    return worker_count == 0 ? NULL : &table[0];
}

/* The master's loop and its board. */
static inline void master_open(void)
{
    struct error error;

    ck_assert(loop_init(&master.loop, &error));
    master.board = board_new(&error);
    ck_assert_ptr_nonnull(master.board);
}

static inline struct worker *table_add(struct generation *of, enum worker_life life)
{
    ck_assert_uint_lt(worker_count, sizeof(table) / sizeof(table[0]));
    struct worker *worker = &table[worker_count++];

    worker->generation = of;
    worker->serial = 100 + worker_count;
    worker->life = life;
    if (worker_count > 1)
        table[worker_count - 2].next = worker;
    return worker;
}

#endif
