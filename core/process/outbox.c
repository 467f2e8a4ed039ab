/* Queueing messages for a full channel. See outbox.h. */
#include "process/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

#define RETRY_NS (2 * NS_PER_MS)

struct parcel {
    struct parcel *next;
    int fd;
    struct message message; /* allocated only up to the end of its ids or text */
};

static void retry(struct timer *timer);

static bool send_now(const struct outbox *outbox, const struct message *message, int fd)
{
    return channel_send(outbox->channel, message, message->count > 0, &fd, fd >= 0);
}

static void drop_first(struct outbox *outbox)
{
    struct parcel *parcel = outbox->first;

    outbox->first = parcel->next;
    if (outbox->first == NULL)
        outbox->last = NULL;
    if (parcel->fd >= 0)
        close(parcel->fd);
    free(parcel);
}

/* Sends the queued messages in order. False when some must still wait. */
static bool send_all(struct outbox *outbox)
{
    while (outbox->first != NULL) {
        if (!send_now(outbox, &outbox->first->message, outbox->first->fd) &&
            channel_error_passes(errno))
            return false;
        drop_first(outbox);
    }
    return true;
}

static void retry(struct timer *timer)
{
    struct outbox *outbox = container_of(timer, struct outbox, retry);

    if (!send_all(outbox))
        timer_set(outbox->loop, timer, RETRY_NS, retry);
}

bool outbox_send(struct outbox *outbox, const struct message *message, int fd)
{
    if (outbox->first == NULL) {
        if (send_now(outbox, message, fd))
            return true;
        if (!channel_error_passes(errno))
            return false;
    }
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && copy < 0)
        return false;
    size_t size = offsetof(struct message, text);
    size +=
        message->count > 0 ? message->count * sizeof(message->ids[0]) : strlen(message->text) + 1;
    struct parcel *parcel = must_alloc(offsetof(struct parcel, message) + size);
    parcel->next = NULL;
    parcel->fd = copy;
    memcpy(&parcel->message, message, size);
    if (outbox->last == NULL)
        outbox->first = parcel;
    else
        outbox->last->next = parcel;
    outbox->last = parcel;
    if (!timer_is_set(&outbox->retry))
        timer_set(outbox->loop, &outbox->retry, RETRY_NS, retry);
    return true;
}

bool outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial, uint64_t number)
{
    struct message message = {.type = type, .serial = serial, .number = number};
    return outbox_send(outbox, &message, -1);
}

bool outbox_finish(struct outbox *outbox, uint64_t ns)
{
    uint64_t deadline = clock_ns() + ns;

    while (!send_all(outbox)) {
        if (clock_ns() >= deadline)
            return false;
        struct pollfd writable = {.fd = outbox->channel, .events = POLLOUT};
        poll(&writable, 1,
             1); /* too many descriptors under way is no state of the channel: hence the timeout */
    }
    return true;
}

void outbox_clear(struct outbox *outbox)
{
    if (outbox->loop != NULL)
        timer_cancel(outbox->loop, &outbox->retry);
    while (outbox->first != NULL)
        drop_first(outbox);
}
