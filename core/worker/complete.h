/* Whether a gateway has the methods that it is to serve: those of `proxy_all` are known as soon as
 * the registry has answered, and served by the generation after that. Until then a new server takes
 * no clients from balancers, which would be told that there is no such method. That there is none
 * at all is believed after `proxy_all_keep`: services may be about to start, too. In workers. */
#ifndef PILLION_WORKER_COMPLETE_H
#define PILLION_WORKER_COMPLETE_H

#include "event/loop.h"
#include "rpc/dispatcher.h"
#include "worker/start.h"

/* Sets `incomplete` of the dispatcher, and takes it back in time. All of it stays in use. */
void complete_begin(struct loop *loop, struct dispatcher *dispatcher,
                    const struct worker_start *start);

#endif
