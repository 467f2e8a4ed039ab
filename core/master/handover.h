/* Connections on their way from workers that are gone, or leave, to workers that serve. Master
 * only.
 */
#ifndef PILLION_MASTER_HANDOVER_H
#define PILLION_MASTER_HANDOVER_H

#include <cjson/cJSON.h>

#include "master/workers.h"

/* Hands the connections of `worker`, which touches them no more, to the workers of the current
 * generation: all of them, or all but those that still wait for an answer. Takes the worker's arena
 * when it is all. */
void handover_add(struct worker *worker, bool all);

/* A worker that has let go of all its connections says so again: a new vault now holds those of
 * them that no worker has taken over yet. */
void handover_again(const struct worker *worker);

/* True while connections of the worker `serial` are still to be taken over. */
bool handover_awaits(uint32_t serial);

/* Offers sources to the workers that can adopt. */
void handover_advance(void);

/* The slot will have no worker for a while: other slots take its sources. */
void handover_redirect(uint32_t slot);

/* `worker` has taken its part of the source `serial`. */
void handover_done(struct worker *worker, uint64_t serial, uint32_t count);

/* `worker` has taken `count` connections of the source `serial` and has no room for more: other
 * workers are to take the rest. */
void handover_full(struct worker *worker, uint64_t serial, uint32_t count);

/* How many connections the worker of a slot will have to take over, as far as the master knows. */
uint32_t handover_expected(uint32_t slot);

/* No more connections of the worker `serial` will be taken over: the vaults close its remaining
 * sockets as soon as no hand-over is under way. */
void handover_retire(uint32_t serial);

/* Another generation serves: decides anew which slot takes which part. */
void handover_replan(void);

/* Connections on their way, by their workers' own count. */
uint64_t handover_open(void);

/* For an upgrade: the sources as JSON and back, and whether their arenas stay open over exec. */
void handover_write(cJSON *state);
void handover_read(const cJSON *state);
void handover_keep_open(bool keep);

#endif
