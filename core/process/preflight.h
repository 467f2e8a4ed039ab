/* Checks whether a configuration can work on this machine, as far as that is visible without
 * binding, making or opening anything. `pillion -t` and a start run the same checks, so that a
 * configuration which the test finds good does not fail at the start.
 *
 * Each check adds its errors, with their places in the configuration, and returns false when there
 * are any. */
#ifndef PILLION_PROCESS_PREFLIGHT_H
#define PILLION_PROCESS_PREFLIGHT_H

#include <stdbool.h>

#include "conf/settings.h"
#include "net/address.h"

/* An address to listen on, and the directive that names it. */
struct heard {
    struct address address;
    const struct server_settings *server;
    const struct listen_settings *listen;
};

struct hearing {
    struct heard *items; /* to be freed by the owner */
    size_t count;
};

/* Reads all addresses to listen on, looks host names up (within `lookup_timeout`), and checks that
 * no two addresses conflict. `hearing` is set in any case. */
bool preflight_addresses(const struct conf_tree *tree, const struct settings *settings,
                         struct hearing *hearing, struct conf_errors *errors);

/* An address under which a server block is registered, and the directive that names it. */
struct registered {
    struct address address;
    const struct server_settings *server;
    const struct register_settings *settings;
};

struct registering {
    struct registered *items; /* to be freed by the owner */
    size_t count;
};

/* Reads the addresses of `register`: others can call them as they are written, so none of them is a
 * name or every address of a machine, and none is given twice. Adds to `advice` what is likely to
 * be a slip. `registering` is set in any case. */
bool preflight_registry(const struct conf_tree *tree, const struct settings *settings,
                        struct registering *registering, struct text *advice,
                        struct conf_errors *errors);

/* True when two sockets cannot listen on these addresses at the same time. */
bool preflight_conflict(const struct address *one, bool one_reuseport, const struct address *other,
                        bool other_reuseport);

/* Checks that every mask of worker_cpu_affinity has a processor that exists. */
bool preflight_processors(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors);

/* Checks that the system's /proc, if there is one, can be used; and adds to `advice` what a server
 * lacks without it. */
bool preflight_system(struct conf_errors *errors);
void preflight_advise(struct text *advice);

/* Checks that the limits of the process allow arenas of this size, in bytes. */
bool preflight_limits(const struct conf_tree *tree, uint64_t arena, struct conf_errors *errors);

/* Checks that a Unix socket to listen on can be made, and that it takes the place of no other kind
 * of file and of none of the server's own. */
bool preflight_socket(const struct conf_tree *tree, const struct settings *settings,
                      const struct heard *heard, struct conf_errors *errors);

/* Where root starts the server, and `strict_modes` is on: checks that nobody else may write the
 * configuration, with all that it includes, the modules, and the directories on the way to them. */
bool preflight_writers(const struct conf_tree *tree, const struct settings *settings,
                       struct conf_errors *errors);

/* Checks that pid file, control socket and log can be made or written at their paths, and that no
 * other file is spoiled by that. Whether another server uses them is only seen at the start. */
bool preflight_files(const struct conf_tree *tree, const struct settings *settings,
                     struct conf_errors *errors);

#endif
