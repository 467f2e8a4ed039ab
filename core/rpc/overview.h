/* Sums of the board that more than one view of it shows: rpc.stats and rpc.health
 * (rpc/introspect.h), and the metrics of Prometheus (rpc/exposition.h). Any process. */
#ifndef PILLION_RPC_OVERVIEW_H
#define PILLION_RPC_OVERVIEW_H

#include "rpc/board.h"
#include "rpc/metric_shown.h"

/* "serving" and so on. */
const char *overview_state(uint32_t state);

/* How many workers serve. */
uint32_t overview_serving(const struct board *board);

/* The streams of events that all workers send. */
uint32_t overview_streams(const struct board *board);

/* The pools of all workers that serve, added up. */
struct pools {
    uint64_t busy, queued, stuck;
};

void overview_pools_add(struct pools *sum, const struct board_row *row);
struct pools overview_pools(const struct board *board);

/* The sockets in the vaults, as the vaults report them. */
struct holdings {
    uint64_t held, refused;
    uint32_t unheld, crowded; /* connections that none has; workers that find no room */
};

struct holdings overview_holdings(const struct board *board);

/* Connections that were refused or ended for this reason, by workers or, before their handshake, by
 * gates. */
uint64_t overview_ended(const struct board *board, enum worker_counter which);

/* Handshakes of TLS that are under way, done and failed, and connections of a version that are
 * open. */
uint64_t overview_handshakes(const struct board *board);
uint64_t overview_handshakes_done(const struct board *board);
uint64_t overview_handshakes_failed(const struct board *board);
uint64_t overview_tls_open(const struct board *board, unsigned version);

/* The calls in the histogram: `calls` may be ahead of it by those that are being counted, and has
 * those that no handler has taken. */
uint64_t overview_calls(const struct method_counters *sum);

/* Requests of the method that are under way: one for each worker that runs it, and those that
 * wait. */
uint64_t overview_in_flight(const struct board *board, uint32_t method);

/* A histogram of a module's own, of the name that metric_histogram_name has found. */
struct histogram_view {
    uint64_t count;
    double sum;
    uint32_t used; /* of the buckets, which ascend by their bounds */
    struct histogram_part buckets[BOARD_METRICS_MAX];
};

void overview_histogram(const struct board *board, struct bytes full, struct histogram_view *view);

#endif
