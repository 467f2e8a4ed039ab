/* A client's beginning, its bytes in both directions, and its end. See gate_client.h.
 *
 * Workers hear of a client with its first bytes, or once it has been silent for a moment: one that
 * goes after the handshake, as probes do, costs them nothing. */
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
#include "tls/carrier.h"
#include "wire/proxy_header.h"

#define RETRY_NS  (2 * NS_PER_MS)   /* until the queue to the workers is tried again */
#define SILENT_NS (100 * NS_PER_MS) /* after the handshake, until the workers hear of a client */
#define LINGER_NS (5 * NS_PER_S)    /* for a client to take the last bytes, and end */

struct gate_client {
    struct gate_clients *clients;
    const struct gate_port *port;
    struct watch outside, inside; /* the client's socket, and the gate's end of the pair */
    struct timer limit;           /* of the handshake, then of its silence, then of the end */
    struct timer again;           /* the queue was full; or more can be carried at once */
    struct carrier carrier;       /* its session is NULL until its first bytes have come */
    struct sockaddr_storage peer;
    socklen_t peer_size;
    int workers_end; /* of the pair, until it is in the queue; -1 */
    uint64_t key;    /* of its address, while that counts its handshake; 0 */
    uint32_t seen;   /* bytes of its PROXY header that were looked at */
    uint8_t version; /* of TLS, once it is met: 0, 1 (TLS_VERSIONS) */
    uint8_t failure; /* enum tls_counter: what its end counts as before it is met */
    bool heading;    /* a PROXY header is to come before the handshake */
    bool begun;      /* the handshake has begun, and was counted */
    bool met;        /* the handshake is done */
};

static void client_look(struct gate_client *client, unsigned what);
static void reach_worker(struct gate_client *client);

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
    if (resets && client->carrier.out.data != NULL)
        setsockopt(client->outside.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    count_end(client);
    timer_cancel(clients->loop, &client->limit);
    timer_cancel(clients->loop, &client->again);
    clients->tls->end(client->carrier.session);
    forget_watch(client, &client->outside);
    forget_watch(client, &client->inside);
    if (client->workers_end >= 0)
        close(client->workers_end);
    carrier_end(&client->carrier);
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
    if (client->met && client->inside.fd > 0)
        client_close(client, client->carrier.out.data != NULL);
    else if (client->met)
        reach_worker(client);
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
    struct carrier *carrier = &client->carrier;
    uint64_t most_ns = client->port->heard->server->send_timeout_ms * NS_PER_MS;
    bool anew = carrier->out_moved || !timer_is_set(&client->limit);

    carrier->out_moved = false;
    if (carrier->out.data == NULL && !carrier->out_told)
        timer_cancel(loop, &client->limit);
    else if (carrier->out.data == NULL && anew)
        timer_set(loop, &client->limit, LINGER_NS, limit_over);
    else if (carrier->out.data != NULL && most_ns != 0 && anew)
        timer_set(loop, &client->limit, most_ns, limit_over);
}

/* ---- Bytes ---- */

static void outside_ready(struct watch *watch, uint32_t events);
static void inside_ready(struct watch *watch, uint32_t events);

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
    client_look(container_of(timer, struct gate_client, again), CARRY_BOTH);
}

static void carry(struct gate_client *client, unsigned what)
{
    struct carrier *carrier = &client->carrier;
    bool more = false;

    if (!carrier_run(carrier, what, &more)) {
        client_close(client, true);
        return;
    }
    if (carrier_done(carrier)) {
        client_close(client, false);
        return;
    }
    limit_client(client);
    if (!watch_for(client, &client->outside, carrier_outside_events(carrier), outside_ready) ||
        !watch_for(client, &client->inside, carrier_inside_events(carrier), inside_ready)) {
        client_close(client, true);
        return;
    }
    if (more)
        timer_set(client->clients->loop, &client->again, 0, again_over);
}

/* ---- The beginning ---- */

/* The first bytes inside tell the worker of its client, before the worker has the pair. */
static bool introduce(const struct gate_client *client)
{
    struct tls_agreed agreed;
    char header[PROXY_WRITTEN_MAX];

    client->clients->tls->agreed(client->carrier.session, &agreed);
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

/* Makes the pair, whose other end becomes a worker's. */
static void reach_worker(struct gate_client *client)
{
    int ends[2];

    timer_cancel(client->clients->loop, &client->limit);
    if (!pair_make(ends)) {
        log_seldom(LOG_ERROR_LEVEL, NULL,
                   "the gate cannot reach the workers over the loopback interface (%s): a client "
                   "is disconnected",
                   strerrorname_np(errno));
        client_close(client, false);
        return;
    }
    client->workers_end = ends[0];
    client->inside.fd = client->carrier.inside = ends[1];
    if (introduce(client))
        client_look(client, CARRY_BOTH);
    else
        client_close(client, false);
}

/* Until TLS can go on: TLS_READ or TLS_WRITE. */
static void wait_outside(struct gate_client *client, enum tls_status status)
{
    loop_change(client->clients->loop, &client->outside, status == TLS_READ ? EPOLLIN : EPOLLOUT);
}

static void wait_for_first_bytes(struct gate_client *client)
{
    enum tls_status status = carrier_first(&client->carrier);

    switch (status) {
    case TLS_DONE:
        reach_worker(client);
        break;
    case TLS_READ:
    case TLS_WRITE:
        wait_outside(client, status);
        break;
    case TLS_END:
        client->clients->tls->finish(client->carrier.session);
        client_close(client, false);
        break;
    case TLS_BROKEN:
        client_close(client, true);
        break;
    }
}

static void meet(struct gate_client *client)
{
    struct tls_agreed agreed;

    client->met = true;
    client->clients->tls->agreed(client->carrier.session, &agreed);
    client->version = strcmp(agreed.version, tls_version_name(0)) != 0;
    count(client, TLS_MET + client->version);
    if (agreed.resumed)
        count(client, TLS_RESUMED + client->version);
    gate_shaken(&client->clients->admission, &client->key);
    timer_set(client->clients->loop, &client->limit, SILENT_NS, limit_over);
    wait_for_first_bytes(client);
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
    enum tls_counter reason = reasons[tls->cause(client->carrier.session)];

    if (reason == TLS_FAILED_HTTP) {
        answer_plain_http(client->outside.fd);
        handshake_failed(client, reason, "it sent a request of HTTP without TLS");
    } else {
        handshake_failed(client, reason, tls->why(client->carrier.session));
    }
}

static void shake_hands(struct gate_client *client)
{
    const struct tls_table *tls = client->clients->tls;

    if (client->carrier.session == NULL)
        client->carrier.session = tls->accept(client->port->context, client->outside.fd);
    if (client->carrier.session == NULL) {
        handshake_failed(client, TLS_FAILED_UNKNOWN, "out of memory");
        return;
    }
    enum tls_status status = tls->handshake(client->carrier.session);
    switch (status) {
    case TLS_DONE:
        meet(client);
        break;
    case TLS_READ:
    case TLS_WRITE:
        wait_outside(client, status);
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
    client_look(client, CARRY_BOTH);
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
    } else if (client->inside.fd <= 0) {
        wait_for_first_bytes(client);
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
    unsigned what = (events & EPOLLIN ? CARRY_IN : 0) | (events & EPOLLOUT ? CARRY_OUT : 0);

    if ((events & (EPOLLERR | EPOLLHUP)) || client->carrier.reads_write)
        what = CARRY_BOTH;
    client_look(client, what);
}

static void inside_ready(struct watch *watch, uint32_t events)
{
    struct gate_client *client = container_of(watch, struct gate_client, inside);
    unsigned what = (events & EPOLLIN ? CARRY_OUT : 0) | (events & EPOLLOUT ? CARRY_IN : 0);

    client_look(client, events & (EPOLLERR | EPOLLHUP) ? CARRY_BOTH : what);
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
    client->carrier.tls = clients->tls;
    client->carrier.outside = fd;
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
