/* Connecting with oneself. See pair.h. */
#include "gate/pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"

#define BACKLOG     4096
#define PATIENCE_MS 100
#define STRANGERS   (2 * BACKLOG) /* dropped before a pair, at most */
/* The loopback network has so many addresses to connect from (127.0.0.1 and on); each has some
 * 28,000 ports towards the listening socket (ip(7), ip_local_port_range). */
#define SOURCES 64u

static int listening = -1;
static struct sockaddr_in place;

static bool fail(int fd)
{
    int number = errno;

    if (fd >= 0)
        close(fd);
    errno = number;
    return false;
}

bool pair_begin(struct error *error)
{
    socklen_t size = sizeof(place);
    const int on = 1;

    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listening, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* what it accepts has it */
    if (listening >= 0 && bind(listening, (struct sockaddr *)&place, sizeof(place)) == 0 &&
        listen(listening, BACKLOG) == 0 &&
        getsockname(listening, (struct sockaddr *)&place, &size) == 0)
        return true;
    error_errno(error, "the gate cannot listen on the loopback interface, by which it reaches the "
                       "workers");
    return fail(listening);
}

uint16_t pair_port(void)
{
    return ntohs(place.sin_port);
}

/* The other end of `own`. Another process of this machine may connect here, too: its connections
 * are nobody's, and closed, so that they never fill the queue. */
static int accept_own(int own)
{
    struct sockaddr_in mine, peer;
    socklen_t size = sizeof(mine);
    int fd;

    if (getsockname(own, (struct sockaddr *)&mine, &size) < 0)
        return -1;
    for (unsigned i = 0; i < STRANGERS; i++) {
        socklen_t peer_size = sizeof(peer);
        fd = accept4(listening, (struct sockaddr *)&peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0 ||
            (peer.sin_port == mine.sin_port && peer.sin_addr.s_addr == mine.sin_addr.s_addr))
            return fd;
        descriptor_close(fd);
    }
    errno = EAGAIN;
    return -1;
}

/* connect(2) over the loopback interface is all but done when it returns (EINPROGRESS). */
static int connect_from(uint32_t source)
{
    const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (source > 0 && (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
                       bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)) {
        fail(fd);
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&place, sizeof(place)) == 0 || errno == EINPROGRESS)
        return fd;
    fail(fd);
    return -1;
}

/* From the first address that has a port left. */
static int connect_own(void)
{
    static uint32_t source; /* the last one that had */

    int fd = connect_from(source);
    for (uint32_t i = 1; fd < 0 && errno == EADDRNOTAVAIL && i < SOURCES; i++) {
        source = (source + 1) % SOURCES;
        fd = connect_from(source);
    }
    return fd;
}

/* The kernel may not be done with the connection yet; or the queue was full of strangers when it
 * came, and is not any more. */
static int accept_patiently(int own)
{
    struct pollfd queue = {.fd = listening, .events = POLLIN};

    int fd = accept_own(own);
    if (fd < 0 && errno == EAGAIN && poll(&queue, 1, PATIENCE_MS) > 0)
        fd = accept_own(own);
    return fd;
}

bool pair_make(int ends[2])
{
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        ends[1] = connect_own();
        if (ends[1] < 0)
            return false;
        ends[0] = accept_patiently(ends[1]);
        if (ends[0] >= 0)
            return true;
        fail(ends[1]);
        if (errno != EAGAIN)
            return false;
    }
    return false;
}
