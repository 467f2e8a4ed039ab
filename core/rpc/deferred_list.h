/* The deferred requests of a connection, and the way of their answers into its output. */
#ifndef PILLION_RPC_DEFERRED_LIST_H
#define PILLION_RPC_DEFERRED_LIST_H

#include "rpc/call.h"

/* Why a connection's next request waits (conn->stalled). */
enum {
    STALLED_FULL = 1, /* as many requests as may be are deferred, or replies are held */
    STALLED_ORDER, /* it has no id, nor has one that is deferred; or that one ends the connection */
};

static inline struct dispatcher *dispatcher_of(const struct deferred *deferred)
{
    return container_of(deferred->all, struct dispatcher, deferreds);
}

/* Not of one whose connection is gone. */
static inline struct conn *conn_of(const struct deferred *deferred)
{
    return &dispatcher_of(deferred)->conns->conns[deferred->conn - 1];
}

/* The deferred request that a link in a list names; NULL for 0. */
static inline struct deferred *deferred_at(const struct deferreds *all, uint32_t link)
{
    return link == 0 ? NULL : all->table[link - 1];
}

/* NULL when none is deferred. */
static inline struct deferred_list *list_of(const struct dispatcher *dispatcher,
                                            const struct conn *conn)
{
    return conn->deferred ? &dispatcher->lists[conn_index(dispatcher->conns, conn)] : NULL;
}

/* The request, which was deferred in `call`'s hands, knows its connection from now on. */
void list_adopt(struct deferred *deferred, struct call *call);

/* Adds it, as the request at this place of the input, in the frame with this number. */
void list_add(struct deferred *deferred, struct call *call, uint64_t place, uint8_t number);
void list_remove(struct deferred *deferred);

/* The request leaves its connection: what modules keep for that stays there until the request is
 * over. list_remove does it too. */
void list_leave_values(struct deferred *deferred);

/* True while an ordered request is deferred, or one with whose reply the connection ends: the next
 * one has to wait for it. */
bool list_orders(const struct dispatcher *dispatcher, const struct conn *conn);

/* The frames that have begun end there now. */
void list_begun_to(const struct dispatcher *dispatcher, const struct conn *conn, uint64_t place);

/* True when the reply to the frame with this number may be queued before any other one. */
static inline bool list_is_turn_of(const struct conns *conns, const struct conn *conn,
                                   uint8_t number)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    return number == cursors->first || !protocols[cursors->protocol].ordered;
}

/* Queues the answer, or holds it until its turn has come; and those that were held behind it. False
 * while the arena has no room. A notification's needs none. */
bool list_queue_reply(struct deferred *deferred);

/* Before the answer is made: of HTTP, it says whether it is its connection's last one. */
void list_announce(struct deferred *deferred);

/* Queues the connection's replies that wait for room. */
bool list_queue_replies(const struct dispatcher *dispatcher, struct conn *conn);

#endif
