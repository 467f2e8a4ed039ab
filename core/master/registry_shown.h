/* What the registry process has told, put on the board for rpc.stats, metrics and pages. Master
 * only. */
#ifndef PILLION_MASTER_REGISTRY_SHOWN_H
#define PILLION_MASTER_REGISTRY_SHOWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/settings.h"
#include "process/channel.h"

/* A process was started; `settings` is NULL where it speaks to no registry. */
void registry_shown_start(pid_t pid, const struct registry_settings *settings);
void registry_shown_end(void);

void registry_shown_lease(int64_t lease);

/* Reports it, too. */
void registry_shown_contact(pid_t pid, const struct message *message);

void registry_shown_figures(const struct message *message);
void registry_shown_service(const struct message *message);

/* These are the services that are wanted: nothing is shown of others any more. */
void registry_shown_wanted(const char *const *names, size_t count);

#endif
