/* The upstreams: their health, which the log tells, the choice of the one that is asked, and the
 * requests that wait until one has room. */
#ifndef PROXY_HTTP_UPSTREAM_H
#define PROXY_HTTP_UPSTREAM_H

#include "exchange.h"

struct proxy;
struct group; /* upstreams that can stand in for each other */

/* `answered` answers a request, or sends it on. NULL with the reason. */
struct proxy *proxy_open(pillion_instance *self, const struct settings *settings,
                         void (*answered)(pillion_request *req, struct trip *trip,
                                          const struct answer *answer),
                         pillion_error_text *error);
void proxy_close(struct proxy *proxy);

/* Finds the group of these URLs, or makes it. NULL with the reason. */
struct group *group_open(struct proxy *proxy, const pillion_list *urls, pillion_error_text *error);

/* Sends the request of a trip to one of two upstreams of its group that are drawn by chance, the
 * one with fewer under way, and to another one than the last if it can; has it wait in line when
 * all have as many as they may; or answers it. */
void group_send(pillion_request *req, struct tries *tries);

/* True when another upstream than the trip's last has room. */
bool group_has_other(const struct trip *trip);

/* An id for a request. */
uint64_t proxy_next_id(struct proxy *proxy);

/* What may be sent again. */
struct budget *proxy_budget(struct proxy *proxy);

#endif
