/* A process's rights and limits: its user, open files, processors, and being killed when its parent
 * dies. The master looks users up; its children give their rights up by the functions here, before
 * any module code runs. */
#ifndef PILLION_PROCESS_PRIVILEGE_H
#define PILLION_PROCESS_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "conf/settings.h"

/* The user that workers, vaults and probes run as. The master looks it up once, because the lookup
 * may load libraries and talk to services. */
struct identity {
    bool change; /* false when the master is not root: then they have the master's user */
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

/* In a child with secrets in its memory: no other process of its user may trace it (ptrace(2)), and
 * no core dump has them. Changing the user undoes it (prctl(2)): call it again then. */
void privilege_protect(void);

/* Raises the soft limit on open files to `wanted`, and the hard one where that is allowed; 0 raises
 * the soft limit to the hard one. Returns the limit in force. */
uint64_t limit_open_files(uint64_t wanted);

/* The value that limit_open_files would return; changes nothing. */
uint64_t open_files_possible(uint64_t wanted);

/* Pins the process as `worker_cpu_affinity` says for this slot. */
bool affinity_apply(const struct conf_list *masks, uint32_t slot, struct error *error);

#endif
