/* The children of a process that goes on meanwhile, each with the channel to it if it has one: what
 * they say and how they end is told to the files that have started them.
 *
 * What a process that is forked does first is in child.h. Children that are waited for on the spot
 * (lookup.h) are not listed here. */
#ifndef PILLION_PROCESS_CHILDREN_H
#define PILLION_PROCESS_CHILDREN_H

#include <sys/types.h>

#include "event/loop.h"
#include "process/channel.h"

struct child;

struct child_events {
    /* It has sent a message. The descriptors that came with it are the callee's. */
    void (*heard)(struct child *child, struct message *message, const int *fds, uint32_t fd_count);
    /* Every message that it has sent so far has been heard. May be NULL. */
    void (*quiet)(struct child *child);
    /* It has closed its end of the channel, and has not ended yet: as a rule, because it is about
     * to. May be NULL. */
    void (*closed)(struct child *child);
    /* It has ended, with `status` of waitpid(2), and its pid may be another process's by now. What
     * it had said before has not been heard yet, unless child_hear was called. */
    void (*ended)(struct child *child, int status);
};

/* Find what it is embedded in with container_of. */
struct child {
    pid_t pid; /* 0: none yet */
    struct loop *loop;
    struct watch channel; /* its `fd` is 0 without one */
    const struct child_events *events;
    bool has_ended;
    struct child *next;
};

/* Listens to what comes by `channel`, which is the child's from now on. False with errno. */
bool child_listen(struct child *child, struct loop *loop, int channel,
                  const struct child_events *events);

/* It runs as `pid`: its end will be told. */
void child_follow(struct child *child, pid_t pid, const struct child_events *events);

/* Hears all that it has said. */
void child_hear(struct child *child);

/* Closes the channel, if there is one. */
void child_close(struct child *child);

/* Tells of every child that has ended. */
void children_reap(void);

#endif
