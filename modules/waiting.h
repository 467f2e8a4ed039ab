/* Requests that wait for a module's first connection: a worker serves before its modules are
 * connected. Each request has a place in line, in its own memory, and leaves the line when it times
 * out or its client goes, so that every request in line can be resumed. Nothing has been sent for
 * any of them: when this worker dies, another one runs them. */
#ifndef PILLION_MODULES_WAITING_H
#define PILLION_MODULES_WAITING_H

#include <pillion/module.h>

#include "clock.h"

/* The first member of the structure that a module keeps for the request. */
struct waiting {
    struct waiting_line *line;
    pillion_token token;
    uint64_t due_ms; /* when it is answered `timeout` */
    size_t bytes;
    struct waiting *next, **place; /* `place` is the pointer to this */
};

struct waiting_line {
    struct waiting *first, **end;
    size_t count, bytes;
};

static inline void waiting_start(struct waiting_line *line)
{
    *line = (struct waiting_line){.end = &line->first};
}

static inline void waiting_leave(void *data)
{
    struct waiting *waiting = data;
    struct waiting_line *line = waiting->line;

    *waiting->place = waiting->next;
    if (waiting->next != NULL)
        waiting->next->place = waiting->place;
    else
        line->end = waiting->place;
    line->count--;
    line->bytes -= waiting->bytes;
}

/* Allocates, in the request's memory, a place in line: `size` bytes that begin with a struct
 * waiting. The limits are the same as for an open connection. NULL when the line is full or memory
 * ran out: then the request is answered. `server` names the server for the message. */
static inline void *waiting_place(const struct waiting_line *line, pillion_request *req,
                                  size_t size, int64_t max_pending, uint64_t max_unsent,
                                  const char *server)
{
    if (line->count >= (size_t)max_pending || line->bytes > max_unsent) {
        pillion_fail(req, PILLION_OVERLOADED,
                     "%zu requests of %zu bytes wait for a connection to %s (%s)", line->count,
                     line->bytes, server, line->bytes > max_unsent ? "max_unsent" : "max_pending");
        return NULL;
    }
    void *place = pillion_alloc(req, size);
    if (place == NULL)
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
    return place;
}

/* Defers the request and puts it at the end of the line; it will send `bytes`. False when it cannot
 * be deferred; then it is answered. */
static inline bool waiting_join(struct waiting_line *line, struct waiting *waiting,
                                pillion_request *req, size_t bytes, uint64_t timeout_ms)
{
    pillion_token token = pillion_defer(req, timeout_ms);

    if (token == 0)
        return false;
    *waiting = (struct waiting){
        .line = line,
        .token = token,
        .due_ms = now_ms() + timeout_ms,
        .bytes = bytes,
        .place = line->end,
    };
    *line->end = waiting;
    line->end = &waiting->next;
    line->count++;
    line->bytes += bytes;
    pillion_on_cancel(token, waiting_leave, waiting);
    pillion_rerunnable(token, true);
    return true;
}

/* Moves the request that has just joined from the end to the start of the line. */
static inline void waiting_first(struct waiting *waiting)
{
    struct waiting_line *line = waiting->line;

    if (line->first == waiting)
        return;
    *waiting->place = NULL; /* it is the last one */
    line->end = waiting->place;
    waiting->next = line->first;
    waiting->next->place = &waiting->next;
    waiting->place = &line->first;
    line->first = waiting;
}

/* Takes the first one out of the line. NULL when there is nothing to do for it any more. */
static inline pillion_request *waiting_take(struct waiting_line *line)
{
    struct waiting *waiting = line->first;

    waiting_leave(waiting);
    pillion_request *req = pillion_resume(waiting->token);
    /* The worker had no time yet to see that it has passed. */
    if (req == NULL || pillion_deadline_ms(req) > 0)
        return req;
    pillion_fail(req, PILLION_DEADLINE_EXCEEDED,
                 "\"%s\" has waited for a connection until the deadline of its request",
                 pillion_method_name(req));
    return NULL;
}

/* The time left until the request is due, 1 ms or more. */
static inline uint64_t waiting_left_ms(const struct waiting *waiting)
{
    uint64_t now = now_ms();
    return waiting->due_ms > now ? waiting->due_ms - now : 1;
}

#endif
