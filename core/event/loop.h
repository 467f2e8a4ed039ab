/* The event loop: descriptors that are watched with epoll(7), and timers.
 *
 * One loop per process, in the master, the vault and every worker. Watches and timers are embedded
 * in what they belong to and allocate nothing. A watch may be removed at any time, from within its
 * own callback and from that of another: each registration has a serial number that the kernel
 * gives back with every event, and events of an earlier life are dropped. That matters because an
 * epoll registration follows the open file, not the descriptor (epoll(7), "Questions and answers",
 * 6), and sockets here have duplicates in other processes. */
#ifndef PILLION_EVENT_LOOP_H
#define PILLION_EVENT_LOOP_H

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

/* Zeroed is "not watched". Find what it is embedded in with container_of. */
struct watch {
    watch_callback callback;
    int fd;
    uint32_t index : 31;  /* 1 + place in the loop's table; 0: not watched */
    uint32_t patient : 1; /* of a batch of events its own come after those of all who are not */
    uint32_t serial;
    uint32_t events;
};

/* Zeroed is "not set". */
struct timer {
    timer_callback callback;
    size_t place; /* 1 + index in the heap; 0: not set */
};

struct loop {
    int epoll;
    uint32_t serial;
    struct watch **watches;
    uint32_t watch_count, watch_capacity;
    uint32_t *free_indexes;
    uint32_t free_count;
    uint64_t *owned; /* a bit for each descriptor that is watched */
    size_t owned_words;
    struct timer_entry *timers; /* binary heap */
    size_t timer_count, timer_capacity;
    bool stopping;
    uint64_t log_try_at, log_try_ns; /* the log says then what is missing in it; the last pause */
    uint64_t now; /* clock_ns() when the current batch of events arrived, or its timers ran */

    /* Called after each batch of events and before each wait: the place for what a batch can share.
     * May be NULL. */
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

/* Before the descriptor is closed. Nothing to do when it is not watched. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Sets or moves a timer to `ns` from now. */
void timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback);
void timer_cancel(struct loop *loop, struct timer *timer);

/* The same, to `deadline` as clock_ns() tells time. */
void timer_set_at(struct loop *loop, struct timer *timer, uint64_t deadline,
                  timer_callback callback);

/* The descriptor, which is watched, belongs to somebody who may close it: loop_owns does not count
 * it. */
void loop_disown(struct loop *loop, int fd);

/* The descriptor is not watched any more, and is this process's own until it is closed. */
void loop_own(struct loop *loop, int fd);

/* True when the descriptor is watched by this loop, or is the loop's own. */
bool loop_owns(const struct loop *loop, int fd);

/* Runs until loop_stop; one that came before is forgotten. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
