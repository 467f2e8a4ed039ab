/* The event loop: descriptors that are watched with epoll(7), and timers.
 *
 * One loop per process, in the master, the vault and every worker. An iteration is: after_batch,
 * the wait, the callbacks of the batch of events that it delivered, the timers that are due.
 *
 * Watches and timers are embedded in the structures that they belong to; they allocate nothing. A
 * callback may remove its own watch and any other one. Each registration has a serial number that
 * the kernel gives back with every event, and events of an earlier registration are dropped. That
 * matters because an epoll registration follows the open file, not the descriptor (epoll(7),
 * "Questions and answers", 6), and sockets here have duplicates in other processes. */
#ifndef PILLION_EVENT_LOOP_H
#define PILLION_EVENT_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/error.h"

struct watch;
struct timer;

/* `events` are epoll's. */
typedef void (*watch_callback)(struct watch *watch, uint32_t events);
typedef void (*timer_callback)(struct timer *timer);

/* Zeroed is "not watched". container_of finds the structure that it is embedded in. */
struct watch {
    watch_callback callback;
    int fd;
    uint32_t index : 31;  /* 1 + index in the loop's table; 0: not watched */
    uint32_t patient : 1; /* its events are delivered last in each batch */
    uint32_t serial;
    uint32_t events;
};

/* Zeroed is "not set". */
struct timer {
    timer_callback callback;
    size_t index; /* 1 + index in the heap; 0: not set */
};

struct loop {
    int epoll;
    uint32_t serial;
    struct watch **watches;
    uint32_t watch_count, watch_capacity;
    uint32_t *free_indexes;
    uint32_t free_count;
    struct owned *_Atomic owned; /* a bit for each descriptor; see loop_owns */
    struct timer_entry *timers;  /* binary heap */
    size_t timer_count, timer_capacity;
    bool stopping;
    uint64_t log_try_at; /* when the log is next asked to report its lost lines; 0: none are lost */
    uint64_t log_try_ns; /* the pause before that attempt */
    uint64_t now;        /* clock_ns() when this iteration's events arrived */

    /* A timer fires when it is due by `heard_ns`: all that was ready before has been handled. What
     * looks late after a long handler, or after the process was stopped, may only be unread. */
    uint64_t heard_ns;
    uint32_t full_batches; /* in a row, from one at full_since_ns on */
    uint64_t full_since_ns;
    bool firing; /* timers' callbacks run */

    /* For telling how long events have waited for their turn: nothing that is ready now was ready
     * before `behind_ns`. It is when the batch before the last one arrived, or, where the loop has
     * slept for long since, when it woke. Mostly it was much later: the kernel may know. */
    uint64_t woke_ns, before_ns, behind_ns;
    uint64_t idle_ns; /* when the last wait began; 0: nobody has looked */
    bool timed;       /* look also where no timer is set */

    /* Called at the start of each iteration, before the wait: for work that the callbacks of the
     * last batch of events, and of its timers, have collected. May be NULL. */
    void (*after_batch)(struct loop *loop, void *context);
    void *context;
};

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

bool loop_init(struct loop *loop, struct error *error);
void loop_free(struct loop *loop);

/* Watches `fd` for `events`, level-triggered unless EPOLLET is among them. False with errno set. */
bool loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events,
                watch_callback callback);

/* Changes the events; no system call when they are the same. */
void loop_change(struct loop *loop, struct watch *watch, uint32_t events);

/* Ends the watching; to be called before the descriptor is closed. A watch that is not watched may
 * be passed. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Sets or moves a timer to `ns` from now. It fires once it is due, and what was ready before has
 * been handled. Set to 0 ns by the callback of an event, it fires in this iteration; by the
 * callback of a timer, in the next one. */
void timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback);
void timer_cancel(struct loop *loop, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->index != 0;
}

/* Sets or moves a timer to `deadline`, a time on clock_ns(). */
void timer_set_at(struct loop *loop, struct timer *timer, uint64_t deadline,
                  timer_callback callback);

/* A module watches this descriptor, and may close it: loop_owns is false for it from here on. */
void loop_disown(struct loop *loop, int fd);

/* The server keeps this descriptor open although it does not watch it any more: loop_owns stays
 * true for it. */
void loop_own(struct loop *loop, int fd);

/* True when the server needs the descriptor open: the loop watches it, and has not disowned it; or
 * loop_own was called for it; or it is the loop's own. Safe in any thread. */
bool loop_owns(const struct loop *loop, int fd);

/* A number: from it on no descriptor is owned, except perhaps the loop's own. Safe in any
 * thread. */
int loop_owned_end(const struct loop *loop);

/* Runs until loop_stop is called during the run; an earlier call has no effect. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
