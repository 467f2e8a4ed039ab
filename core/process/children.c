/* Children and the channels to them. See children.h. */
#include "process/children.h"

#include <stddef.h>
#include <unistd.h>

#include "process/reap.h"

static struct child *children; /* that have not been reaped */

#define TURN 64u /* messages of one child, until others are heard */

/* Hears up to `most` messages. The loop tells of those behind them. */
static void hear(struct child *child, uint32_t most);

static void channel_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    hear(container_of(watch, struct child, channel), TURN);
}

bool child_listen(struct child *child, struct loop *loop, int channel,
                  const struct child_events *events)
{
    child->loop = loop;
    child->events = events;
    child->channel = (struct watch){.fd = channel};
    return loop_watch(loop, &child->channel, channel, EPOLLIN, channel_ready);
}

void child_follow(struct child *child, pid_t pid, const struct child_events *events)
{
    child->pid = pid;
    child->has_ended = false;
    child->events = events;
    child->next = children;
    children = child;
}

static void hear(struct child *child, uint32_t most)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    for (uint32_t i = 0; i < most && child->channel.index != 0; i++) {
        switch (channel_receive(child->channel.fd, &message, fds, &fd_count)) {
        case CHANNEL_MESSAGE:
            child->events->heard(child, &message, fds, fd_count);
            break;
        case CHANNEL_EMPTY:
            if (child->events->quiet != NULL)
                child->events->quiet(child);
            return;
        case CHANNEL_CLOSED:
            loop_unwatch(child->loop, &child->channel);
            if (child->events->closed != NULL && !child->has_ended)
                child->events->closed(child);
            return;
        }
    }
}

void child_hear(struct child *child)
{
    hear(child, UINT32_MAX);
}

void child_close(struct child *child)
{
    if (child->channel.fd <= 0)
        return;
    loop_unwatch(child->loop, &child->channel);
    close(child->channel.fd);
    child->channel.fd = 0;
}

static struct child *child_take(pid_t pid)
{
    for (struct child **at = &children; *at != NULL; at = &(*at)->next) {
        struct child *child = *at;
        if (child->pid == pid) {
            *at = child->next;
            child->has_ended = true;
            return child;
        }
    }
    return NULL;
}

void child_forget(struct child *child)
{
    child_take(child->pid);
}

void children_reap(void)
{
    int status;
    pid_t pid;

    while ((pid = reap_ended(-1, &status)) > 0) {
        struct child *child = child_take(pid);
        if (child != NULL)
            child->events->ended(child, status);
    }
}
