/* The registry process: it alone speaks to the registry (etcd) and to DNS for the servers that
 * modules want to know of. It holds the lease under which this server's addresses are registered,
 * watches the wanted services, and publishes them to the directory (net/directory.h).
 *
 * It runs no module, reads no byte of a client, and nobody waits for it: when it ends, the
 * directory stays, and another process goes on with its lease, which nobody outside notices. The
 * user's password and the keys of TLS are read while it is root still, and are in no other process.
 */
#ifndef PILLION_REGISTRY_REGISTRY_H
#define PILLION_REGISTRY_REGISTRY_H

#include "process/channel.h"
#include "process/generation.h"
#include "registry/record.h"

struct registry_start {
    int channel;   /* to the master */
    int directory; /* the memory of net/directory.h */
    const struct generation *generation;
    pid_t master;
    int64_t lease; /* of the process before this one; 0: none */
    const struct registry_offer *offers;
    size_t offer_count;
    enum offer offer;          /* how much of them */
    const char *const *former; /* keys that the former configuration has registered, to be taken
                                  back */
    size_t former_count;
    const char *const *wanted; /* services */
    size_t wanted_count;
};

/* Runs it in a child of the master. Never returns. */
_Noreturn void registry_main(const struct registry_start *start);

/* Has a child of this process load what a registry process would load for the generation, within
 * `load_timeout`: the plugin, the password, the files of TLS. Whether the registry answers is not
 * asked: a server starts without it. False with errors. */
bool registry_try(const struct generation *generation, struct conf_errors *errors);

#endif
