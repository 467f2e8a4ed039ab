/* The members of groups follow the services that the configuration names: servers that come are
 * connected, and those that leave get no more requests. */
#ifndef PROXY_FOLLOW_H
#define PROXY_FOLLOW_H

#include "upstream.h"

/* Makes a group of these servers, which stay valid. `method`: the method's name there, or NULL
 * while it is not known. `hashes`: a param decides which server is asked. NULL with the reason. */
struct group *group_open(struct proxy *proxy, const pillion_list *servers, const char *method,
                         bool hashes, pillion_error_text *error);
void groups_close(struct proxy *proxy);

/* Gives the group those servers that offer a method, which was not known before. */
void group_serves(struct group *group, const char *method);

/* Gives the group the servers that its services have now. One load from memory for each service
 * when nothing has changed. */
void group_follow(struct group *group);

/* Has the groups that ask a part of their servers look soon whether some of those are lost, or are
 * back: others take their place, or no more. */
void groups_mend(struct proxy *proxy);

/* Has the request of a trip wait until somebody knows which servers there are; or answers it. */
void group_wait(struct group *group, pillion_request *req, struct trip *trip);

#endif
