/* The methods of a service, or of all services below a path, each with the one service that has it.
 * For gateway.c. */
#ifndef PILLION_PROCESS_GATEWAY_METHODS_H
#define PILLION_PROCESS_GATEWAY_METHODS_H

#include "base/bytes.h"
#include "net/directory.h"

struct gateway_method {
    const char *name;
    const char *service; /* "/pillion/shop" */
    const char *about;   /* JSON, as most of the service's instances have it */
    uint32_t votes;      /* instances that do */
};

/* In the order of their names, which are unique. Texts are those of `read`. */
struct gateway_methods {
    struct directory_service *read;
    struct gateway_method *items;
    size_t count;
};

/* Reads the service `name` of the directory. `own` (or NULL) is a service that is left out.
 * `faults` (or NULL) takes a line for each name that several services offer, and for each service
 * that no configuration could name, and that is left out likewise. False when nothing is known of
 * it. Free the result with gateway_methods_free in any case. */
bool gateway_methods_read(const struct directory *directory, const char *name, const char *own,
                          struct gateway_methods *methods, struct text *faults);
void gateway_methods_free(struct gateway_methods *methods);

#endif
