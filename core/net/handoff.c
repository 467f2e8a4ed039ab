/* Sockets as messages. See handoff.h. */
#include "net/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool handoff_open(int ends[2], struct error *error)
{
    const int on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0) {
        /* A module's filter would drop every client (socket(7)). */
        setsockopt(ends[HANDOFF_OUT], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
        return true;
    }
    return error_errno(error, "cannot make the queue of connections from the gate to the workers");
}

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

bool handoff_put(int in, int fd)
{
    char word = 0;
    union control control = {0};
    struct iovec vector = {&word, sizeof(word)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(in, &message, MSG_NOSIGNAL) == sizeof(word);
}

/* The first descriptor among the control messages: others come in front of it once a worker has
 * asked for them (SO_PASSCRED), because the socket is all workers'. The rest is closed. */
static int first_of(struct msghdr *message)
{
    int found = -1, fd;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(fd)) <= h->cmsg_len; at += sizeof(fd)) {
            memcpy(&fd, CMSG_DATA(h) + at, sizeof(fd));
            if (found < 0)
                found = fd;
            else
                close(fd);
        }
    }
    return found;
}

int handoff_take(int out)
{
    char word;
    union {
        char bytes[512];
        struct cmsghdr aligned;
    } control;
    struct iovec vector = {&word, sizeof(word)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.bytes)};

    /* O_NONBLOCK is all workers', too. */
    ssize_t got = recvmsg(out, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return -1;
    int fd = got > 0 ? first_of(&message) : -1;
    if (fd < 0)
        errno = got > 0 ? ECONNABORTED : EINVAL;
    return fd;
}
