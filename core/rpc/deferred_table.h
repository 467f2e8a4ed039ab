/* Where deferred requests live (deferred.h): their table, their memory, and the tokens that lead to
 * them. Tokens that are used up are remembered for a while, so that the module that uses one again
 * is named. All of it runs on the worker's one thread. */
#ifndef PILLION_RPC_DEFERRED_TABLE_H
#define PILLION_RPC_DEFERRED_TABLE_H

#include <string.h>

#include "event/loop.h"
#include "net/kept.h"
#include "rpc/request.h"

enum deferred_state {
    DEFERRED_FREE,
    DEFERRED_HANDLER,  /* its handler has not returned yet */
    DEFERRED_WAITING,  /* for pillion_resume */
    DEFERRED_RESUMED,  /* in the hands of its module */
    DEFERRED_ANSWERED, /* the reply is not queued yet */
    DEFERRED_OVER,     /* only a thread still has its data */
};

/* Where the time of a request goes from its deferral on, while `timed` is set. */
struct deferred_times {
    uint64_t arrived_ns; /* the layer above's, as `behind` */
    const char *behind;
    uint64_t at_ns;             /* of the last change: deferred, resumed or answered */
    uint64_t ran_ns, waited_ns; /* in the hands of its module, and not */
    uint64_t pooled_ns;         /* of `waited_ns`: its work waited for a thread, ... */
    uint64_t added_ns;          /* ... since then, once more; 0: it does not */
    _Atomic uint64_t taken_ns;  /* until then, says the thread; 0: it still does */
};

struct deferred {
    struct pillion_request req; /* once the handler has returned */
    struct deferreds *all;
    uint32_t index, serial; /* the token */
    struct pool pool;
    uint64_t since_ns;
    enum deferred_state state;

    /* Nothing, when it begins: from here on. */
    struct pillion_request *home;     /* before the handler has returned: where that sees it */
    const pillion_instance *instance; /* its method's, which counts it as waiting; or NULL */
    uint32_t counted;                 /* 1 + index of its method, likewise; 0 */
    struct timer timer;
    uint64_t timeout_ms;
    uint64_t due_ns;     /* its client waits until then, by clock_ns(); 0: it does not say */
    char *copy;          /* of the frame's body, in the request's memory */
    char *reply;         /* req.size bytes, in the request's memory */
    bool reply_malloced; /* it is malloc's instead */
    bool listed;         /* in `settling` */
    bool working;        /* a thread has its data: nothing may be freed */
    bool timed_out;
    bool by_deadline;  /* `timer` is set for due_ns, which comes before timeout_ms are over */
    _Atomic bool over; /* nobody waits for an answer any more: threads read it */
    struct deferred_times times;
    bool waits;            /* nothing was done for it yet: another worker may run it instead */
    bool resumed;          /* by its module, once at least */
    struct deferred *next; /* in `settling` or in `free` */

    /* The core's own, as `cancelled` is the module's: nobody waits for the answer; or NULL. */
    void (*give_up)(struct deferred *deferred);
    struct inner *giving_up;

    void (*cancelled)(void *data); /* or NULL; called when the token ends without being resumed */
    void *data;

    /* The layer above's: where the reply belongs. */
    uint32_t conn; /* 1 + index of the connection, 0 once that is gone */
    uint32_t next_of_conn, previous_of_conn;
    bool counted_without_id;
    bool held;                  /* its reply waits for those of earlier requests ... */
    struct kept kept;           /* ... and is kept meanwhile */
    uint32_t pinned;            /* 1 + the block that its handler has seen its frame in; 0: none */
    uint64_t place;             /* of its frame */
    uint8_t number;             /* likewise, see rpc/begun.h */
    struct conn_values *values; /* of its connection, which it has left: rpc/conn_values.h */
    struct batch *batch;        /* that it is a call of, or stands for (rpc/batch.h); or NULL */
    uint32_t of_batch;          /* which of its calls; BATCH_ITSELF */
};

struct deferreds {
    struct loop *loop;
    struct board_row *row;   /* where calls are counted, or NULL */
    struct deferred **table; /* by index; never freed, so that a pointer that a module has kept is
                                harmless */
    const struct method **used; /* TOKENS_KNOWN for each of them: whose tokens have been used up */
    uint32_t count, capacity;
    uint32_t pending; /* requests that are not free */
    struct deferred *free;
    struct deferred *settling, **settling_end; /* resumed or answered in this batch */
    uint64_t timeout_ms;                       /* of handlers that give none */
    uint64_t settled_ns;                       /* when the requests that finish now were answered */
    bool timed;                                /* see deferred_times */

    /* The request is answered, or was dropped, and its filters have run. Frees it with
     * deferred_free, now or later. */
    void (*finish)(struct deferred *deferred);
    /* A request is resumed: from now on its method's code runs. May be NULL. */
    void (*resumed)(struct deferred *deferred);
    /* It is about to be answered: the reply is made next. May be NULL. */
    void (*answers)(struct deferred *deferred);
    /* `waits` has changed, of one whose handler has returned. May be NULL. */
    void (*waiting)(struct deferred *deferred);
    /* It is over, for every thread as well. May be NULL. */
    void (*released)(struct deferred *deferred);
};

/* Makes an empty table; handlers that give no time have `timeout_ms`. */
void deferreds_init(struct deferreds *all, struct loop *loop, uint64_t timeout_ms);
void deferreds_free(struct deferreds *all); /* for tests */

/* Makes one more, which is free. False without memory. */
bool deferreds_grow(struct deferreds *all);

/* 0 is no token's. */
static inline uint32_t deferred_next_serial(uint32_t serial)
{
    return serial == UINT32_MAX ? 1 : serial + 1;
}

/* A free one, which begins in `state` with a token of its own. NULL without memory. */
static inline struct deferred *deferred_take(struct deferreds *all, enum deferred_state state,
                                             uint64_t since_ns)
{
    if (all->free == NULL && !deferreds_grow(all))
        return NULL;
    struct deferred *deferred = all->free;
    all->free = deferred->next;
    all->pending++;
    deferred->serial = deferred_next_serial(deferred->serial);
    deferred->since_ns = since_ns;
    deferred->state = state;
    memset(&deferred->home, 0, sizeof(*deferred) - offsetof(struct deferred, home));
    return deferred;
}

/* Frees it, or has that wait until the thread is done that has its data (`working`). */
void deferred_free(struct deferred *deferred);
void deferred_work_done(struct deferred *deferred);

/* Its reply is not the one: the next comes in its place. */
void deferred_drop_reply(struct deferred *deferred);

/* Counts it, or (-1) not any more, among those of its method that wait. */
void deferred_count_waiting(const struct deferred *deferred, int more);

static inline uint64_t deferred_token(const struct deferred *deferred)
{
    return (uint64_t)(deferred->index + 1) << 32 | deferred->serial;
}

/* Whose token this is, or was; NULL when it never was one. */
static inline struct deferred *deferred_find(const struct deferreds *all, uint64_t token)
{
    uint64_t index = token >> 32;
    return index == 0 || index > all->count ? NULL : all->table[index - 1];
}

/* Its token is used up by its method, and it has another. */
void deferred_renew(struct deferred *deferred);

/* The method that has used up its token with this serial. NULL when that ended otherwise, or too
 * long ago. */
const struct method *deferred_used_by(const struct deferred *deferred, uint32_t serial);

#endif
