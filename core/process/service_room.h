/* Which services a configuration has room for: those that it names come first, then those that
 * `proxy_all` finds. What is left out here is never served, so nothing is listed whose servers
 * nobody looks for. */
#ifndef PILLION_PROCESS_SERVICE_ROOM_H
#define PILLION_PROCESS_SERVICE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/tree.h"
#include "net/directory.h"

struct service_room {
    const char *items[DIRECTORY_SERVICES_MAX]; /* each once */
    size_t count;
};

/* The services that stand in a configuration, as words anywhere in it: modules may read them. The
 * names stay the tree's. */
void service_room_begin(struct service_room *room, const struct conf_tree *tree);

/* Whether there is room for the service, which is then taken. The name is the caller's, and stays
 * valid. */
bool service_room_take(struct service_room *room, const char *name);

/* Whether the service with this path of the registry has been taken. */
bool service_room_has(const struct service_room *room, const char *path);

#endif
