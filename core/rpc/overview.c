/* Adding up rows of the board. See overview.h. */
#include "rpc/overview.h"

const char *overview_state(uint32_t state)
{
    static const char *const names[] = {
        [ROW_FREE] = "free",       [ROW_STARTING] = "starting", [ROW_READY] = "ready",
        [ROW_SERVING] = "serving", [ROW_LEAVING] = "leaving",
    };
    return state < sizeof(names) / sizeof(*names) ? names[state] : "?";
}

uint32_t overview_serving(const struct board *board)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < board->row_high; i++)
        count += atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) == ROW_SERVING;
    return count;
}

uint32_t overview_streams(const struct board *board)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < board->row_high; i++) {
        if (atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) != ROW_FREE)
            sum += atomic_load_explicit(&board->rows[i].streams, memory_order_relaxed);
    }
    return sum;
}

void overview_pools_add(struct pools *sum, const struct board_row *row)
{
    sum->busy += atomic_load_explicit(&row->pool_busy, memory_order_relaxed);
    sum->queued += atomic_load_explicit(&row->pool_queued, memory_order_relaxed);
    sum->stuck += atomic_load_explicit(&row->pool_stuck, memory_order_relaxed);
}

struct pools overview_pools(const struct board *board)
{
    struct pools sum = {0};

    for (uint32_t i = 0; i < board->row_high; i++) {
        if (atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) == ROW_SERVING)
            overview_pools_add(&sum, &board->rows[i]);
    }
    return sum;
}

struct holdings overview_holdings(const struct board *board)
{
    struct holdings sum = {0};

    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++) {
        sum.held += atomic_load_explicit(&board->vaults[i].held, memory_order_relaxed);
        sum.refused += counter_read(&board->vaults[i].refused);
    }
    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_row *row = &board->rows[i];
        if (atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) == ROW_FREE)
            continue;
        sum.unheld += atomic_load_explicit(&row->unheld, memory_order_relaxed);
        sum.crowded += atomic_load_explicit(&row->crowded, memory_order_relaxed);
    }
    return sum;
}

uint64_t overview_ended(const struct board *board, enum worker_counter which)
{
    static const uint8_t before[WORKER_COUNTERS] = {
        [COUNT_ENDED_DENY] = TLS_REFUSED_DENY,
        [COUNT_ENDED_PROXY_FROM] = TLS_REFUSED_PROXY_FROM,
        [COUNT_ENDED_CONN] = TLS_REFUSED_CONN,
        [COUNT_ENDED_RATE] = TLS_REFUSED_RATE,
        [COUNT_ENDED_HEADER] = TLS_REFUSED_HEADER,
    };
    uint64_t sum = board_sum(board, which);

    return before[which] == 0 ? sum : sum + board_sum_tls(board, before[which]);
}

/* Counts of different moments: a later one may be ahead. */
static uint64_t left_of(uint64_t all, uint64_t gone)
{
    return all > gone ? all - gone : 0;
}

uint64_t overview_handshakes_done(const struct board *board)
{
    uint64_t sum = 0;

    for (unsigned v = 0; v < TLS_VERSIONS; v++)
        sum += board_sum_tls(board, TLS_MET + v);
    return sum;
}

uint64_t overview_handshakes_failed(const struct board *board)
{
    uint64_t sum = 0;

    for (unsigned c = TLS_FAILED; c < TLS_FAILED_END; c++)
        sum += board_sum_tls(board, (enum tls_counter)c);
    return sum;
}

uint64_t overview_handshakes(const struct board *board)
{
    uint64_t begun = board_sum_tls(board, TLS_BEGUN);
    return left_of(begun, overview_handshakes_done(board) + overview_handshakes_failed(board));
}

uint64_t overview_tls_open(const struct board *board, unsigned version)
{
    uint64_t ended = board_sum_tls(board, TLS_ENDED + version);
    return left_of(board_sum_tls(board, TLS_MET + version), ended);
}

uint64_t overview_calls(const struct method_counters *sum)
{
    uint64_t total = 0;

    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++)
        total += counter_read(&sum->latency[b]);
    return total;
}

uint64_t overview_in_flight(const struct board *board, uint32_t method)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_row *row = &board->rows[i];
        if (atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) == ROW_FREE)
            continue;
        sum += atomic_load_explicit(&row->running, memory_order_relaxed) == method + 1;
        sum += atomic_load_explicit(&row->methods[method].waiting, memory_order_relaxed);
    }
    return sum;
}

/* Puts a bucket among the others. */
static void place_bucket(struct histogram_view *view, const struct histogram_part *bucket)
{
    uint32_t at = view->used++;

    for (; at > 0 && view->buckets[at - 1].bound > bucket->bound; at--)
        view->buckets[at] = view->buckets[at - 1];
    view->buckets[at] = *bucket;
}

void overview_histogram(const struct board *board, struct bytes full, struct histogram_view *view)
{
    struct histogram_part part;

    view->count = view->used = 0;
    view->sum = 0;
    for (uint32_t i = 0; metric_part_next(board, full, &i, &part);) {
        view->sum += part.sum;
        view->count += (uint64_t)part.count;
        if (!part.is_sum)
            place_bucket(view, &part);
    }
}
