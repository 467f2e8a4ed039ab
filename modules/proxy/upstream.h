/* The servers behind: their health, which the log tells, and the choice of the one that is
 * asked. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "../health.h"
#include "link.h"

struct proxy {
    pillion_instance *self;
    const struct settings *settings;
    struct upstream *upstreams; /* each once, even if it is in several groups */
    struct group *groups;
};

struct upstream {
    struct link_owner owner; /* first: links know the upstream by it */
    struct health health;    /* its name is the address, as it is in the configuration */
    bool out;                /* its links are being broken: it gets no request */
    struct upstream *next;
    struct link **links; /* settings->connections permanent ones, then the extra ones */
    int64_t count;
};

/* Upstreams that can stand in for each other. */
struct group {
    struct group *next;
    size_t count, turn;
    struct upstream *members[];
};

struct proxy *proxy_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error);
void proxy_close(struct proxy *proxy);

/* Checks a list of addresses. Returns 0, or as pillion_error. */
int upstreams_check(const pillion_list *addresses, pillion_error_text *error);

/* Finds the group of these addresses, or makes it. NULL with the reason. */
struct group *group_open(struct proxy *proxy, const pillion_list *addresses,
                         pillion_error_text *error);

/* Chooses the connection with the fewest replies to come, of the upstream with the fewest. If it
 * can, it takes another upstream than `last`, and a link that is not held up; if all are held up,
 * it opens an extra link. NULL when no link takes a request: then `*reason` says why, and `*full`
 * is set when that is only because they have too many replies to come. */
struct link *group_choose(struct group *group, const struct upstream *last, const char **reason,
                          bool *full);

/* True when another upstream than `last` is connected and has room. */
bool group_has_other(const struct group *group, const struct upstream *last);

struct upstream *upstream_of(const struct link *link);

#endif
