/* A worker that wears out: one that has answered so many requests, or has so much memory, as the
 * configuration allows (worker_max_requests, worker_max_memory) asks for another in its place, to
 * which it hands over as at a reload.
 *
 * It looks once a second, so that no request pays for it. The memory is that of the worker alone:
 * arenas and zones, which are shared, do not count. A worker that begins with more than it may have
 * would be replaced without end: it says so, and goes on. */
#ifndef PILLION_WORKER_WEAR_H
#define PILLION_WORKER_WEAR_H

#include "conf/settings.h"
#include "event/loop.h"
#include "rpc/board.h"

/* Begins to look, if there is something to look for. `worn` is called, again and again, once the
 * worker is to be replaced. */
void wear_watch(struct loop *loop, const struct settings *settings, const struct board_row *row,
                void (*worn)(void));

#endif
