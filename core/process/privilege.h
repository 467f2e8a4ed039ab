/* Who a process is and what it may have: user, limits, processors, and an end with its parent. */
#ifndef PILLION_PROCESS_PRIVILEGE_H
#define PILLION_PROCESS_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "conf/settings.h"

/* Who workers, vault and probes run as. Looked up once, in the master, because the lookup may load
 * libraries and talk to services. */
struct identity {
    bool change; /* false when the master is not root: they are who the master is */
    uid_t user;
    gid_t group;
    char name[64];
};

/* Resolves `user` and `group` of the settings ("nobody" and its group by default, as root). */
bool identity_resolve(const struct settings *settings, struct identity *identity,
                      struct error *error);

/* In a child: becomes `identity` for good, without a way back (no_new_privs, prctl(2)), and asks to
 * be killed when `parent` dies. */
bool privilege_drop(const struct identity *identity, pid_t parent, struct error *error);

/* Raises the soft limit of open files to `wanted`, and the hard one where that is allowed; 0 raises
 * the soft to the hard limit. Returns the limit that is in force. */
uint64_t limit_open_files(uint64_t wanted);

/* What that would return, with everything left as it is. */
uint64_t open_files_possible(uint64_t wanted);

/* Pins the process as `worker_cpu_affinity` says for this slot. */
bool affinity_apply(const struct conf_list *masks, uint32_t slot, struct error *error);

#endif
