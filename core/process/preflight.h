/* What of the machine a configuration cannot work with, as far as one can see without touching
 * anything: nothing is bound, made or opened. `pillion -t` and a start look alike, so that what the
 * one finds good, the other does not stumble over.
 *
 * Each adds its errors, with the place that each is about, and returns false when there are any. */
#ifndef PILLION_PROCESS_PREFLIGHT_H
#define PILLION_PROCESS_PREFLIGHT_H

#include <stdbool.h>

#include "conf/settings.h"
#include "net/address.h"

/* An address to listen on, and the directive that says so. */
struct heard {
    struct address address;
    const struct server_settings *server;
    const struct listen_settings *listen;
};

struct hearing {
    struct heard *items; /* to be freed */
    size_t count;
};

/* All addresses to listen on: names have been looked up, in `lookup_timeout` at most. That they can
 * be read, and that no two of them get in each other's way. `hearing` is set in any case. */
bool preflight_addresses(const struct conf_tree *tree, const struct settings *settings,
                         struct hearing *hearing, struct conf_errors *errors);

/* That two sockets that listen on these addresses cannot be there at the same time. */
bool preflight_conflict(const struct address *one, bool one_reuseport, const struct address *other,
                        bool other_reuseport);

/* That every mask of worker_cpu_affinity has a processor that there is. */
bool preflight_processors(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors);

/* That the system has what every server needs: /proc. */
bool preflight_system(struct conf_errors *errors);

/* That the limits of the process allow arenas of this size, in bytes. */
bool preflight_limits(const struct conf_tree *tree, uint64_t arena, struct conf_errors *errors);

/* That pid file, control socket and log can be made or written where they are to be, and that this
 * spoils no file that is something else. Whether another server has them is seen at the start. */
bool preflight_files(const struct conf_tree *tree, const struct settings *settings,
                     struct conf_errors *errors);

#endif
