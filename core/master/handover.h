/* Connections on their way from workers that are gone, or leave, to workers that serve. Master
 * only.
 */
#ifndef PILLION_MASTER_HANDOVER_H
#define PILLION_MASTER_HANDOVER_H

#include <cjson/cJSON.h>

#include "master/workers.h"

/* The connections of `worker`, which touches them no more, go to the workers of the current
 * generation: all of them, or all but those that stay for now. Takes its arena when it is all. */
void handover_add(struct worker *worker, bool all);

/* A worker that has let go of all says so again: another vault has those of its connections now
 * that no worker has taken over yet. */
void handover_again(const struct worker *worker);

/* True while there is something to be taken over of the worker `serial`. */
bool handover_awaits(uint32_t serial);

/* Gives sources to the workers that can adopt. */
void handover_advance(void);

/* The slot will have no worker for a while: others take what it was to take. */
void handover_redirect(uint32_t slot);

/* `worker` has taken its part of the source `serial`. */
void handover_done(struct worker *worker, uint64_t serial, uint32_t count);

/* It has taken some of it, and has no room for more: others are to take the rest. */
void handover_full(struct worker *worker, uint64_t serial, uint32_t count);

/* How many connections the worker of a slot will have to take over, as far as is known. */
uint32_t handover_expected(uint32_t slot);

/* No more connections of the worker `serial` will be taken over: the vaults close the rest as soon
 * as no hand-over is under way. */
void handover_retire(uint32_t serial);

/* Another generation serves: which slot takes which part is decided anew. */
void handover_replan(void);

/* Connections that are on their way, as far as their workers have said. */
uint64_t handover_open(void);

/* For an upgrade: what is on its way as JSON and back, and whether the arenas stay open over exec.
 */
void handover_write(cJSON *state);
void handover_read(const cJSON *state);
void handover_keep_open(bool keep);

#endif
