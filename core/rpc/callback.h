/* Callbacks of modules on the worker's loop: timers, and descriptors that they watch.
 *
 * Both are named by numbers that never dangle, as deferred requests are, and end with the process.
 * Each remembers the request for which it was set up, if there was one: a crash or hang in its call
 * is put down to that request. All of it runs on the worker's one thread. */
#ifndef PILLION_RPC_CALLBACK_H
#define PILLION_RPC_CALLBACK_H

#include "event/loop.h"
#include "rpc/instance.h"

/* Before modules start. */
void callbacks_init(struct loop *loop);

/* Which worker makes the calls of timers that one worker of the server makes alone. */
enum lead { LEAD_OWN, LEAD_OTHER, LEAD_NOBODY };
void callbacks_led_by(enum lead (*leads)(void));

/* Drops all of them. For tests. */
void callbacks_free(void);

/* True when timers and descriptors can be used here: not in a probe. */
bool callbacks_usable(void);

/* What pillion_timer, pillion_server_timer, pillion_watch, pillion_watch_change and pillion_cancel
 * do. */
uint64_t callback_timer(pillion_instance *self, uint64_t after_ms, uint64_t every_ms,
                        void (*call)(pillion_instance *self, void *data), void *data);
uint64_t callback_server_timer(pillion_instance *self, uint64_t every_ms,
                               void (*call)(pillion_instance *self, void *data), void *data);
uint64_t callback_watch(pillion_instance *self, int fd, unsigned events,
                        void (*call)(pillion_instance *self, int fd, unsigned events, void *data),
                        void *data);
bool callback_change(uint64_t handle, unsigned events);
void callback_cancel(uint64_t handle);

/* For pillion_tls_connect: a call that its connection makes, by callback_tell, until it is
 * cancelled or the connection is over. callback_told returns 0 where no loop is. */
uint64_t callback_told(pillion_instance *self,
                       void (*call)(pillion_instance *self, const char *why, void *data),
                       void *data);
void callback_tell(uint64_t handle, const char *why);

/* The worker's loop; NULL in a probe. */
struct loop *callbacks_loop(void);

/* The descriptor is about to be closed: nobody watches it any more. */
void callbacks_closing(int fd);

#endif
