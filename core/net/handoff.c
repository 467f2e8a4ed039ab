/* Sockets as messages. See handoff.h. */
#include "net/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

bool handoff_open(int ends[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0)
        return true;
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

int handoff_take(int out)
{
    char word;
    union control control;
    struct iovec vector = {&word, sizeof(word)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.bytes)};
    int fd;

    ssize_t got = recvmsg(out, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(fd))) {
        errno = ECONNABORTED;
        return -1;
    }
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}
