/* How long the registry has been away, for the log: it is said when that begins and ends, by the
 * master's events, and now and then meanwhile, here. In the registry process. */
#ifndef PILLION_REGISTRY_CONTACT_H
#define PILLION_REGISTRY_CONTACT_H

#include "event/loop.h"

/* Call this first. `told` is called when a member answers, and when none has for a while; `why` is
 * the reason. The registry counts as away from now on, or since `lost_ns` (clock_ns(); 0: now),
 * when a former process has lost it; it is told to be `patience_ms` later. `last` gives the last
 * trouble, or "", for as long as it is away. */
void contact_begin(struct loop *loop, uint64_t lost_ns, uint64_t patience_ms,
                   void (*told)(bool there, const char *why), const char *(*last)(void));

/* As etcd.h tells. */
void contact_changed(bool there, const char *why);

bool contact_is_there(void);

/* Since when no member answers, by clock_ns(); 0: one does. */
uint64_t contact_lost_ns(void);

#endif
