/* Taking a PROXY header off a socket. See gate_header.h.
 *
 * What follows it is the library's to read, so the header is looked at first and taken when it is
 * whole. Until then the socket counts as readable only with more bytes than it had
 * (SO_RCVLOWAT, socket(7)). */
#include "gate/gate_header.h"

#include <errno.h>

#include "wire/proxy_header.h"

static void wake_at(int fd, uint32_t bytes)
{
    const int most = (int)bytes;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &most, sizeof(most));
}

enum gate_header_status gate_header_take(int fd, uint32_t *seen, struct sockaddr_storage *client,
                                         socklen_t *size, const char **why)
{
    static char bytes[PROXY_HEADER_MAX];
    struct proxy_header header;

    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return GATE_HEADER_WAITS;
    if (got <= 0 || (uint32_t)got <= *seen) /* it has finished sending */
        return GATE_HEADER_ENDED;
    *seen = (uint32_t)got;
    switch (proxy_header_read((struct bytes){bytes, (size_t)got}, &header)) {
    case PROXY_WHOLE:
        break;
    case PROXY_PARTIAL:
        wake_at(fd, header.size > (size_t)got ? (uint32_t)header.size : *seen + 1);
        return GATE_HEADER_WAITS;
    case PROXY_INVALID:
        *why = header.why;
        return GATE_HEADER_BAD;
    }
    if (recv(fd, bytes, header.size, 0) != (ssize_t)header.size)
        return GATE_HEADER_ENDED;
    wake_at(fd, 1);
    if (!header.local && header.source_size > 0) {
        *client = header.source;
        *size = header.source_size;
    }
    return GATE_HEADER_TAKEN;
}
