/* The way to etcd: what is asked goes to one member after the other until one has answered it, and
 * what goes on is begun again on the next. Owners of asks hear nothing of members, of tokens, and
 * of pauses.
 *
 * An ask is embedded in its owner's structure, as a timer is; its owner makes its body anew each
 * time that it is sent. */
#ifndef PILLION_REGISTRY_ETCD_LINK_H
#define PILLION_REGISTRY_ETCD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "event/loop.h"
#include "registry/etcd_answer.h"
#include "registry/etcd_members.h"
#include "registry/http_loop.h"

/* Zeroed is "not asked". */
struct etcd_ask {
    const char *path;  /* "/v3/kv/range"; set by the owner, as the next ones are */
    const char *about; /* the key or prefix that it is about, for what is told; NULL: none */
    bool goes_on;      /* the answer is a line for each thing that happens */
    bool is_large;     /* the answer may take longer than others */
    char *(*make)(struct etcd_ask *ask); /* its body, to be freed by the link */
    /* The answer, with the verdict ETCD_FINE, ETCD_NO_LEASE, ETCD_COMPACTED or ETCD_TOO_LARGE: any
     * other is dealt with, and it is asked again. Of one that goes on, each line; ETCD_TOO_LARGE is
     * the last then. It may ask again, and drop any. The ask's memory has to stay until it has
     * returned. */
    void (*take)(struct etcd_ask *ask, const struct etcd_answer *answer);

    struct etcd_link *link; /* of its list; NULL: not asked */
    struct etcd_ask *next, **place;
    struct http_transfer *transfer; /* NULL: it waits */
    uint32_t times; /* that it was asked: one that was dropped and asked again is another */
    uint32_t refusals;
    uint64_t not_before;
    uint64_t sent_at; /* clock_ns() */
    struct text line; /* of one that goes on: what has no end yet */
};

struct etcd_link_settings {
    const char *user, *password; /* NULL: none */
    struct http_tls tls;
    bool has_tls;
    uint32_t timeout_ms;
    size_t answer_max;
    /* As in etcd.h. */
    void (*contact)(void *context, bool there, const char *why);
    void (*trouble)(void *context, const char *text);
    /* Another etcd answers than before, so that revisions mean nothing any more. */
    void (*other)(void *context);
    void *context;
};

struct etcd_link {
    struct loop *loop;
    struct http_loop *http;
    struct etcd_link_settings settings; /* what it points at is the owner's */
    struct etcd_members members;        /* the URLs are the owner's */
    struct etcd_ask *asks;
    struct etcd_ask name; /* the one for a token */
    char *token;          /* the header with it; NULL: none */
    uint32_t late_names;  /* such asks in a row that had no answer in time */
    bool nameless;        /* etcd asks nobody for a name */
    bool there, contact_known;
    uint64_t cluster;
    struct timer timer;
    char told[512]; /* the last trouble, at `told_at` */
    char why[512];  /* of the last failure of a member; "": there was none */
    uint64_t told_at;
    uint64_t requests, failures, moves, sent, received;
};

/* `members` has its URLs, and has begun. */
bool etcd_link_open(struct etcd_link *link, struct loop *loop, const struct http_table *table,
                    struct error *error);
/* Drops everything. A link that was not opened may be given. */
void etcd_link_close(struct etcd_link *link);

/* Asks; nothing when it is being asked. Its owner hears of it from the loop. */
void etcd_link_ask(struct etcd_link *link, struct etcd_ask *ask);
void etcd_link_drop(struct etcd_ask *ask);
static inline bool etcd_link_asked(const struct etcd_ask *ask)
{
    return ask->link != NULL;
}

/* What an owner has found in an answer that the link takes for good: the ask is asked again after a
 * pause, with a new token, and `why` is told when that does not help. `before` is how often that
 * has been so, for a longer pause. */
void etcd_link_again(struct etcd_link *link, struct etcd_ask *ask, uint32_t before,
                     const char *why);

void etcd_link_trouble(struct etcd_link *link, const char *text);

#endif
