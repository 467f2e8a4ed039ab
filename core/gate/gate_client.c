/* A client's beginning, its bytes in both directions, and its end. See gate_client.h.
 *
 * Bytes that one side does not take yet are kept until it does, and meanwhile nothing more is read
 * from the other side: at most CHUNK in each direction. A client at rest has no buffer. */
#include "gate/gate_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "gate/gate_header.h"
#include "gate/pair.h"
#include "net/handoff.h"
#include "wire/proxy_header.h"

#define CHUNK     16384u /* the most that a record of TLS holds (RFC 8446 section 5.1) */
#define ROUNDS    4u     /* chunks in each direction, before other clients have their turn */
#define RETRY_NS  (2 * NS_PER_MS) /* until the queue to the workers is tried again */
#define LINGER_NS (5 * NS_PER_S)  /* for a client to take the last bytes, and end */

/* Bytes that are on their way. */
struct held {
    char *data; /* NULL: none */
    uint32_t start, size;
};

struct gate_client {
    struct gate_clients *clients;
    const struct gate_port *port;
    struct watch outside, inside; /* the client's socket, and the gate's end of the pair */
    struct timer limit;           /* of the handshake, then of the end */
    struct timer again;           /* the queue was full; or more can be carried at once */
    struct tls_session *session;  /* NULL until its first bytes have come */
    struct held in, out;
    struct sockaddr_storage peer;
    socklen_t peer_size;
    int workers_end;  /* of the pair, until it is in the queue; -1 */
    uint64_t key;     /* of its address, while that counts its handshake; 0 */
    uint32_t seen;    /* bytes of its PROXY header that were looked at */
    uint8_t version;  /* of TLS, once it is met: 0, 1 (TLS_VERSIONS) */
    uint8_t failure;  /* enum tls_counter: what its end counts as before it is met */
    bool heading;     /* a PROXY header is to come before the handshake */
    bool begun;       /* the handshake has begun, and was counted */
    bool met;         /* the handshake is done */
    bool in_ended;    /* the client has finished sending, */
    bool in_told;     /* and the worker was told */
    bool in_lost;     /* the worker takes nothing more: what the client sends is dropped */
    bool out_ended;   /* the worker has finished sending, */
    bool out_told;    /* and the client was told */
    bool out_moved;   /* the client has taken some of `out` since `limit` was set */
    bool reads_write; /* TLS can read only once it can write */
};

/* What can be done: bytes to the worker, and to the client. */
enum { LOOK_IN = 1, LOOK_OUT = 2, LOOK_BOTH = 3 };

static void client_look(struct gate_client *client, unsigned what);

/* ---- The end ---- */

static void forget_watch(struct gate_client *client, struct watch *watch)
{
    if (watch->fd <= 0)
        return;
    loop_unwatch(client->clients->loop, watch);
    close(watch->fd);
    watch->fd = 0;
}

static void count(struct gate_client *client, unsigned which)
{
    counter_add(&client->clients->admission.counters[which], 1);
}

static void count_end(struct gate_client *client)
{
    gate_shaken(&client->clients->admission, &client->key);
    if (client->met)
        count(client, TLS_ENDED + client->version);
    else if (client->begun)
        count(client, client->failure);
}

/* `resets`: the other side is to see that its peer did not end in order. */
static void client_close(struct gate_client *client, bool resets)
{
    const struct linger at_once = {.l_onoff = 1};
    struct gate_clients *clients = client->clients;

    if (resets && client->inside.fd > 0)
        setsockopt(client->inside.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (resets && client->out.data != NULL)
        setsockopt(client->outside.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    count_end(client);
    timer_cancel(clients->loop, &client->limit);
    timer_cancel(clients->loop, &client->again);
    clients->tls->end(client->session);
    forget_watch(client, &client->outside);
    forget_watch(client, &client->inside);
    if (client->workers_end >= 0)
        close(client->workers_end);
    free(client->in.data);
    free(client->out.data);
    free(client);
    clients->open--;
    clients->gone();
}

static const char *name_of(const struct gate_client *client, char text[ADDRESS_TEXT_SIZE])
{
    address_format((const struct sockaddr *)&client->peer, client->peer_size, text);
    return text;
}

/* Clients that break off are nothing to tell; those whose handshake fails may be an operator's. */
static void handshake_failed(struct gate_client *client, enum tls_counter reason, const char *why)
{
    char text[ADDRESS_TEXT_SIZE];

    client->failure = (uint8_t)reason;
    log_seldom(LOG_INFO_LEVEL, NULL, "%s: the TLS handshake with %s has failed: %s",
               client->port->heard->listener->address.text, name_of(client, text), why);
    client_close(client, false);
}

static void header_failed(struct gate_client *client, const char *why)
{
    char text[ADDRESS_TEXT_SIZE];

    count(client, TLS_REFUSED_HEADER);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "%s: %s sent no PROXY header, with which each connection begins there "
               "(proxy_protocol): %s; the connection is closed",
               client->port->heard->listener->address.text, name_of(client, text), why);
    client_close(client, false);
}

static void limit_over(struct timer *timer)
{
    struct gate_client *client = container_of(timer, struct gate_client, limit);

    /* What was handed to the kernel is its to deliver; a client that took nothing is reset. */
    if (client->met)
        client_close(client, client->out.data != NULL);
    else if (client->heading)
        header_failed(client, "it did not come in time (proxy_timeout)");
    else
        handshake_failed(client, TLS_FAILED_TIMEOUT,
                         "it was not done in time (ssl_handshake_timeout)");
}

/* The client has a time to take some of the bytes that are held for it (send_timeout), each time
 * that it has taken some; and, once all are the kernel's, a time to end. */
static void limit_client(struct gate_client *client)
{
    struct loop *loop = client->clients->loop;
    uint64_t most_ns = client->port->heard->server->send_timeout_ms * NS_PER_MS;

    if (client->out.data == NULL && !client->out_told) {
        timer_cancel(loop, &client->limit);
    } else if (client->out.data == NULL) {
        if (client->out_moved || !timer_is_set(&client->limit))
            timer_set(loop, &client->limit, LINGER_NS, limit_over);
    } else if (most_ns != 0 && (client->out_moved || !timer_is_set(&client->limit))) {
        timer_set(loop, &client->limit, most_ns, limit_over);
    }
    client->out_moved = false;
}

/* ---- Bytes that are held ---- */

static void hold(struct held *held, const char *data, size_t size)
{
    held->data = must_alloc(size);
    memcpy(held->data, data, size);
    held->start = 0;
    held->size = (uint32_t)size;
}

/* `size` of the held bytes have been taken. */
static void taken(struct held *held, size_t size)
{
    held->start += (uint32_t)size;
    if (held->start < held->size)
        return;
    free(held->data);
    *held = (struct held){0};
}

/* ---- From the client to the worker ---- */

/* Sends as much as the worker takes, and returns how much. A worker that has closed takes nothing
 * more, and that is no fault of the client's. */
static size_t send_inside(struct gate_client *client, const char *data, size_t size)
{
    if (client->in_lost)
        return size;
    ssize_t sent = send(client->inside.fd, data, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    client->in_lost = true;
    return size;
}

/* Carries what there is, for a few rounds. False when the client is gone. `more` becomes true when
 * there is more at once. */
static bool carry_in(struct gate_client *client, bool *more)
{
    const struct tls_table *tls = client->clients->tls;
    static char chunk[CHUNK];
    size_t got;

    client->reads_write = false;
    for (unsigned round = 0; !client->in_ended; round++) {
        if (client->in.data != NULL)
            taken(&client->in, send_inside(client, client->in.data + client->in.start,
                                           client->in.size - client->in.start));
        if (client->in.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        enum tls_status status = tls->read(client->session, chunk, sizeof(chunk), &got);
        if (status == TLS_BROKEN)
            return false;
        client->in_ended = status == TLS_END;
        client->reads_write = status == TLS_WRITE;
        if (status != TLS_DONE)
            break;
        size_t sent = send_inside(client, chunk, got);
        if (sent < got)
            hold(&client->in, chunk + sent, got - sent);
        else if (!tls->has_more(client->session))
            break;
    }
    if (client->in_ended && client->in.data == NULL && !client->in_told) {
        client->in_told = true;
        shutdown(client->inside.fd, SHUT_WR);
    }
    return true;
}

/* ---- From the worker to the client ---- */

static bool send_outside(struct gate_client *client, const char *data, size_t size, size_t *sent)
{
    enum tls_status status = client->clients->tls->write(client->session, data, size, sent);
    return status == TLS_DONE || status == TLS_WRITE || status == TLS_READ;
}

static bool carry_held_out(struct gate_client *client)
{
    size_t sent = 0;

    while (client->out.data != NULL) {
        if (!send_outside(client, client->out.data + client->out.start,
                          client->out.size - client->out.start, &sent))
            return false;
        if (sent == 0)
            return true;
        client->out_moved = true;
        taken(&client->out, sent);
    }
    return true;
}

static bool carry_out(struct gate_client *client, bool *more)
{
    static char chunk[CHUNK];
    size_t sent;

    for (unsigned round = 0; !client->out_ended; round++) {
        if (!carry_held_out(client))
            return false;
        if (client->out.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        ssize_t got = recv(client->inside.fd, chunk, sizeof(chunk), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        client->out_ended = got <= 0;
        if (got <= 0)
            break;
        for (size_t at = 0; at < (size_t)got; at += sent) {
            if (!send_outside(client, chunk + at, (size_t)got - at, &sent))
                return false;
            if (sent > 0)
                continue;
            hold(&client->out, chunk + at, (size_t)got - at);
            break;
        }
        if ((size_t)got < sizeof(chunk)) /* it is empty now */
            return true;
    }
    if (!carry_held_out(client))
        return false;
    if (client->out_ended && client->out.data == NULL && !client->out_told) {
        client->out_told = true;
        client->clients->tls->finish(client->session);
        if (!client->in_told && !client->in_lost) /* otherwise it is closed at once */
            shutdown(client->outside.fd, SHUT_WR);
    }
    return true;
}

/* ---- Both ---- */

static void outside_ready(struct watch *watch, uint32_t events);
static void inside_ready(struct watch *watch, uint32_t events);

/* Watches for what can be carried on. A socket with nothing to wait for is not watched at all,
 * because the kernel reports errors of a watched one again and again. */
static bool watch_for(struct gate_client *client, struct watch *watch, uint32_t events,
                      watch_callback callback)
{
    if (events == 0) {
        loop_unwatch(client->clients->loop, watch);
        return true;
    }
    if (watch->index != 0) {
        loop_change(client->clients->loop, watch, events);
        return true;
    }
    return loop_watch(client->clients->loop, watch, watch->fd, events, callback);
}

static void again_over(struct timer *timer)
{
    client_look(container_of(timer, struct gate_client, again), LOOK_BOTH);
}

static void carry(struct gate_client *client, unsigned what)
{
    bool more = false;

    if (((what & LOOK_IN) && !carry_in(client, &more)) ||
        ((what & LOOK_OUT) && !carry_out(client, &more))) {
        client_close(client, true);
        return;
    }
    if (client->out_told && (client->in_told || client->in_lost)) {
        client_close(client, false);
        return;
    }
    limit_client(client);
    uint32_t outside = (client->in.data == NULL && !client->in_ended ? EPOLLIN : 0) |
                       (client->out.data != NULL || client->reads_write ? EPOLLOUT : 0);
    uint32_t inside = (client->out.data == NULL && !client->out_ended ? EPOLLIN : 0) |
                      (client->in.data != NULL ? EPOLLOUT : 0);
    if (!watch_for(client, &client->outside, outside, outside_ready) ||
        !watch_for(client, &client->inside, inside, inside_ready)) {
        client_close(client, true);
        return;
    }
    if (more)
        timer_set(client->clients->loop, &client->again, 0, again_over);
}

/* ---- The beginning ---- */

/* The first bytes inside tell the worker of its client, before the worker has the pair. */
static bool introduce(struct gate_client *client)
{
    struct tls_agreed agreed;
    char header[PROXY_WRITTEN_MAX];

    client->clients->tls->agreed(client->session, &agreed);
    client->version = strcmp(agreed.version, tls_version_name(0)) != 0;
    count(client, TLS_MET + client->version);
    if (agreed.resumed)
        count(client, TLS_RESUMED + client->version);
    struct proxy_header told = {
        .source = client->peer,
        .source_size = client->peer_size,
        .alpn = bytes_of(agreed.alpn),
        .authority = bytes_of(agreed.name),
        .common_name = bytes_of(agreed.common_name),
        .tls = true,
    };
    size_t size = proxy_header_write(&told, header);
    return send(client->inside.fd, header, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The handshake is done: makes the pair. */
static void meet(struct gate_client *client)
{
    int ends[2];

    timer_cancel(client->clients->loop, &client->limit);
    gate_shaken(&client->clients->admission, &client->key);
    if (!pair_make(ends)) {
        client->failure = TLS_FAILED_UNKNOWN;
        log_seldom(LOG_ERROR_LEVEL, NULL,
                   "the gate cannot reach the workers over the loopback interface (%s): a client "
                   "is disconnected",
                   strerrorname_np(errno));
        client_close(client, false);
        return;
    }
    client->workers_end = ends[0];
    client->inside.fd = ends[1];
    client->met = true;
    if (introduce(client))
        client_look(client, LOOK_BOTH);
    else
        client_close(client, false);
}

/* A client that has taken the port for one of HTTP is told; what it has sent is read first, because
 * closing with unread bytes would reset the connection before the answer has arrived. */
static void answer_plain_http(int fd)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 41\r\n"
                                 "Connection: close\r\n\r\n"
                                 "This port speaks TLS alone: use https://\n";
    char chunk[4096];

    for (int i = 0; i < 16 && recv(fd, chunk, sizeof(chunk), 0) > 0; i++)
        continue;
    send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
}

static void handshake_broken(struct gate_client *client)
{
    static const uint8_t reasons[] = {
        [TLS_CAUSE_UNKNOWN] = TLS_FAILED_UNKNOWN,
        [TLS_CAUSE_PROTOCOL] = TLS_FAILED_PROTOCOL,
        [TLS_CAUSE_CERTIFICATE] = TLS_FAILED_CERTIFICATE,
        [TLS_CAUSE_HTTP] = TLS_FAILED_HTTP,
        [TLS_CAUSE_CONNECTION] = TLS_FAILED_CLOSED,
    };
    const struct tls_table *tls = client->clients->tls;
    enum tls_counter reason = reasons[tls->cause(client->session)];

    if (reason == TLS_FAILED_HTTP) {
        answer_plain_http(client->outside.fd);
        handshake_failed(client, reason, "it sent a request of HTTP without TLS");
    } else {
        handshake_failed(client, reason, tls->why(client->session));
    }
}

static void shake_hands(struct gate_client *client)
{
    const struct tls_table *tls = client->clients->tls;

    if (client->session == NULL)
        client->session = tls->accept(client->port->context, client->outside.fd);
    if (client->session == NULL) {
        handshake_failed(client, TLS_FAILED_UNKNOWN, "out of memory");
        return;
    }
    switch (tls->handshake(client->session)) {
    case TLS_DONE:
        meet(client);
        break;
    case TLS_READ:
        loop_change(client->clients->loop, &client->outside, EPOLLIN);
        break;
    case TLS_WRITE:
        loop_change(client->clients->loop, &client->outside, EPOLLOUT);
        break;
    case TLS_END:
        client_close(client, false);
        break;
    case TLS_BROKEN:
        handshake_broken(client);
        break;
    }
}

static void begin_handshake(struct gate_client *client)
{
    client->begun = true;
    count(client, TLS_BEGUN);
    timer_set(client->clients->loop, &client->limit,
              client->port->heard->server->ssl.handshake_timeout_ms * NS_PER_MS, limit_over);
}

/* The balancer's header comes first, and tells of the client. */
static void read_header(struct gate_client *client)
{
    struct gate_clients *clients = client->clients;
    const char *why = "";

    switch (gate_header_take(client->outside.fd, &client->seen, &client->peer, &client->peer_size,
                             &why)) {
    case GATE_HEADER_WAITS:
        return;
    case GATE_HEADER_ENDED:
        client_close(client, false);
        return;
    case GATE_HEADER_BAD:
        header_failed(client, why);
        return;
    case GATE_HEADER_TAKEN:
        break;
    }
    client->heading = false;
    if (!gate_admits(&clients->admission, client->port, (struct sockaddr *)&client->peer,
                     client->peer_size, clients->loop->now, &client->key)) {
        client_close(client, false);
        return;
    }
    begin_handshake(client);
    client_look(client, LOOK_BOTH);
}

/* Gives the worker's end to the workers. False while their queue is full. */
static bool hand_over(struct gate_client *client)
{
    if (client->workers_end < 0)
        return true;
    const struct listener *listener = client->port->heard->listener;
    if (!handoff_put(listener->handoff[HANDOFF_IN], client->workers_end))
        return false;
    close(client->workers_end);
    client->workers_end = -1;
    return true;
}

/* Does what can be done next. The client may be gone after it. */
static void client_look(struct gate_client *client, unsigned what)
{
    if (client->heading) {
        read_header(client);
    } else if (!client->met) {
        shake_hands(client);
    } else if (hand_over(client)) {
        carry(client, what);
    } else if (errno == EPIPE) {
        log_seldom(LOG_ERROR_LEVEL, NULL,
                   "%s: a module has shut the queue to the workers down: a client is "
                   "disconnected; a reload makes it anew",
                   client->port->heard->listener->address.text);
        client_close(client, false);
    } else {
        loop_unwatch(client->clients->loop, &client->outside);
        timer_set(client->clients->loop, &client->again, RETRY_NS, again_over);
    }
}

static void outside_ready(struct watch *watch, uint32_t events)
{
    struct gate_client *client = container_of(watch, struct gate_client, outside);
    unsigned what = (events & EPOLLIN ? LOOK_IN : 0) | (events & EPOLLOUT ? LOOK_OUT : 0);

    if ((events & (EPOLLERR | EPOLLHUP)) || client->reads_write)
        what = LOOK_BOTH;
    client_look(client, what);
}

static void inside_ready(struct watch *watch, uint32_t events)
{
    struct gate_client *client = container_of(watch, struct gate_client, inside);
    unsigned what = (events & EPOLLIN ? LOOK_OUT : 0) | (events & EPOLLOUT ? LOOK_IN : 0);

    client_look(client, events & (EPOLLERR | EPOLLHUP) ? LOOK_BOTH : what);
}

/* `key`: as gate_admits has it. */
static void client_new(struct gate_clients *clients, const struct gate_port *port, int fd,
                       const struct sockaddr_storage *peer, socklen_t peer_size, uint64_t key)
{
    const struct server_settings *server = port->heard->server;
    struct gate_client *client = must_zalloc(sizeof(*client));
    const int on = 1;

    client->clients = clients;
    client->port = port;
    client->workers_end = -1;
    client->outside.fd = fd;
    client->peer = *peer;
    client->peer_size = peer_size;
    client->key = key;
    client->failure = TLS_FAILED_CLOSED;
    client->heading = port->heard->proxied;
    clients->open++;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* the workers decide what waits */
    if (server->tcp_keepalive)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (client->heading)
        timer_set(clients->loop, &client->limit, server->proxy_timeout_ms * NS_PER_MS, limit_over);
    else
        begin_handshake(client);
    if (!loop_watch(clients->loop, &client->outside, fd, EPOLLIN, outside_ready))
        client_close(client, false);
}

void gate_client_new(struct gate_clients *clients, const struct gate_port *port, int fd,
                     const struct sockaddr_storage *peer, socklen_t peer_size)
{
    const struct sockaddr *address = (const struct sockaddr *)peer;
    uint64_t key = 0;

    if (port->heard->proxied
            ? gate_admits_balancer(&clients->admission, port, address)
            : gate_admits(&clients->admission, port, address, peer_size, clients->loop->now, &key))
        client_new(clients, port, fd, peer, peer_size, key);
    else
        close(fd);
}
