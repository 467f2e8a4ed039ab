/* Deferred requests: handlers that have returned without an answer, and will give one later.
 *
 * A handler that defers gets a token: a number, so there is nothing to use after it is gone. The
 * request moves here when the handler returns, with its memory and a copy of its frame. The token
 * gives it back once; the module that resumed it answers before the batch of events is over. When
 * its time is up the request is answered `timeout`, or `deadline_exceeded` if its client waits no
 * longer; when its client goes it is dropped. From then on the token leads nowhere. Where requests
 * and tokens are kept meanwhile is deferred_table.h's.
 *
 * Knows nothing of connections: `finish` is told of every answer. All of it runs on the worker's
 * one thread. */
#ifndef PILLION_RPC_DEFERRED_H
#define PILLION_RPC_DEFERRED_H

#include "rpc/deferred_table.h"

/* What pillion_defer does. 0 after a wrong use (logged) or without memory; the request is then
 * answered. */
uint64_t deferred_begin(struct pillion_request *req, uint64_t timeout_ms);

/* The request's work waits for a thread from now on; one has begun it (any thread may say so). */
void deferred_pooled(struct deferred *deferred);
void deferred_taken(struct deferred *deferred);

/* What pillion_resume does: the request, or NULL. */
struct pillion_request *deferred_resume(struct deferreds *all, uint64_t token);

/* What pillion_on_cancel does. False when the token leads nowhere. */
bool deferred_on_cancel(struct deferreds *all, uint64_t token, void (*cancelled)(void *data),
                        void *data);

/* What pillion_rerunnable does. False when the token leads nowhere. */
bool deferred_rerunnable(struct deferreds *all, uint64_t token, bool rerunnable);

/* Sets `waits`. */
void deferred_waits(struct deferred *deferred, bool waits);

/* The handler has returned: takes the request over from where it was. `pool` gets an empty one. */
void deferred_keep(struct deferred *deferred, struct pool *pool);

/* The client is gone: nobody waits for the answer. */
void deferred_drop(struct deferred *deferred);

/* Answers in the module's place; the token leads nowhere afterwards. */
__attribute__((format(printf, 3, 4))) void deferred_fail(struct deferred *deferred,
                                                         const char *code, const char *format, ...);

/* The client waits no more (due_ns): answers so in the module's place. */
void deferred_exceed(struct deferred *deferred);

/* When the client of a request, deferred or not, waits no more; 0: it does not say. */
uint64_t deferred_due_ns(const struct pillion_request *req);

/* A reply that has found no room yet (malloc'd, taken over), as a deferred request that is
 * answered.
 */
struct deferred *deferred_reply(struct deferreds *all, char *reply, size_t size);

/* One that stands for a frame, and that module code never has in hand. With a reply it becomes
 * DEFERRED_ANSWERED. */
struct deferred *deferred_stand_in(struct deferreds *all);

/* At a batch's end: sees that every resumed request is answered, and finishes it. */
void deferreds_settle(struct deferreds *all);

#endif
