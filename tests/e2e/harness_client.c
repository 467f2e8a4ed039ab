/* Clients that send exactly the bytes that a test wants. See harness.h. */
#include "harness_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX (256u << 20) /* no test expects a larger reply */

/* ---- connecting ---- */

static int try_connect(const void *address, socklen_t size, int family)
{
    int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, address, size) < 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int check_connected(int fd)
{
    if (fd < 0)
        fail_test("cannot connect: %s", strerror(errno));
    return fd;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int client_try_connect(int port)
{
    const struct sockaddr_in address = loopback(port);

    return try_connect(&address, sizeof(address), AF_INET);
}

int client_connect(const struct server *server)
{
    return check_connected(client_try_connect(server->port));
}

int client_connect_v6(int port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    address.sin6_addr = in6addr_loopback;
    return check_connected(try_connect(&address, sizeof(address), AF_INET6));
}

int client_try_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return try_connect(&address, sizeof(address), AF_UNIX);
}

int client_connect_unix(const char *path)
{
    return check_connected(client_try_connect_unix(path));
}

int client_connect_to(int port)
{
    return check_connected(client_try_connect(port));
}

int client_connect_from(const char *address, int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};
    const struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        fail_test("cannot connect from %s: %s", address, strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* ---- moving bytes ---- */

static short wait_for(int client, short events, int64_t deadline)
{
    struct pollfd poller = {.fd = client, .events = events};

    for (;;) {
        int64_t left = deadline - now_ms();
        if (left <= 0)
            fail_test("the server does not %s",
                      (events & POLLIN) != 0 ? "answer" : "take what is sent");
        if (poll(&poller, 1, (int)left) > 0)
            return poller.revents;
    }
}

bool client_try_send(int client, const void *data, size_t size)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    const char *at = data;

    while (size > 0) {
        ssize_t sent = send(client, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0) {
            wait_for(client, POLLOUT, deadline);
            continue;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

void client_send(int client, const void *data, size_t size)
{
    if (!client_try_send(client, data, size))
        fail_test("the server has closed: %s", strerror(errno));
}

static void write_header(char header[4], uint32_t length)
{
    for (int i = 0; i < 4; i++)
        header[i] = (char)(unsigned char)(length >> (8 * i));
}

void client_announce(int client, uint32_t length)
{
    char header[4];

    write_header(header, length);
    client_send(client, header, sizeof(header));
}

void client_send_frames(int client, int count, const char *body)
{
    struct buffer frames = {0};

    for (int i = 0; i < count; i++)
        buffer_add_frame(&frames, "%s", body);
    client_send(client, frames.data, frames.size);
    free(frames.data);
}

void client_send_frame(int client, const char *body)
{
    client_send_frames(client, 1, body);
}

void client_finish(int client)
{
    shutdown(client, SHUT_WR);
}

void client_vanish(int client)
{
    setsockopt(client, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
               sizeof(struct linger));
    close(client);
}

static void receive_exactly(int client, char *to, size_t size, int64_t deadline)
{
    while (size > 0) {
        ssize_t got = recv(client, to, size, 0);
        if (got == 0)
            fail_test("the server closed the connection where a reply was expected");
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            fail_test("the connection broke where a reply was expected: %s", strerror(errno));
        if (got < 0) {
            wait_for(client, POLLIN, deadline);
            continue;
        }
        to += got;
        size -= (size_t)got;
    }
}

char *client_receive(int client, size_t *size)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    unsigned char header[4];

    receive_exactly(client, (char *)header, sizeof(header), deadline);
    uint32_t length = (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 |
                      (uint32_t)header[3] << 24;
    if (length > FRAME_MAX)
        fail_test("a reply of %u bytes was announced", length);
    char *body = keep(malloc((size_t)length + 1));
    receive_exactly(client, body, length, deadline);
    body[length] = '\0';
    if (size != NULL)
        *size = length;
    return body;
}

/* ---- replies ---- */

static cJSON *parsed[64]; /* the latest trees; older ones are deleted */
static unsigned parsed_next;

const cJSON *client_receive_json(int client)
{
    char *body = client_receive(client, NULL);
    cJSON **place = &parsed[parsed_next++ % (sizeof(parsed) / sizeof(*parsed))];

    cJSON_Delete(*place);
    *place = cJSON_Parse(body);
    if (*place == NULL)
        fail_test("a reply is not JSON: %.500s", body);
    return *place;
}

void replies_free(void)
{
    for (size_t i = 0; i < sizeof(parsed) / sizeof(*parsed); i++) {
        cJSON_Delete(parsed[i]);
        parsed[i] = NULL;
    }
}

const char *client_ask(int client, const char *body)
{
    client_send_frame(client, body);
    return client_receive(client, NULL);
}

const char *client_call(int client, const char *method, const char *params)
{
    return client_ask(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
}

void client_expect(int client, const char *body)
{
    size_t size;
    char *got = client_receive(client, &size);

    if (size != strlen(body) || memcmp(got, body, size) != 0)
        fail_test("the reply is\n%.1000s\nand not\n%.1000s", got, body);
}

const char *client_expect_error(int client, const char *code)
{
    const cJSON *reply = client_receive_json(client);
    const cJSON *out = cJSON_GetObjectItemCaseSensitive(reply, "out");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    const cJSON *result = error != NULL ? cJSON_GetObjectItemCaseSensitive(error, "data")
                                        : cJSON_GetObjectItemCaseSensitive(reply, "result");
    const cJSON *got = cJSON_GetObjectItemCaseSensitive(result, "code");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(result, "message");

    if (error == NULL && (!cJSON_IsString(out) || strcmp(out->valuestring, "error") != 0))
        fail_test("the reply is no error, but %s was expected", code);
    if (!cJSON_IsString(got) || !cJSON_IsString(message))
        fail_test("the error lacks \"code\" or \"message\"");
    if (strcmp(got->valuestring, code) != 0)
        fail_test("the error is \"%s\" (%s) and not \"%s\"", got->valuestring, message->valuestring,
                  code);
    return message->valuestring;
}

char *client_receive_rest(int client)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    struct buffer text = {0};

    for (;;) {
        char piece[4096];
        struct pollfd readable = {.fd = client, .events = POLLIN};
        if (deadline_over(deadline))
            fail_test("the connection is not closed; so far it says:\n%.*s", (int)text.size,
                      text.data);
        if (poll(&readable, 1, 100) <= 0)
            continue;
        ssize_t got = recv(client, piece, sizeof(piece), 0);
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got < 0)
            fail_test("the connection is reset: %s", strerror(errno));
        if (got == 0)
            break;
        buffer_add(&text, piece, (size_t)got);
    }
    buffer_add(&text, "", 1);
    return keep(text.data);
}

const char *client_round(int port, const char *request)
{
    int client = client_connect_to(port);

    client_send(client, request, strlen(request));
    const char *response = client_receive_rest(client);
    close(client);
    return response;
}

void client_expect_end(int client)
{
    char byte;
    int64_t deadline = deadline_in(PATIENCE_MS);

    wait_for(client, POLLIN, deadline);
    ssize_t got = recv(client, &byte, 1, 0);
    if (got != 0)
        fail_test("%s where the end was expected", got > 0 ? "bytes came" : strerror(errno));
}

void client_expect_alive(int client)
{
    client_send_frame(client, "{\"in\": \"ping\", \"params\": \"alive\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":\"alive\"}");
}

bool client_is_silent(int client)
{
    char byte;

    return recv(client, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

bool client_is_closed(int client)
{
    char byte;
    ssize_t got = recv(client, &byte, 1, MSG_PEEK);

    return got == 0 || (got < 0 && errno != EAGAIN);
}

/* Receives the bytes that have come and compares them. */
static size_t take_expected(int client, const char *expected, size_t left)
{
    char piece[65536];
    ssize_t got = recv(client, piece, sizeof(piece), 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        fail_test("the connection ended %zu bytes before the last expected", left);
    if ((size_t)got > left)
        fail_test("%zu bytes more than expected came", (size_t)got - left);
    for (size_t i = 0; i < (size_t)got; i++) {
        if (piece[i] != expected[i])
            fail_test("%zu bytes before the end, this came:\n%.200s\nand not\n%.200s", left - i,
                      piece + i, expected + i);
    }
    return (size_t)got;
}

void client_exchange(int client, const void *data, size_t size, size_t piece, const void *expected,
                     size_t expected_size)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    const char *out = data, *in = expected;

    while (size > 0 || expected_size > 0) {
        short events = (short)((size > 0 ? POLLOUT : 0) | POLLIN);
        short ready = wait_for(client, events, deadline);
        if ((ready & POLLOUT) != 0 && size > 0) {
            size_t part = piece != 0 && piece < size ? piece : size;
            ssize_t sent = send(client, out, part, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                fail_test("the server closed %zu bytes before the end: %s", size, strerror(errno));
            out += sent > 0 ? sent : 0;
            size -= sent > 0 ? (size_t)sent : 0;
        }
        if ((ready & ~POLLOUT) != 0) {
            size_t got = take_expected(client, in, expected_size);
            in += got;
            expected_size -= got;
        }
    }
}

/* ---- listeners ---- */

int listen_at(int port)
{
    const struct sockaddr_in place = loopback(port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&place, sizeof(place)), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    return listener;
}

int listen_anywhere(char **address)
{
    struct sockaddr_in place;
    socklen_t size = sizeof(place);
    int listener = listen_at(0);

    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&place, &size), 0);
    *address = keep_printf("127.0.0.1:%d", ntohs(place.sin_port));
    return listener;
}

/* ---- buffers ---- */

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
    while (buffer->size + size > buffer->capacity) {
        buffer->capacity = buffer->capacity == 0 ? 4096 : buffer->capacity * 2;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (buffer->data == NULL)
            abort();
    }
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void buffer_add_frame(struct buffer *buffer, const char *format, ...)
{
    char header[4], *body = NULL;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&body, format, args);
    va_end(args);
    if (size < 0)
        abort();
    write_header(header, (uint32_t)size);
    buffer_add(buffer, header, sizeof(header));
    buffer_add(buffer, body, (size_t)size);
    free(body);
}
