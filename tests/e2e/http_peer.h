/* A service of JSON-RPC over HTTP that the test plays itself, for what no good one does. It listens
 * on 127.0.0.1 at the port of `place`, a server that is never started. */
#ifndef PILLION_TESTS_HTTP_PEER_H
#define PILLION_TESTS_HTTP_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

static inline int peer_listen(const struct server *place)
{
    int listener = listen_at(place->port);

    fcntl(listener, F_SETFL, O_NONBLOCK);
    return listener;
}

/* The next connection. */
static inline int peer_accept(int listener)
{
    int peer = -1;

    wait_until((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0, "nobody connects");
    return peer;
}

/* True when somebody has connected, and nobody has accepted it. */
static inline bool peer_is_asked(int listener)
{
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    if (peer >= 0)
        close(peer);
    return peer >= 0;
}

/* The next request, head and body, byte for byte; its body is as long as Content-Length says. */
static inline char *peer_request(int peer)
{
    size_t size = 0, room = 1 << 16, whole = 0;
    char *text = keep(malloc(room + 1));

    text[0] = '\0';
    for (int64_t until = deadline_in(PATIENCE_MS); whole == 0 || size < whole; look_again()) {
        ssize_t got = recv(peer, text + size, room - size, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN) || deadline_over(until))
            fail_test("no whole request comes: %s", text);
        size += got > 0 ? (size_t)got : 0;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "\r\nContent-Length: ");
        if (end != NULL && whole == 0) {
            ck_assert_msg(length != NULL && length < end, "%s", text);
            whole = (size_t)(end + 4 - text) + (size_t)atoi(length + 18);
            ck_assert_uint_le(whole, room);
        }
    }
    return text;
}

/* The id in a request. */
static inline int peer_id(const char *request)
{
    const char *id = strstr(request, "\"id\":");

    ck_assert_msg(id != NULL, "%s", request);
    return atoi(id + 5);
}

/* Sends a response; `head` is the status and further fields, as "200 OK" or "302 Found\r\nA: b". */
static inline void peer_reply(int peer, const char *head, const char *body)
{
    const char *text =
        keep_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    client_send(peer, text, strlen(text));
}

/* Answers the next request with a result. */
static inline void peer_answer(int peer, const char *result)
{
    peer_reply(peer, "200 OK",
               keep_printf("{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":%d}", result,
                           peer_id(peer_request(peer))));
}

#endif
