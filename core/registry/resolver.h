/* Asking name servers on the event loop, without waiting for them, by dns.so (registry/dns.h). For
 * the registry process, which finds servers by DNS (registry/srv.h).
 *
 * A question goes to one name server at a time. One that does not answer in time, cannot be reached
 * or cannot say is left for the next one; the one that has answered is asked first from then on.
 * RESOLVER_OPEN_MAX questions are asked at the same time at most, the others wait for their turn.
 *
 * Names are asked for as they are: no search list, no /etc/hosts. */
#ifndef PILLION_REGISTRY_RESOLVER_H
#define PILLION_REGISTRY_RESOLVER_H

#include "base/error.h"
#include "event/loop.h"
#include "net/address.h"
#include "registry/dns.h"

#define RESOLVER_SERVERS_MAX DNS_NAME_SERVERS_MAX
#define RESOLVER_OPEN_MAX    32u
#define RESOLVER_CONF        "/etc/resolv.conf" /* resolv.conf(5) */

struct resolver_servers {
    struct address addresses[RESOLVER_SERVERS_MAX];
    size_t count;
    uint32_t timeout_ms; /* for one answer of one server */
    uint32_t rounds;     /* how often all of them are asked before a question fails */
};

/* Reads a name server as `resolver` has it: an address with or without a port (53). */
bool resolver_server_parse(const char *text, struct address *address, struct error *error);

/* Those of `resolver` and `resolver_timeout`, in `texts`, which the configuration's reading has
 * checked. False with the reason. */
bool resolver_servers_read(const char *const *texts, size_t count, uint32_t timeout_ms,
                           struct resolver_servers *servers, struct error *error);

/* Those of RESOLVER_CONF: its `nameserver` lines, and `timeout` and `attempts` of its `options`.
 * False when it cannot be read; `servers` stays as it was. */
bool resolver_conf_load(const struct dns_table *table, struct resolver_servers *servers,
                        struct error *error);

/* 127.0.0.1, which it is where no file says so. */
void resolver_servers_default(struct resolver_servers *servers);

struct resolver;
struct resolver_query;

struct resolver_reply {
    enum dns_status status;          /* DNS_FOUND, DNS_NONE or DNS_FAILED */
    const struct dns_answer *answer; /* unless it has failed; valid during the call */
    const char *why;                 /* of DNS_FAILED: a sentence with the server's address */
};

/* Told once, never from within resolver_ask. The query is gone with it. Any function may be called
 * from it but resolver_close and resolver_change. */
typedef void (*resolver_done)(void *context, const struct resolver_reply *reply);

/* `servers` is copied: at least one. `table` stays the caller's. Never NULL. */
struct resolver *resolver_open(struct loop *loop, const struct dns_table *table,
                               const struct resolver_servers *servers);
void resolver_close(struct resolver *resolver); /* nobody is told */

/* Other servers from now on, also for queries that are under way: they begin anew. */
void resolver_change(struct resolver *resolver, const struct resolver_servers *servers);

/* Questions so far, each told or not, and those that have failed. */
struct resolver_figures {
    uint64_t questions, failures;
};
struct resolver_figures resolver_figures(const struct resolver *resolver);

/* Asks. `name` is one that dns_name_check (registry/dns_name.h) finds good. The server that is
 * asked first is `skip` places behind the one that has answered last: another one's opinion. */
struct resolver_query *resolver_ask(struct resolver *resolver, const char *name, enum dns_type type,
                                    uint32_t skip, resolver_done done, void *context);
void resolver_cancel(struct resolver_query *query);

#endif
