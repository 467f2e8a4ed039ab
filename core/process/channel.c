/* Messages between processes. See channel.h. */
#include "process/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"

#define AGAIN_US   1000u
#define AGAIN_MOST 20u
#define BAD_MOST   64u /* malformed messages that are skipped at a time */

bool channel_pair(int fds[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return error_errno(error, "cannot create a channel between processes");
    return true;
}

static size_t message_size(const struct message *message, bool ids)
{
    size_t head = offsetof(struct message, text);
    return ids ? head + message->count * sizeof(message->ids[0]) : head + strlen(message->text) + 1;
}

static bool lacks_memory(int number)
{
    return number == ENOMEM || number == ENOBUFS;
}

bool channel_send(int channel, const struct message *message, bool ids, const int *fds,
                  uint32_t fd_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
    } control;
    struct iovec io = {(void *)(uintptr_t)message, message_size(message, ids)};
    struct msghdr header = {.msg_iov = &io, .msg_iovlen = 1};

    if (fd_count > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        memset(&control, 0, sizeof(struct cmsghdr));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    for (unsigned i = 0;;) {
        if (sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        if (errno == EINTR)
            continue;
        if (!lacks_memory(errno) || fd_count > 0 || i++ == AGAIN_MOST)
            return false;
        usleep(AGAIN_US);
    }
}

bool channel_error_passes(int number)
{
    return number == EAGAIN || number == ETOOMANYREFS || lacks_memory(number);
}

bool channel_tell(int channel, enum message_type type, uint64_t serial, uint64_t number)
{
    struct message message = {.type = type, .serial = serial, .number = number};
    return channel_send(channel, &message, false, NULL, 0);
}

void channel_insist(int channel, const struct message *message, bool ids)
{
    while (!channel_send(channel, message, ids, NULL, 0) && channel_error_passes(errno)) {
        struct pollfd writable = {.fd = channel, .events = POLLOUT};
        if (errno == EAGAIN)
            poll(&writable, 1, -1);
    }
}

void channel_say(int channel, enum message_type type, const char *text)
{
    struct message message = {.type = type};
    size_t size = strnlen(text, sizeof(message.text) - 1);

    memcpy(message.text, text, size);
    channel_insist(channel, &message, false);
}

/* Collects the descriptors of a message. If there is no number for one, those from it on are
 * missing as if the kernel had left them out (MSG_CTRUNC, unix(7)). */
static uint32_t take_fds(struct msghdr *header, int *fds)
{
    uint32_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        uint32_t got = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds + count, CMSG_DATA(c), got * sizeof(int));
        for (uint32_t end = count + got; count < end; count++) {
            fds[count] = descriptor_apart(fds[count]);
            if (fds[count] < 0) {
                descriptors_close(fds + count + 1, end - count - 1);
                descriptors_fill();
                return count;
            }
        }
    }
    return count;
}

/* Checks a message of `size` bytes, and terminates its text. */
static bool well_formed(struct message *message, size_t size)
{
    size_t head = offsetof(struct message, text);

    if (size < head || message->type == 0 || message->type >= MESSAGE_TYPES ||
        message->count > CHANNEL_FDS_MAX)
        return false;
    if (message->count > 0)
        return size == head + message->count * sizeof(message->ids[0]);
    size_t text = size - head;
    message->text[text < sizeof(message->text) ? text : sizeof(message->text) - 1] = '\0';
    return true;
}

enum channel_status channel_receive(int channel, struct message *message, int *fds,
                                    uint32_t *fd_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
    } control;

    for (uint32_t bad = 0; bad < BAD_MOST;) {
        struct iovec io = {message, sizeof(*message)};
        struct msghdr header = {
            .msg_iov = &io,
            .msg_iovlen = 1,
            .msg_control = control.bytes,
            .msg_controllen = sizeof(control.bytes),
        };
        ssize_t got = recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        /* If the other process has ended with messages unread, the first error is ECONNRESET. It is
         * reported once; the messages that the process had sent come after it. */
        if (got < 0 && (errno == EINTR || errno == ECONNRESET))
            continue;
        if (got < 0) /* also for want of memory: the loop reports unread messages again */
            return channel_error_passes(errno) ? CHANNEL_EMPTY : CHANNEL_CLOSED;
        if (got == 0)
            return CHANNEL_CLOSED;
        *fd_count = take_fds(&header, fds);
        if (well_formed(message, (size_t)got))
            return CHANNEL_MESSAGE;
        descriptors_close(fds, *fd_count);
        bad++;
    }
    return CHANNEL_EMPTY; /* the loop reports those behind them again */
}

enum channel_status channel_hear(int channel, void (*hear)(const struct message *message,
                                                           const int *fds, uint32_t fd_count))
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;
    enum channel_status status;

    while ((status = channel_receive(channel, &message, fds, &fd_count)) == CHANNEL_MESSAGE)
        hear(&message, fds, fd_count);
    return status;
}
