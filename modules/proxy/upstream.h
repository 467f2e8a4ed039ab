/* The servers behind: their links, and their health, which the log tells. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "../choose.h"
#include "../health.h"
#include "../waiting.h"
#include "link.h"
#include "ring.h"

#define ADDRESS_SIZE 116u /* of unix:PATH with its NUL */
#define BUCKETS      1024u

struct proxy {
    pillion_instance *self;
    const struct settings *settings;
    pillion_tls *tls; /* NULL: the servers speak plain */
    struct budget budget;
    uint32_t max_ejected, outlier_errors, hash_load; /* percent */
    struct dice dice;
    struct upstream
        *upstreams[BUCKETS]; /* by address: each once, even if it is in several groups */
    pillion_handle sweep;    /* frees those that have left */
    struct group *groups;
    struct service *services;
    pillion_handle follow; /* has groups follow their services, one after the other */
    void (*mend_groups)(struct proxy *proxy); /* a server is lost, or is back: follow.h */
    pillion_handle mend;                      /* which looks at all groups soon */
    pillion_handle judge; /* looks for outliers; 0 while there is nothing to look at */
    unsigned rounds;      /* how often it has */
    uint64_t host;        /* of the server that this worker belongs to: see subset.h */
    uint64_t marks;       /* see `mark` of upstreams */
};

/* Why a member of a group is left out. */
enum out { OUT_FAILING = 1, OUT_OUTLIER = 2 };

/* A server as a member of a group. It lasts as long as the server, also when it has left. */
struct member {
    struct upstream *upstream;
    struct member *next; /* of the upstream's, one for each group that it has ever been in */
    struct group *group;
    uint32_t weight; /* 100 is usual */
    uint32_t index;  /* its place in the group; NOWHERE: it has left */
    uint64_t new_ms; /* since when it is slowly given requests; 0: it gets all that it should */
    unsigned out;    /* of enum out */
    struct ejection ejection; /* as an outlier */
    struct link_share share;
};

#define NOWHERE UINT32_MAX

/* A service whose servers are members of a group. */
struct source {
    pillion_service *service;
    uint64_t version; /* the one that the members are of */
};

/* Servers that can stand in for each other. */
struct group {
    struct group *next;
    struct proxy *proxy;
    const pillion_list *servers; /* as the configuration has them */
    const char *method;          /* its name there, which instances of services offer */
    char *name;                  /* the same, when the configuration does not have it */
    bool hashes;                 /* a param may decide which server is asked */

    size_t count;
    struct member **members;
    uint32_t *sums;         /* of the weights of the members up to and with each */
    size_t pending;         /* replies to come */
    size_t out;             /* members that are left out */
    uint64_t slow_ms;       /* until when a member is slowly given requests; 0: none is */
    struct source *sources; /* the services among the servers */
    size_t source_count;
    bool known;               /* whether there are any servers */
    bool is_part;             /* of the servers of its services it has a part: subset.h */
    size_t lost;              /* members that could not be asked when that was decided */
    struct ring ring;         /* when it hashes */
    struct waiting_line line; /* requests that wait until servers are known */
};

struct upstream {
    struct link_owner owner; /* first: links know the upstream by it */
    struct health health;    /* its name is the address */
    char address[ADDRESS_SIZE];
    uint64_t hash; /* of the address */
    bool out;      /* its links are being broken: it gets no request */
    struct upstream *next;
    struct member *members;
    unsigned users;      /* groups that have it */
    struct link **links; /* `permanent` ones, then the extra ones */
    int64_t count, permanent;

    /* What a group that follows its services has found: see follow.c. */
    uint64_t mark, age_ms;
    uint32_t weight;
    bool fixed;
    struct member *member;
};

/* False while nobody knows whether it has servers: then requests wait. */
static inline bool group_is_known(const struct group *group)
{
    return group->count > 0 || group->known;
}

/* True for an address that a server can have: 127.0.0.1:8080, [::1]:8080 or unix:PATH. */
bool upstream_is(const char *address);

/* The upstream with this address, or NULL. */
struct upstream *upstream_known(const struct proxy *proxy, const char *address);

/* True while it cannot be asked, as far as this worker knows. */
static inline bool upstream_is_lost(const struct upstream *upstream)
{
    return upstream->health.reason[0] != '\0';
}

/* Finds the upstream with this address, or makes it, without links. NULL without memory. */
struct upstream *upstream_find(struct proxy *proxy, const char *address);

/* Opens links until it has so many that are permanent. False without memory. */
bool upstream_connect(struct upstream *upstream, int64_t links);

/* A group has it from now on; or has it no more. One that no group has finishes what is under way,
 * and then its connections are closed. */
void upstream_use(struct upstream *upstream);
void upstream_leave(struct upstream *upstream);

/* Frees those that no group has, soon. */
void upstreams_tidy(struct proxy *proxy);
void upstreams_close(struct proxy *proxy);

/* The upstream's best link: one that is not held up, if it can. NULL when none takes a request;
 * `*full` is set when that is because one has too many replies to come. */
struct link *upstream_link(struct upstream *upstream, bool *full);

/* Opens an extra link. NULL when there are enough, or another link is still connecting. */
struct link *upstream_add_link(struct upstream *upstream);

/* A member is left out for this reason from now on, or no more. */
void member_leaves_out(struct member *member, enum out why, bool out);

#endif
