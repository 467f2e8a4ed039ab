/* Connecting with oneself. See pair.h. */
#include "gate/pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/descriptor.h"

#define BACKLOG     4096
#define PATIENCE_US 200000
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

    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
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

/* Another process of this machine may connect here, too. Between two pairs all that waits here is
 * such a one's, and a queue that is full of them would have no room for the next pair. */
static void drop_strangers(void)
{
    for (unsigned i = 0; i < STRANGERS; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
            return;
        if (fd >= 0)
            close(fd);
    }
}

/* A connection that another process has made meanwhile is nobody's. */
static int accept_own(int own)
{
    struct sockaddr_in mine, peer;
    socklen_t size = sizeof(mine);
    int fd;

    if (getsockname(own, (struct sockaddr *)&mine, &size) < 0)
        return -1;
    for (;;) {
        socklen_t peer_size = sizeof(peer);
        fd = accept4(listening, (struct sockaddr *)&peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 ||
            (peer.sin_port == mine.sin_port && peer.sin_addr.s_addr == mine.sin_addr.s_addr))
            return fd;
        descriptor_close(fd);
    }
}

/* connect(2) over the loopback interface is done when it returns, unless the queue is full: then it
 * waits for a moment. */
static int connect_from(uint32_t source)
{
    const int on = 1;
    const struct timeval patience = {.tv_usec = PATIENCE_US}, none = {0};
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == 0 &&
        bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
        connect(fd, (const struct sockaddr *)&place, sizeof(place)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    fail(fd);
    return -1;
}

bool pair_make(int ends[2])
{
    static uint32_t source; /* the last one that had a port left */

    drop_strangers();
    ends[1] = connect_from(source);
    for (uint32_t i = 1; ends[1] < 0 && errno == EADDRNOTAVAIL && i < SOURCES; i++) {
        source = (source + 1) % SOURCES;
        ends[1] = connect_from(source);
    }
    if (ends[1] < 0)
        return false;
    ends[0] = accept_own(ends[1]);
    return ends[0] >= 0 || fail(ends[1]);
}
