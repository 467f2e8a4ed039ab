/* Samples of the board for streams of events (rpc/stream.h): JSON on one line.
 *
 * All numbers are counts since the server's start or states at that time, never differences: a
 * reader makes rates of them, also when samples between two are missing. A sample is whole, or has
 * those methods alone that have changed since the sample before it. docs/monitoring.md has its
 * members. In a worker. */
#ifndef PILLION_RPC_SAMPLE_H
#define PILLION_RPC_SAMPLE_H

#include "base/bytes.h"
#include "rpc/board.h"

/* What a method's numbers were. */
struct sample_seen {
    uint64_t calls, in_flight;
    uint32_t quarantined;
};

/* Starts as `{0}`. */
struct sampler {
    uint32_t methods;    /* that were known ... */
    uint64_t generation; /* and the configuration in use, then */
    struct sample_seen seen[BOARD_METHODS_MAX];
};

/* Appends the methods that have changed since the last call, and all else. True when that is not
 * enough for a reader that has had each sample so far, and a whole one is due. */
bool sample_changes(struct sampler *sampler, const struct board *board, struct text *out);

/* Appends all of it, for a reader who is sent samples at this interval. */
void sample_whole(const struct board *board, uint64_t interval_ns, struct text *out);

#endif
