/* The choice of the server of a group that is asked. */
#ifndef PROXY_GROUP_H
#define PROXY_GROUP_H

#include "upstream.h"

/* Chooses a server and its best connection for a trip, and sets its `last`. Of two servers, drawn
 * by their weights, the one with less under way for its weight. Where those are no good choice,
 * because they are not connected, held up by slow requests, left out or have been asked before, all
 * are looked at. If all are held up, an extra link is opened. A trip with a hash goes to the server
 * that the hash belongs to, or the next one on the ring that can be asked and has room. NULL when
 * no link takes a request: then `*reason` says why, and `*full` is set when that is only because
 * they have too many replies to come. */
struct link *group_choose(struct group *group, struct trip *trip, const char **reason, bool *full);

/* True when another server than the last is connected and has room. */
bool group_has_other(const struct group *group, const struct member *last);

#endif
