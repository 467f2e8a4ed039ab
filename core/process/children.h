/* The children of a process that does not wait for them, each with its channel, if it has one.
 * Their messages and their ends are told to the files that have started them.
 *
 * A forked process's first steps are in child.h. Children that are waited for on the spot
 * (lookup.h) are not listed here. */
#ifndef PILLION_PROCESS_CHILDREN_H
#define PILLION_PROCESS_CHILDREN_H

#include <sys/types.h>

#include "event/loop.h"
#include "process/channel.h"

#define UNREAPED_MS 5000 /* time for the kernel to report the end of a child that was killed */

struct child;

struct child_events {
    /* The child has sent a message. The descriptors that came with it belong to the callee. */
    void (*heard)(struct child *child, struct message *message, const int *fds, uint32_t fd_count);
    /* All messages that the child has sent so far have been heard. May be NULL. */
    void (*quiet)(struct child *child);
    /* The child has closed its end of the channel but not ended yet; as a rule it is about to. May
     * be NULL. */
    void (*closed)(struct child *child);
    /* The child has ended, with `status` of waitpid(2); its pid may belong to another process by
     * now. Its last messages have not been heard yet: call child_hear for them. */
    void (*ended)(struct child *child, int status);
};

/* A child, embedded in its owner's structure (container_of). */
struct child {
    pid_t pid; /* 0: none yet */
    struct loop *loop;
    struct watch channel; /* its `fd` is 0 without one */
    const struct child_events *events;
    bool has_ended;
    struct child *next;
};

/* Listens to `channel`, which this struct owns from now on. False with errno. */
bool child_listen(struct child *child, struct loop *loop, int channel,
                  const struct child_events *events);

/* The child runs as `pid`: `ended` will be called. */
void child_follow(struct child *child, pid_t pid, const struct child_events *events);

/* The child's end will not be told, should the kernel report it after all. */
void child_forget(struct child *child);

/* Hears all messages that the child has sent. (The loop hears some of them at a time, so that a
 * child that never ends sending holds nobody up.) */
void child_hear(struct child *child);

/* Closes the channel, if there is one. */
void child_close(struct child *child);

/* Calls `ended` for every child that has ended. */
void children_reap(void);

#endif
