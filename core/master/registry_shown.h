/* What the registry process has told, put on the board for rpc.stats, metrics and pages. Master
 * only. */
#ifndef PILLION_MASTER_REGISTRY_SHOWN_H
#define PILLION_MASTER_REGISTRY_SHOWN_H

#include <stdint.h>
#include <sys/types.h>

#include "conf/settings.h"
#include "process/channel.h"

/* A process was started; `settings` is NULL where it speaks to no registry. */
void registry_shown_start(pid_t pid, const struct registry_settings *settings);
void registry_shown_end(void);

void registry_shown_lease(int64_t lease);
void registry_shown_contact(const struct message *message);
void registry_shown_figures(const struct message *message);
void registry_shown_service(const struct message *message);

/* Nobody wants the service any more. */
void registry_shown_unwanted(const char *name);

/* For how long the registry has been away, as it was told; 0: it was not. */
uint64_t registry_shown_away_s(void);

#endif
