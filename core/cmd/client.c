/* Exchanges with a server. See client.h.
 *
 * Reading goes on while the request is still being sent: a server that refuses a frame says so and
 * closes without taking the rest of it. */
#include "cmd/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/said.h"
#include "cmd/target.h"
#include "net/address.h"
#include "wire/stranger.h"

#define ADDRESSES_MAX 16

struct exchange {
    const char *server; /* as the user wrote it */
    struct contact contact;
    uint64_t deadline;
    uint64_t timeout_ms;
    const struct dialect *dialect;
    struct text message;
    size_t sent; /* of the message */
    struct text input;
    uint64_t expects; /* bytes of the reply with all around it; 0 while that is not known */
    struct http_response response;
    struct error *error;
};

/* "SERVER" and the rest, and behind it what the server has said. */
__attribute__((format(printf, 3, 4))) static bool
fail_said(const struct exchange *exchange, struct bytes said, const char *format, ...)
{
    struct text text = {0};
    va_list args;

    text_printf(&text, "%s ", exchange->server);
    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    said_append(&text, said);
    error_set(exchange->error, "%s", text_string(&text));
    text_free(&text);
    return false;
}

static bool fail_timeout(struct exchange *exchange)
{
    bool seconds = exchange->timeout_ms % 1000 == 0;

    return error_set(exchange->error, "no answer from %s within %llu %s", exchange->server,
                     (unsigned long long)exchange->timeout_ms / (seconds ? 1000 : 1),
                     seconds ? "s" : "ms");
}

/* Waits for `events` until the deadline. */
static bool wait_for(struct exchange *exchange, short events, short *ready)
{
    struct pollfd poller = {.fd = exchange->contact.fd, .events = events};

    for (;;) {
        uint64_t now = clock_ns();
        if (now >= exchange->deadline)
            return fail_timeout(exchange);
        uint64_t left = (exchange->deadline - now) / NS_PER_MS + 1;
        int count = poll(&poller, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (count < 0 && errno != EINTR)
            return error_errno(exchange->error, "cannot wait for %s", exchange->server);
        if (count > 0) {
            *ready = poller.revents;
            return true;
        }
    }
}

static bool connect_to(struct exchange *exchange, const struct address *address)
{
    int reason = 0;
    socklen_t size = sizeof(reason);
    short ready;

    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(exchange->error, "cannot create a socket for %s", address->text);
    exchange->contact.fd = fd;
    if (connect(fd, (const struct sockaddr *)&address->socket, address->size) == 0)
        return true;
    if (errno == EINPROGRESS) {
        if (!wait_for(exchange, POLLOUT, &ready))
            return false;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
        if (reason == 0)
            return true;
        errno = reason;
    }
    return error_errno(exchange->error, "no server answers at %s", address->text);
}

static bool shake_hands(struct exchange *exchange)
{
    char name[TARGET_SIZE];
    const char *why = "out of memory";
    enum contact_state state = CONTACT_BROKEN;
    short ready;

    dialect_server_name(exchange->dialect, exchange->server, name, sizeof(name));
    if (contact_secure(&exchange->contact, name))
        state = contact_shake(&exchange->contact, &why);
    while (state == CONTACT_READ || state == CONTACT_WRITE) {
        if (!wait_for(exchange, state == CONTACT_READ ? POLLIN : POLLOUT, &ready)) {
            if (clock_ns() >= exchange->deadline)
                error_set(exchange->error,
                          "%s has taken the connection, and not the TLS handshake (%llu ms); does "
                          "it speak TLS?",
                          exchange->server, (unsigned long long)exchange->timeout_ms);
            return false;
        }
        state = contact_shake(&exchange->contact, &why);
    }
    return state == CONTACT_DONE ||
           error_set(exchange->error, "TLS with %s has failed: %s", exchange->server, why);
}

/* What TLS says is the same at each of a name's addresses, as a rule: the first that takes a
 * connection is the server. */
static bool connect_any(struct exchange *exchange)
{
    struct address addresses[ADDRESSES_MAX];

    size_t count = address_resolve(exchange->server, addresses, ADDRESSES_MAX, exchange->error);
    for (size_t i = 0; i < count; i++) {
        if (connect_to(exchange, &addresses[i])) {
            if (!exchange->dialect->secure.on || shake_hands(exchange))
                return true;
            count = 0;
        }
        contact_close(&exchange->contact);
    }
    return false;
}

/* Sends as much as the socket takes. A broken connection is no error yet: the server's reply that
 * explains it may still be readable. */
static void send_more(struct exchange *exchange)
{
    ssize_t size = contact_send(&exchange->contact, exchange->message.data + exchange->sent,
                                exchange->message.size - exchange->sent);

    if (size > 0)
        exchange->sent += (size_t)size;
    else if (errno != EAGAIN && errno != EINTR)
        exchange->sent = exchange->message.size;
}

static bool fail_closed(const struct exchange *exchange)
{
    const struct bytes input = {exchange->input.data, exchange->input.size};

    if (input.size == 0)
        return fail_said(exchange, input,
                         "closed the connection before it answered; does it speak %s%s?",
                         stranger_spoken(exchange->dialect->protocol),
                         exchange->dialect->secure.on ? "" : ", without TLS");
    if (exchange->expects > 0)
        return fail_said(exchange, (struct bytes){0},
                         "closed the connection after %zu of the %llu bytes of its reply",
                         input.size, (unsigned long long)exchange->expects);
    return fail_said(exchange, input, "closed the connection before its reply was whole");
}

/* True when there may be more to come. */
static bool receive_more(struct exchange *exchange)
{
    char buffer[65536];
    ssize_t size;

    do {
        size = contact_receive(&exchange->contact, buffer, sizeof(buffer));
        if (size > 0)
            text_append(&exchange->input, (struct bytes){buffer, (size_t)size});
    } while (size == sizeof(buffer));
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    /* What has not been read, as by a server that expects TLS, makes a reset of an end. */
    if (size == 0 || (errno == ECONNRESET && exchange->input.size == 0))
        return fail_closed(exchange);
    if (errno == EPROTO)
        return error_set(exchange->error, "TLS with %s has failed: %s", exchange->server,
                         contact_why(&exchange->contact));
    return error_errno(exchange->error, "the connection to %s broke before it answered",
                       exchange->server);
}

/* The response to a request of HTTP is no reply. What stands in front of a server may answer in its
 * own words, which are shown unless they are a page. */
static bool fail_http(const struct exchange *exchange)
{
    const struct bytes input = {exchange->input.data, exchange->input.size};
    const char *end = memmem(input.data, input.size, "\r\n\r\n", 4);
    struct bytes body = {0};

    if (end != NULL)
        body = (struct bytes){end + 4, input.size - (size_t)(end + 4 - input.data)};
    if (body.size > 0 && body.data[0] == '<')
        body.size = 0;
    return fail_said(exchange, body, "answered with HTTP's status %u, and no JSON",
                     exchange->response.status);
}

/* What has come is not, or is not going to be, a reply. */
static bool fail_reply(const struct exchange *exchange, enum frame_status status,
                       const struct frame *frame)
{
    const struct bytes input = {exchange->input.data, exchange->input.size};

    if (exchange->dialect->protocol == PROTOCOL_HTTP && exchange->response.status != 0 &&
        (status == FRAME_WHOLE || exchange->response.status >= 300))
        return fail_http(exchange);
    if (status == FRAME_TOO_LARGE)
        return fail_said(exchange, input,
                         "announces a reply of %llu bytes, which no Pillion server sends",
                         (unsigned long long)frame->size);
    if (status == FRAME_REFUSED)
        return fail_said(exchange, input, "sent a reply that cannot be read: %s", frame->why);
    return fail_said(exchange, frame->body, "sent a reply that is not JSON");
}

/* Takes the reply once it is whole: sets `done`. False, with the reason, when it never will be. */
static bool take_reply(struct exchange *exchange, struct frame_progress *progress,
                       struct text *reply, bool *done)
{
    struct bytes input = {exchange->input.data, exchange->input.size};
    struct frame frame = {0};

    enum frame_status status =
        dialect_next(exchange->dialect, input, progress, &exchange->response, &frame);
    if (status == FRAME_PARTIAL || status == FRAME_EMPTY) {
        exchange->expects = status == FRAME_PARTIAL ? frame.size : 0;
        return true;
    }
    if (status != FRAME_WHOLE || frame.body.size == 0 ||
        strchr("{[ \t\r\n", frame.body.data[0]) == NULL)
        return fail_reply(exchange, status, &frame);
    text_append(reply, frame.body);
    return *done = true;
}

static bool run(struct exchange *exchange, struct text *reply)
{
    struct frame_progress progress = {0};
    bool done = false;
    short ready;

    while (!done) {
        bool sends = exchange->sent < exchange->message.size;
        short sending = sends || exchange->contact.reads_write ? POLLOUT : 0;
        if (!wait_for(exchange, (short)(POLLIN | sending), &ready))
            return false;
        if ((ready & POLLOUT) != 0 && sends)
            send_more(exchange);
        if (((ready & ~POLLOUT) != 0 || exchange->contact.reads_write) &&
            (!receive_more(exchange) || !take_reply(exchange, &progress, reply, &done)))
            return false;
    }
    return true;
}

bool client_connect(const char *server, const struct dialect *dialect, uint64_t timeout_ms,
                    struct contact *contact, struct error *error)
{
    struct exchange exchange = {
        .server = server,
        .contact = {.fd = -1},
        .deadline = clock_after(clock_ns(), timeout_ms),
        .timeout_ms = timeout_ms,
        .dialect = dialect,
        .error = error,
    };

    bool good = connect_any(&exchange);
    *contact = exchange.contact;
    return good;
}

bool client_exchange(struct client *client, struct bytes body, struct text *reply,
                     struct error *error)
{
    struct exchange exchange = {.server = client->server,
                                .contact = client->contact,
                                .deadline = clock_after(clock_ns(), client->timeout_ms),
                                .timeout_ms = client->timeout_ms,
                                .dialect = client->dialect,
                                .error = error};

    dialect_wrap(client->dialect, client->server, body, &exchange.message);
    bool good = (exchange.contact.fd >= 0 || connect_any(&exchange)) && run(&exchange, reply);
    client->contact = exchange.contact;
    if (!good || (client->dialect->protocol == PROTOCOL_HTTP && !exchange.response.keep_alive))
        client_close(client);
    text_free(&exchange.message);
    text_free(&exchange.input);
    return good;
}

void client_close(struct client *client)
{
    contact_close(&client->contact);
}
