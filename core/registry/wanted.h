/* The services that this server's modules want, and what of the registry is watched for them. They
 * are published to the directory (net/directory.h) whenever something of them has changed.
 *
 * A service "registry:/pillion/shop" is what is registered directly below that path,
 * "registry:/pillion/" all below it. One watch can serve several: where all below /pillion/ is
 * watched, nothing else below it is. A service "srv:NAME" is told by wanted_answer.
 *
 * After a start of the process the directory still has what the process before it knew: a service
 * that nothing has been told of yet keeps that. In the registry process. */
#ifndef PILLION_REGISTRY_WANTED_H
#define PILLION_REGISTRY_WANTED_H

#include "net/directory.h"
#include "registry/etcd.h"

struct wanted_events {
    /* A prefix of keys is to be watched, or not any more. */
    void (*watch)(const char *prefix, bool on);
    /* A service of DNS is to be looked for, or not any more. */
    void (*look_up)(const char *name, bool on);
    /* Something is to be published before long, by wanted_publish. */
    void (*changed)(void);
};

void wanted_begin(struct directory *directory, const struct wanted_events *events);

/* Wants a service, or not any more. False when it is no name of one, or when there are too many. */
bool wanted_set(const char *name, bool wanted);

/* What a watch tells; as in etcd.h. */
void wanted_snapshot(const char *prefix, const struct etcd_row *rows, size_t count);
void wanted_put(struct bytes key, struct bytes value);
void wanted_gone(struct bytes key);

/* The registry is back after some time, in which the leases of servers may have ended that are
 * there still: while this is `on`, those that it does not have any more are kept. */
void wanted_keep(bool on);

/* What DNS has told of a service: all of its servers. `since_ms` is looked after here; `methods`
 * is not known. */
void wanted_answer(const char *name, const struct directory_instance *instances, size_t count);

/* Publishes all services. Where they do not fit into the directory, the largest ones are published
 * without some of their servers, which is logged, so that no request waits for a service that is
 * too large. False with the reason when that does not help: what was there stays. */
bool wanted_publish(struct error *error);

/* The services one after the other, by `index` from 0: false beyond the last. `count` is of the
 * servers that were published. */
bool wanted_next(size_t index, const char **name, size_t *count, bool *known);

#endif
