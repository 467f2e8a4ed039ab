/* Requests that wait for a module's first connection: a worker serves before those are there. Each
 * has a place in line, in the request's memory. It leaves by itself when it times out or its client
 * goes, so that whoever is in line can be resumed. Nothing has been sent for any of them: another
 * worker runs them when this one dies. */
#ifndef PILLION_MODULES_WAITING_H
#define PILLION_MODULES_WAITING_H

#include <pillion/module.h>

#include "clock.h"

/* The first member of what a module keeps of the request. */
struct waiting {
    struct waiting_line *line;
    pillion_token token;
    uint64_t due_ms; /* when it is answered `timeout` */
    size_t bytes;
    struct waiting *next, **place; /* `place` is what points here */
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

/* Room in the request's memory for a place in line, `size` bytes that begin with a struct waiting.
 * The limits are those of a connection that is there. NULL when the request is answered: the line
 * is as long as it may be. `server` is what they wait for. */
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

/* Defers the request, and puts it at the end of the line; `bytes` is what it will send. False when
 * it cannot be deferred, and is answered. */
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

/* Puts what has just joined at the start of the line. */
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

/* Takes the first one out of the line. */
static inline pillion_request *waiting_take(struct waiting_line *line)
{
    struct waiting *waiting = line->first;

    waiting_leave(waiting);
    return pillion_resume(waiting->token);
}

/* What is left of its time: 1 or more. */
static inline uint64_t waiting_left_ms(const struct waiting *waiting)
{
    uint64_t now = now_ms();
    return waiting->due_ms > now ? waiting->due_ms - now : 1;
}

#endif
