/* Requests whose worker has died: whether it died of them, and the answer of those that are not run
 * again. */
#ifndef PILLION_RPC_ORPHAN_H
#define PILLION_RPC_ORPHAN_H

#include "rpc/call.h"

/* How a connection's former worker has ended. */
struct death {
    bool hung;   /* the watchdog ended it, or */
    bool silent; /* (hung too) the heartbeat: something from outside has stopped it, as a rule */
    bool gone;   /* and the connection's client is gone: nothing is run for it */
    bool marked; /* for the request that a handler had in hand: its record's mark ... */
    uint64_t connection, place;    /* ... or otherwise for this one; 0: for none */
    const struct arena *from;      /* its arena, or NULL */
    const struct kept_index *kept; /* the answers that it has kept, or NULL */
};

/* The same, as the connection's adopter sees it before it runs anything: the request is named,
 * because handlers that run from then on change the mark. */
struct death death_of(const struct conns *conns, const struct conn *conn,
                      const struct death *death);

/* True when the former worker died of the request at this place of the input. */
static inline bool death_is_for(const struct death *death, const struct conns *conns,
                                const struct conn *conn, uint64_t place)
{
    return death->connection != 0 && death->connection == conn_id(conns, conn) &&
           death->place == running_place(place);
}

/* What has become of a request. */
enum fate {
    FATE_NONE,     /* nothing was done for it: it is run */
    FATE_CRASHED,  /* the worker died of it */
    FATE_HUNG,     /* the watchdog ended the worker because of it */
    FATE_ORPHANED, /* it was under way */
    FATE_LOST,     /* it is a batch's, and its answer was not kept */
    FATE_SILENT    /* its handler ran when its worker stopped to give signs of life */
};

static inline enum fate death_fate(const struct death *death)
{
    if (death->silent)
        return FATE_SILENT;
    return death->hung ? FATE_HUNG : FATE_CRASHED;
}

/* True when a request that had begun may be run once more. `method` is its method, or NULL. */
bool orphan_runs_again(const struct call *call, const struct method *method);

/* Answers and counts a request that is not run again. */
void orphan_fail(struct call *call, enum fate fate, const struct method *method, struct bytes in);

#endif
