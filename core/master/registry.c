/* The process that speaks to a registry. See registry.h. */
#include "master/registry.h"

#include "base/log.h"

void registry_wants(const char *const *services, size_t count)
{
    for (size_t i = 0; i < count; i++)
        log_debug("the service \"%s\" is wanted", services[i]);
}
