/* The servers behind: their links, and their health, which the log tells. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "../choose.h"
#include "../health.h"
#include "link.h"

struct proxy {
    pillion_instance *self;
    const struct settings *settings;
    struct upstream *upstreams; /* each once, even if it is in several groups */
    struct group *groups;
    struct dice dice;
};

struct upstream {
    struct link_owner owner; /* first: links know the upstream by it */
    struct health health;    /* its name is the address, as it is in the configuration */
    bool out;                /* its links are being broken: it gets no request */
    struct upstream *next;
    struct link **links; /* settings->connections permanent ones, then the extra ones */
    int64_t count;
};

/* True for an address that a server can have: 127.0.0.1:8080, [::1]:8080 or unix:PATH. */
bool upstream_is(const char *address);

/* Finds the upstream with this address, or makes it and opens its links. NULL without memory. */
struct upstream *upstream_open(struct proxy *proxy, const char *address);
void upstreams_close(struct proxy *proxy);

/* The upstream's best link: one that is not held up, if it can. NULL when none takes a request;
 * `*full` is set when that is because one has too many replies to come. */
struct link *upstream_link(const struct upstream *upstream, bool *full);

/* Opens an extra link. NULL when there are enough, or another link is still connecting. */
struct link *upstream_add_link(struct upstream *upstream);

struct upstream *upstream_of(const struct link *link);

#endif
