/* How many connections each address has, in all workers together, and how many new ones lately: for
 * `limit_conn`.
 *
 * Each worker counts its own connections in a row of shared memory that only it writes to, and adds
 * up what all rows say. So nothing can leak: the row ends with its worker, and its connections are
 * counted by the workers that take them over. Between the two, for the milliseconds of a hand-over,
 * they are not counted.
 *
 * A row is a table of sets of eight cells, a cache line each: a cell has a part of the hash of an
 * address, and a number. The seed of the hash is secret, so that nobody can choose addresses that
 * share a cell. An address whose set is full is not counted, and not limited: with as many
 * addresses as the row has cells, a limit for each of them bounds nothing. */
#ifndef PILLION_NET_CROWD_H
#define PILLION_NET_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CROWD_SETS 8192u
#define CROWD_WAYS 8u

typedef _Atomic uint64_t crowd_set[CROWD_WAYS];

/* In the board's row of a worker; zeros are an empty one. */
struct crowd_row {
    _Atomic uint32_t used; /* 1: there is something in it */
    _Alignas(4096) crowd_set open[CROWD_SETS];
    crowd_set recent[CROWD_SETS];
};

struct crowd {
    struct crowd_row *own;
    uint64_t seed;
    /* The rows of all workers, this one's among them, one after the other: `i` begins at 0. NULL
     * after the last. */
    const struct crowd_row *(*next)(void *context, uint32_t *i);
    void *context;
};

/* What a server allows each address. */
struct crowd_limit {
    uint32_t most; /* connections; 0: any number */
    uint32_t rate; /* new ones in `period_s`; 0: any number */
    uint32_t period_s;
    uint32_t server; /* its number: each counts for itself */
};

/* The key of a client's address; 0 for one that has none, which is not counted. */
uint64_t crowd_key(const struct crowd *crowd, const struct crowd_limit *limit,
                   const struct sockaddr *address);

enum crowd_answer { CROWD_ENTERED, CROWD_FULL, CROWD_TOO_FAST };

/* A client comes: it is counted, if the limit lets it in. Two that come at the same time to two
 * workers may both be refused where there is room for one. */
enum crowd_answer crowd_enter(struct crowd *crowd, const struct crowd_limit *limit, uint64_t key,
                              uint64_t now_ns);

/* True when the address has as many connections as the limit allows: one more would be refused. */
bool crowd_is_full(const struct crowd *crowd, const struct crowd_limit *limit, uint64_t key);

/* One that is there is counted, whatever the limit is; or not any more. */
void crowd_count(struct crowd *crowd, uint64_t key);
void crowd_leave(struct crowd *crowd, uint64_t key);

#endif
