/* The services of DNS in the registry process: what is wanted of them is kept by registry/srv.h,
 * and what that finds is told as rows of the directory. It needs dns.so, and no `registry` block.
 */
#ifndef PILLION_REGISTRY_NAMES_H
#define PILLION_REGISTRY_NAMES_H

#include "conf/settings.h"
#include "event/loop.h"
#include "net/directory.h"
#include "registry/srv.h"

/* Is given all of a name's servers whenever they are others: as registry/wanted.h has it. */
typedef void (*names_answer)(const char *name, const struct directory_instance *instances,
                             size_t count);

/* `resolver` and `resolver_timeout`, as servers to ask. Before the process is locked down.
 * `contact` is called when DNS begins, or ends, to answer for a name. False with the reason. Where
 * dns.so is missing, names are not looked for, and the log says so of each. */
bool names_begin(struct loop *loop, const struct settings *settings, names_answer answer,
                 void (*contact)(void), struct error *error);

/* The name, without "srv:", is to be looked for, or not any more. */
void names_set(const char *name, bool wanted);

/* For metrics and status. */
struct srv_figures names_figures(void);

/* The ports of name servers that answers come from by TCP: at most RESOLVERS_MAX. Returns how many.
 */
size_t names_ports(const struct settings *settings, uint16_t ports[RESOLVERS_MAX]);

#endif
