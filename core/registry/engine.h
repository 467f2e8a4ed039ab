/* What an engine of a library asks of the process that it runs in: libcurl's (registry/http.h), and
 * c-ares's (registry/dns.h). Neither has a loop of its own: an engine says which descriptors and
 * which moment it waits for, and registry/engine_loop.h ties it to the loop. */
#ifndef PILLION_REGISTRY_ENGINE_H
#define PILLION_REGISTRY_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#define ENGINE_READ  1u
#define ENGINE_WRITE 2u

/* An engine may call these from within all of its own functions. */
struct engine_host {
    void *context;
    /* From now on `ready` is to be called when `fd` can be read or written, as `wanted` says; 0:
     * not any more, and the descriptor is closed soon. False without memory. */
    bool (*watch)(void *context, int fd, unsigned wanted);
    /* `due` is to be called in `ms` milliseconds, in place of any former moment; -1: never. */
    void (*timer)(void *context, int64_t ms);
};

#endif
