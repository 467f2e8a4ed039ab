/* Servers by DNS: keeps the sets of addresses that SRV records name (RFC 2782), for the registry
 * process. It needs dns.so, and no `registry` block.
 *
 * A set is what the records of the lowest priority come to that have an address. Its weights are
 * the records'; a record of weight 0 beside others gets next to nothing, and those of a target with
 * several addresses share its weight. IPv6 addresses count for targets that have no IPv4 address.
 * It is asked for again when the least of all TTLs is over, from SRV_TTL_MIN_MS to SRV_TTL_MAX_MS.
 *
 * A set that was found stays while no name server answers, or none can say. That there is nothing
 * (NXDOMAIN, or no such record) empties it when it is said twice in a row, SRV_AGAIN_MS apart and
 * by different name servers if there are several. A target of "." empties it at once.
 *
 * Nothing waits. Events come from the loop, never from within a call, and nothing of this file may
 * be called from within an event. */
#ifndef PILLION_REGISTRY_SRV_H
#define PILLION_REGISTRY_SRV_H

#include "event/loop.h"
#include "registry/resolver.h"
#include "registry/srv_set.h"

#define SRV_NAMES_MAX      128u
#define SRV_TTL_MIN_MS     1000u
#define SRV_TTL_MAX_MS     3600000u
#define SRV_AGAIN_MS       1000u  /* until a first "nothing" is asked for again */
#define SRV_NOTHING_MAX_MS 30000u /* and until the next, whatever the TTL of "nothing" is */
#define SRV_RETRY_MIN_MS   1000u  /* after a failure, doubled with each further one */
#define SRV_RETRY_MAX_MS   30000u

struct srv_events {
    /* The set of a name, whenever it is another one; in the order of their addresses. Also the
     * first time, when it may be empty. */
    void (*changed)(void *context, const char *name, const struct srv_row *rows, size_t count);
    /* Whether DNS answers for the name, each time that this changes; at first it does. `why` tells
     * the trouble. May be NULL: the log has it. */
    void (*contact)(void *context, const char *name, bool there, const char *why);
};

struct srv;

/* `events` and `servers` are copied, `table` stays the caller's. `servers` NULL: those of
 * RESOLVER_CONF, which is read now, and again when it has changed. Never NULL. */
struct srv *srv_open(struct loop *loop, const struct dns_table *table,
                     const struct resolver_servers *servers, const struct srv_events *events,
                     void *context);
void srv_close(struct srv *srv);

/* Keeps the set of this name, "_pillion._tcp.shop.example", from now on; once is enough. False with
 * the reason when it is no name, or one too many. */
bool srv_want(struct srv *srv, const char *name, struct error *error);
void srv_unwant(struct srv *srv, const char *name);

/* For metrics and status. */
struct srv_figures {
    uint64_t names, away;         /* that are wanted; whose last question has failed */
    uint64_t questions, failures; /* that name servers were asked, for records and addresses */
};
struct srv_figures srv_figures(const struct srv *srv);

#endif
