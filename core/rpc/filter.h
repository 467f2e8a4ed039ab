/* Filters: what runs before a method's handler and after its reply.
 *
 * A use is one `filter` statement in this worker; a method has the uses of its server and then its
 * own. Methods without filters pay one comparison. */
#ifndef PILLION_RPC_FILTER_H
#define PILLION_RPC_FILTER_H

#include "rpc/method.h"

/* One `filter` statement. */
struct filter_use {
    const pillion_filter *filter;
    struct pillion_instance *instance; /* the filter's module */
    void *config;                      /* the statement's structure */
};

/* Runs the method's filters around `handler`, which answers the request, or defers it. */
void filters_run(struct pillion_request *req, void (*handler)(struct pillion_request *req));

/* A deferred request is answered: runs what its filters do after that. */
void filters_after(struct pillion_request *req);

/* A request that no handler has seen is answered: runs those filters' `after` that see such ones.
 */
void filters_unseen(struct pillion_request *req);

#endif
