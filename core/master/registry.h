/* The process that speaks to a registry, in the master. */
#ifndef PILLION_MASTER_REGISTRY_H
#define PILLION_MASTER_REGISTRY_H

#include <stddef.h>

/* These services are to be looked for from now on, and no others. The names are the caller's. */
void registry_wants(const char *const *services, size_t count);

#endif
