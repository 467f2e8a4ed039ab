/* How many servers each service has, and which has the most: where there is no room for all of
 * them, that one makes room for the others. In the registry process. */
#ifndef PILLION_REGISTRY_SERVICE_COUNTS_H
#define PILLION_REGISTRY_SERVICE_COUNTS_H

#include <stdint.h>

#include "base/bytes.h"

struct service_count {
    char *name;
    uint32_t count; /* servers */
    struct service_count *next;
};

/* Counts one server more of the service, or one less: the last one frees it. NULL may be given. */
struct service_count *service_count_add(struct bytes name);
void service_count_remove(struct service_count *service);

/* How many servers a service has; and the one that has the most, or NULL. */
uint32_t service_count_of(struct bytes name);
const struct service_count *service_count_largest(void);

#endif
