/* What modules have called back on the worker's loop: timers, and descriptors that they watch.
 *
 * Both are named by numbers that never dangle, as deferred requests are, and belong to the process:
 * its end is theirs. All of it runs on the worker's one thread. */
#ifndef PILLION_RPC_CALLBACK_H
#define PILLION_RPC_CALLBACK_H

#include "event/loop.h"
#include "rpc/board.h"
#include "rpc/instance.h"

/* Before modules start. `row` is this worker's, for the watchdog, or NULL; a callback may take
 * `allowed_ns` (0: as long as it likes). */
void callbacks_init(struct loop *loop, struct board_row *row, uint64_t allowed_ns);

/* Drops all of them. For tests. */
void callbacks_free(void);

/* True when timers and descriptors can be used here: not in a probe. */
bool callbacks_usable(void);

/* What pillion_timer, pillion_watch, pillion_watch_change and pillion_cancel do. */
uint64_t callback_timer(pillion_instance *self, uint64_t after_ms, uint64_t every_ms,
                        void (*call)(pillion_instance *self, void *data), void *data);
uint64_t callback_watch(pillion_instance *self, int fd, unsigned events,
                        void (*call)(pillion_instance *self, int fd, unsigned events, void *data),
                        void *data);
bool callback_change(uint64_t handle, unsigned events);
void callback_cancel(uint64_t handle);

/* The descriptor is about to be closed: nobody watches it any more. */
void callbacks_closing(int fd);

/* Around module code that no request has called: the watchdog sees it, and callback_current says
 * whose it is. */
void callback_enter(const pillion_instance *self);
void callback_leave(void);

/* The module whose callback runs right now, or NULL. */
const pillion_instance *callback_current(void);

#endif
