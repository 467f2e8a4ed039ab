/* Prefixes that are watched. Each is read as a whole, page by page as it was at one revision, and
 * then watched from the revision behind that. A watch goes on from the last revision that it has
 * seen, whichever member it is asked of. Where that revision is not there any more, because etcd
 * has compacted it or is another etcd, the prefix is read again. */
#ifndef PILLION_REGISTRY_ETCD_WATCHES_H
#define PILLION_REGISTRY_ETCD_WATCHES_H

#include "registry/etcd_events.h"
#include "registry/etcd_link.h"

#define WATCH_PAGE_ROWS 256u /* rows of a page, at first */

struct etcd_watched {
    struct etcd_watched *next;
    struct etcd_watches *all;
    char *prefix;
    bool dead;
    int64_t revision; /* that has been seen; 0: the prefix is to be read */
    struct etcd_ask page, stream, look;
    struct text mark;     /* a key that is there; empty: none is known */
    int64_t mark_created; /* the revision in which it came */
    struct text looked;   /* the mark as it was before the watch went on, and its revision */
    int64_t looked_created;
    bool goes_on;    /* the stream has been asked for before */
    bool is_to_look; /* once it has begun */
    /* What has been read so far. */
    struct etcd_row *rows; /* copies */
    size_t row_count, row_room, row_bytes;
    struct text from;      /* the next page's first key */
    int64_t page_revision; /* 0: none yet */
    uint32_t page_rows;
    uint32_t refused; /* how often it was too large, one time after the other */
};

struct etcd_watches {
    struct etcd_link *link;
    struct etcd_events events;
    void *context;
    uint64_t probe_ns; /* from one look at the revision to the next */
    size_t bytes_max;  /* of all rows of a prefix */

    struct etcd_watched *first;
    struct etcd_ask probe;
    struct timer timer, tidy;
    uint64_t snapshots, changes;
};

/* The members up to `bytes_max` are set. */
void etcd_watches_open(struct etcd_watches *watches);
void etcd_watches_close(struct etcd_watches *watches);

void etcd_watches_add(struct etcd_watches *watches, const char *prefix);
void etcd_watches_remove(struct etcd_watches *watches, const char *prefix);

/* Reads all of them again: what was seen of another etcd means nothing. */
void etcd_watches_again(struct etcd_watches *watches);

#endif
