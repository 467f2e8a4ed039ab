/* Whether a gateway has the methods that it is to serve: those of `proxy_all` are known as soon as
 * the registry has answered, and served by the generation after that. Until then a new server takes
 * no clients from balancers, which would be told that there is no such method. In workers. */
#ifndef PILLION_WORKER_COMPLETE_H
#define PILLION_WORKER_COMPLETE_H

#include "event/loop.h"
#include "net/directory.h"
#include "process/generation.h"
#include "rpc/dispatcher.h"

/* Sets `incomplete` of the dispatcher, and takes it back in time. All of it stays in use. */
void complete_begin(struct loop *loop, struct dispatcher *dispatcher,
                    const struct generation *generation, const struct directory *directory);

#endif
