/* The gates' rows of the board. See board.h.
 *
 * A gate runs no module, so its counts are believed. */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "rpc/board.h"

enum { GATE_SERVES = 1, GATE_LEAVES = 2 }; /* in gate_used */

struct board_gate *board_take_gate(struct board *board)
{
    for (uint32_t i = 0; i < BOARD_GATES_MAX; i++) {
        if (atomic_load(&board->gate_used[i]) != 0)
            continue;
        fold_release(&board->gate_fold, i);
        atomic_store(&board->gate_used[i], GATE_SERVES);
        if (i >= atomic_load(&board->gate_high))
            atomic_store(&board->gate_high, i + 1);
        return &board->gates[i];
    }
    return NULL;
}

uint32_t board_gate_place(const struct board *board, const struct board_gate *gate)
{
    return gate == NULL ? BOARD_NO_GATE : (uint32_t)(gate - board->gates);
}

struct board_gate *board_gate_at(struct board *board, uint32_t place)
{
    return place < BOARD_GATES_MAX && atomic_load(&board->gate_used[place]) != 0
               ? &board->gates[place]
               : NULL;
}

static uint64_t sum_of(const struct board_gate *gate, unsigned from, unsigned end)
{
    uint64_t sum = 0;

    for (unsigned c = from; c < end; c++)
        sum += counter_read(&gate->counters[c]);
    return sum;
}

uint32_t board_gate_clients(const struct board_gate *gate)
{
    uint64_t over = sum_of(gate, TLS_ENDED, TLS_ENDED + TLS_VERSIONS) +
                    sum_of(gate, TLS_FAILED, TLS_FAILED_END),
             begun = counter_read(&gate->counters[TLS_BEGUN]);

    return begun > over ? (uint32_t)(begun - over) : 0;
}

/* What the gate had under way has ended with it. */
static void end_all(struct board_gate *gate)
{
    uint64_t over = sum_of(gate, TLS_MET, TLS_MET + TLS_VERSIONS) +
                    sum_of(gate, TLS_FAILED, TLS_FAILED_END),
             begun = counter_read(&gate->counters[TLS_BEGUN]);

    if (begun > over)
        counter_add(&gate->counters[TLS_FAILED_UNKNOWN], begun - over);
    for (unsigned v = 0; v < TLS_VERSIONS; v++)
        gate->counters[TLS_ENDED + v] = counter_read(&gate->counters[TLS_MET + v]);
}

void board_retire_gate(struct board *board, struct board_gate *gate)
{
    uint32_t place = board_gate_place(board, gate);

    if (place == BOARD_NO_GATE)
        return;
    end_all(gate);
    uint32_t used = fold_totals(fold_begin(&board->gate_fold));
    for (unsigned c = 0; c < TLS_COUNTERS; c++)
        board->gate_totals[1 - used][c] =
            counter_read(&board->gate_totals[used][c]) + counter_read(&gate->counters[c]);
    fold_commit(&board->gate_fold, place);
    for (unsigned c = 0; c < TLS_COUNTERS; c++)
        gate->counters[c] = 0;
    if (gate->crowd.used != 0)
        madvise(&gate->crowd, sizeof(gate->crowd), MADV_REMOVE); /* zeroes */
    atomic_store(&board->gate_used[place], 0);
}

/* The rows that are in use, one after the other: `i` begins at 0. NULL after the last. */
static const struct board_gate *next_gate(const struct board *board, uint32_t *i)
{
    while (*i < atomic_load_explicit(&board->gate_high, memory_order_relaxed)) {
        uint32_t at = (*i)++;
        if (atomic_load_explicit(&board->gate_used[at], memory_order_relaxed) != 0)
            return &board->gates[at];
    }
    return NULL;
}

uint64_t board_sum_tls(const struct board *board, enum tls_counter which)
{
    const struct board_gate *gate;
    uint64_t sum, seen;

    do {
        seen = fold_begin(&board->gate_fold);
        sum = counter_read(&board->gate_totals[fold_totals(seen)][which]);
        for (uint32_t i = 0; (gate = next_gate(board, &i)) != NULL;)
            sum += fold_has(seen, i - 1) ? 0 : counter_read(&gate->counters[which]);
    } while (!fold_holds(&board->gate_fold, seen));
    return sum;
}

uint32_t board_gates(const struct board *board)
{
    uint32_t count = 0, i = 0;

    while (next_gate(board, &i) != NULL)
        count++;
    return count;
}

uint32_t board_gate_average(const struct board *board)
{
    uint32_t high = atomic_load_explicit(&board->gate_high, memory_order_relaxed), gates = 0;
    uint64_t clients = 0;

    for (uint32_t i = 0; i < high; i++) {
        if (atomic_load_explicit(&board->gate_used[i], memory_order_relaxed) != GATE_SERVES)
            continue;
        clients += board_gate_clients(&board->gates[i]);
        gates++;
    }
    return gates == 0 ? 0 : (uint32_t)(clients / gates);
}

void board_gate_leaves(struct board *board, const struct board_gate *gate)
{
    uint32_t place = board_gate_place(board, gate);

    if (place != BOARD_NO_GATE)
        atomic_store(&board->gate_used[place], GATE_LEAVES);
}

uint32_t board_gates_leaving(const struct board *board)
{
    uint32_t high = atomic_load_explicit(&board->gate_high, memory_order_relaxed), count = 0;

    for (uint32_t i = 0; i < high; i++)
        count += atomic_load_explicit(&board->gate_used[i], memory_order_relaxed) == GATE_LEAVES;
    return count;
}

const struct crowd_row *board_next_gate_crowd(void *board, uint32_t *i)
{
    const struct board_gate *gate = next_gate(board, i);
    return gate == NULL ? NULL : &gate->crowd;
}

const struct crowd_row *board_next_crowd(void *context, uint32_t *i)
{
    const struct board *board = context;

    while (*i < atomic_load_explicit(&board->row_high, memory_order_relaxed)) {
        uint32_t at = (*i)++;
        if (atomic_load_explicit(&board->heads[at].state, memory_order_relaxed) != ROW_FREE)
            return &board->rows[at].crowd;
    }
    return NULL;
}
