/* Bytes between a session of TLS and a plain socket, in both directions: the gate's, for a client
 * and its worker, and the pump's, for a server and a module.
 *
 * Outside is the side of TLS, inside the plain one. Bytes that one side does not take yet are held
 * until it does, and meanwhile nothing more is read from the other side: at most a record of TLS in
 * each direction. A carrier at rest has no buffer. */
#ifndef PILLION_TLS_CARRIER_H
#define PILLION_TLS_CARRIER_H

#include "tls/tls.h"

/* Bytes that are on their way. */
struct held {
    char *data; /* NULL: none */
    uint32_t start, size;
};

struct carrier {
    const struct tls_table *tls;
    struct tls_session *session;
    int outside, inside; /* non-blocking sockets, which stay the caller's */
    struct held in, out;
    bool in_ended;    /* outside has finished sending, */
    bool in_told;     /* and inside was told */
    bool in_lost;     /* inside takes nothing more: what comes from outside is dropped */
    bool out_ended;   /* inside has finished sending, */
    bool out_told;    /* and outside was told */
    bool out_moved;   /* outside has taken held bytes since the caller has set this to false */
    bool reads_write; /* TLS can read only once it can write */
};

enum { CARRY_IN = 1, CARRY_OUT = 2, CARRY_BOTH = 3 };

/* Reads a first time from outside, before there is an inside, and holds what has come. */
enum tls_status carrier_first(struct carrier *carrier);

/* Carries what there is in the directions `what`, for some rounds: `*more` becomes true when there
 * is more at once. False when TLS is broken. */
bool carrier_run(struct carrier *carrier, unsigned what, bool *more);

/* Nothing is left to do: both sides have ended, and were told. */
bool carrier_done(const struct carrier *carrier);

/* What the sockets are to be watched for (EPOLLIN, EPOLLOUT). With 0 a socket is not to be watched
 * at all: the kernel would report its errors again and again. */
uint32_t carrier_outside_events(const struct carrier *carrier);
uint32_t carrier_inside_events(const struct carrier *carrier);

/* Forgets what is held. The session and the sockets are the caller's to end. */
void carrier_end(struct carrier *carrier);

#endif
