/* Last words. See farewell.h. */
#include "net/farewell.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/http_reply.h"
#include "wire/protocol.h"

#define STAYS_NS  NS_PER_S
#define READS_MAX 4u /* of 16 KiB, for each event */
#define MESSAGE \
    "too many connections from this address (limit_conn): close some, or come again later"

size_t farewell_write(uint8_t protocol, char word[FAREWELL_MAX])
{
    if (protocol == PROTOCOL_AGENT)
        return 0; /* it has no word for errors */
    char room[512], date[HTTP_DATE_SIZE + 1];
    const struct reply_http http = {.style = HTTP_STYLE_CLOSE, .retry_s = 1, .date = date};
    struct reply reply = {.format = protocols[protocol].refuses_in, .http = &http};

    http_date((int64_t)time(NULL), date);
    reply_set_error(&reply, ERROR_LIMITED,
                    reply_error_result(ERROR_LIMITED, BYTES(MESSAGE), 1000, room, sizeof(room)));
    return protocol_reply_size(protocol, &reply) > FAREWELL_MAX
               ? 0
               : protocol_reply_write(protocol, &reply, word);
}

/* Says it, if the socket takes it at once: it is new, so it does. */
static void say(struct farewell *one)
{
    uint8_t protocol = one->protocol == PROTOCOL_AUTO ? PROTOCOL_FRAME : one->protocol;
    char word[FAREWELL_MAX];

    one->said = true;
    if (send(one->watch.fd, word, farewell_write(protocol, word), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(one->watch.fd, SHUT_WR);
}

static void end(struct farewell *one)
{
    int fd = one->watch.fd;

    loop_unwatch(one->all->loop, &one->watch);
    loop_disown(one->all->loop, fd);
    close(fd);
    one->watch.fd = -1;
    one->all->count--;
}

/* The client's first bytes have come: learns its protocol by them. */
static void look(struct farewell *one, const char *bytes, size_t size)
{
    size_t room = sizeof(one->head) - one->head_size;

    memcpy(one->head + one->head_size, bytes, size < room ? size : room);
    one->head_size = (uint8_t)(one->head_size + (size < room ? size : room));
    if (one->protocol == PROTOCOL_AUTO)
        one->protocol = (uint8_t)protocol_guess((struct bytes){one->head, one->head_size});
    if (one->protocol != PROTOCOL_AUTO)
        say(one);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct farewell *one = container_of(watch, struct farewell, watch);
    char buffer[16384];

    (void)events;
    for (unsigned i = 0; i < READS_MAX; i++) {
        ssize_t got = recv(watch->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            end(one);
            return;
        }
        if (!one->said)
            look(one, buffer, (size_t)got);
    }
}

static void over(struct timer *timer)
{
    struct farewells *all = container_of(timer, struct farewells, timer);
    uint64_t next = 0;

    for (uint32_t i = 0; i < FAREWELLS; i++) {
        struct farewell *one = &all->of[i];
        if (one->all == NULL || one->watch.fd < 0)
            continue;
        if (one->until_ns > all->loop->now) {
            next = next == 0 || one->until_ns < next ? one->until_ns : next;
            continue;
        }
        if (!one->said)
            say(one);
        end(one);
    }
    if (next != 0)
        timer_set_at(all->loop, &all->timer, next, over);
}

void farewell_begin(struct farewells *all, int fd, uint8_t protocol)
{
    for (uint32_t i = 0; i < FAREWELLS && all->count < FAREWELLS; i++) {
        struct farewell *one = &all->of[i];
        if (one->all != NULL && one->watch.fd >= 0)
            continue;
        *one = (struct farewell){.all = all, .protocol = protocol};
        if (!loop_watch(all->loop, &one->watch, fd, EPOLLIN, ready))
            break;
        loop_own(all->loop, fd);
        one->watch.fd = fd;
        one->until_ns = all->loop->now + STAYS_NS;
        all->count++;
        if (!timer_is_set(&all->timer))
            timer_set(all->loop, &all->timer, STAYS_NS, over);
        return;
    }
    close(fd);
}
