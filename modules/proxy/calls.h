/* The requests of one connection whose replies are to come: in the order of sending, each with an
 * id by which its reply is found. */
#ifndef PROXY_CALLS_H
#define PROXY_CALLS_H

#include "../outlier.h"
#include "trip.h"

#define NONE UINT32_MAX

/* What requests of one group have to do with one server. It lives as long as the server's links. */
struct link_share {
    size_t pending;           /* replies to come */
    size_t *all;              /* and those of the whole group */
    struct outlier_seen seen; /* how the server does at these requests */
};

struct call {
    pillion_token token; /* 0: the request is gone */
    struct trip *trip;
    struct link_share *share;
    uint64_t due_ms, sent_us;
    uint64_t over_ms;     /* its request is over by then */
    uint64_t number;      /* counts the requests sent over this link */
    uint64_t end;         /* where its frame ends, in bytes since the link was opened */
    uint64_t written_at;  /* where its deadline's digits are, likewise */
    uint64_t deadline_ms; /* which says how long is left until then */
    int written_size;     /* bytes of these digits; 0: it has none */
    uint32_t serial;      /* raised with every use; the upper bits of the id, above the index */
    bool used;
    uint32_t before, after; /* indices of the neighbours, in the order of sending */
};

/* Whether the server gives ids back. */
enum ids { IDS_UNKNOWN, IDS_GIVEN, IDS_NONE };

struct calls {
    struct call *items;  /* which move when there are more; freed by pillion_free */
    uint32_t room;       /* how many there is memory for */
    uint32_t used, free; /* entries from `used` on are new; `free` is a list over `after` */
    uint32_t first, last;
    size_t count;
    uint64_t taken;  /* since the link was made */
    size_t *pending; /* of the server, counted here */
    enum ids ids;
};

struct calls calls_none(size_t *pending);

/* Has memory for one more. False without. */
bool calls_room(struct calls *calls, pillion_instance *self);

/* Takes a free call and puts it at the end of the list. There is one: see calls_room. */
struct call *calls_take(struct calls *calls, struct link_share *share);
void calls_give(struct calls *calls, uint32_t index);

uint64_t call_id(const struct calls *calls, const struct call *call);

/* The index of the call that the reply belongs to, or NONE. */
uint32_t calls_find(struct calls *calls, const struct reply *reply);

#endif
