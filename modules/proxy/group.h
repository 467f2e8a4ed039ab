/* Groups of servers that can stand in for each other, and the choice of the one that is asked. */
#ifndef PROXY_GROUP_H
#define PROXY_GROUP_H

#include "upstream.h"

struct member {
    struct upstream *upstream;
    uint32_t weight; /* 100 is usual */
};

struct group {
    struct group *next;
    const pillion_list *servers; /* as the configuration has them */
    struct dice *dice;
    size_t count;
    uint32_t *sums; /* of the weights of the members up to and with each */
    struct member members[];
};

/* Checks a list of servers: addresses, each with its weight behind it if it has one. Returns 0, or
 * as pillion_error. */
int servers_check(const pillion_list *servers, pillion_error_text *error);

/* Finds the group of these servers, or makes it. NULL with the reason. `servers` stays valid. */
struct group *group_open(struct proxy *proxy, const pillion_list *servers,
                         pillion_error_text *error);
void groups_close(struct proxy *proxy);

/* Chooses a server and its best connection: of two servers, drawn by their weights, the one with
 * less under way for its weight. Where those are no good choice, because they are not connected,
 * held up by slow requests or have been asked before (`last`), all are looked at. If all are held
 * up, an extra link is opened. NULL when no link takes a request: then `*reason` says why, and
 * `*full` is set when that is only because they have too many replies to come. */
struct link *group_choose(struct group *group, const struct upstream *last, const char **reason,
                          bool *full);

/* True when another upstream than `last` is connected and has room. */
bool group_has_other(const struct group *group, const struct upstream *last);

#endif
