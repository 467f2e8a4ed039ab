/* The bare client's TLS, by OpenSSL: how lanes carry their bytes inside of it, and the loop that
 * does nothing but handshakes. See load.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

static SSL_CTX *context;
static SSL_SESSION *session; /* that all handshakes go on with; NULL: they are whole ones */

static void context_make(void)
{
    if (context != NULL)
        return;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        load_fail("OpenSSL does not begin");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
}

static SSL *ssl_on(int fd)
{
    context_make();
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        load_fail("no session of TLS");
    SSL_set_connect_state(ssl);
    return ssl;
}

void *tls_on(int fd)
{
    if (!plan.tls)
        return NULL;
    SSL *ssl = ssl_on(fd);
    if (SSL_do_handshake(ssl) != 1)
        load_fail("a handshake has failed");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return ssl;
}

void tls_off(void *ssl)
{
    SSL_free(ssl);
}

/* As send(2) and recv(2) say it. */
static ssize_t as_socket(SSL *ssl, int result)
{
    if (result > 0)
        return result;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = errno == 0 ? EPROTO : errno;
        return -1;
    }
}

ssize_t tls_send(void *ssl, int fd, const void *data, size_t size)
{
    if (ssl == NULL)
        return send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    ERR_clear_error();
    return as_socket(ssl, SSL_write(ssl, data, (int)size));
}

ssize_t tls_recv(void *ssl, int fd, void *data, size_t size)
{
    if (ssl == NULL)
        return recv(fd, data, size, MSG_DONTWAIT);
    ERR_clear_error();
    return as_socket(ssl, SSL_read(ssl, data, (int)size));
}

/* ---- Handshakes ---- */

enum step { SHAKES, ENDS };

struct shake {
    int fd;
    SSL *ssl;
    enum step step;
    uint64_t began_ns;
};

static void shake_open(struct shake *shake)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = shake};

    *shake = (struct shake){.fd = lane_connect(), .began_ns = clock_ns()};
    fcntl(shake->fd, F_SETFL, O_NONBLOCK);
    shake->ssl = ssl_on(shake->fd);
    if (session != NULL)
        SSL_set_session(shake->ssl, session);
    SSL_do_handshake(shake->ssl);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, shake->fd, &event) != 0)
        load_fail("epoll_ctl");
}

/* The client ends, and waits until the server has: so that what an end costs is counted, too. True
 * when it has. */
static bool shake_step(struct shake *shake)
{
    char bytes[4096];
    ssize_t got;

    if (shake->step == SHAKES) {
        ERR_clear_error();
        int result = SSL_do_handshake(shake->ssl);
        if (result != 1 && SSL_get_error(shake->ssl, result) == SSL_ERROR_WANT_READ)
            return false;
        if (result != 1)
            load_fail("a handshake has failed");
        if (SSL_session_reused(shake->ssl) != (session != NULL))
            load_fail("a handshake was resumed that should not be, or the other way round");
        SSL_shutdown(shake->ssl);
        shutdown(shake->fd, SHUT_WR);
        shake->step = ENDS;
    }
    while ((got = recv(shake->fd, bytes, sizeof(bytes), 0)) > 0)
        continue;
    return got == 0 || errno != EAGAIN;
}

/* A session to go on with: its ticket comes after the handshake (RFC 8446 section 4.6.1). */
static void session_get(void)
{
    const struct timeval patience = {.tv_usec = 300000};
    int fd = lane_connect();
    char byte;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    SSL *ssl = ssl_on(fd);
    if (SSL_do_handshake(ssl) != 1)
        load_fail("a handshake has failed");
    SSL_read(ssl, &byte, 1);
    session = SSL_get1_session(ssl);
    if (session == NULL || SSL_SESSION_is_resumable(session) != 1)
        load_fail("the server gives no tickets");
    SSL_shutdown(ssl); /* or the session counts as a bad one (SSL_set_shutdown(3)) */
    SSL_free(ssl);
    close(fd);
}

static void shake_until(struct shake *shakes, uint64_t end, struct result *result)
{
    struct epoll_event events[64];

    (void)shakes;
    while (clock_ns() < end) {
        int count = epoll_wait(epoll, events, 64, 100);
        for (int i = 0; i < count; i++) {
            struct shake *shake = events[i].data.ptr;
            if (!shake_step(shake))
                continue;
            result->requests++;
            latency_add(result, clock_ns() - shake->began_ns);
            SSL_free(shake->ssl);
            close(shake->fd);
            shake_open(shake);
        }
    }
}

void handshakes_run(struct result *result)
{
    struct shake *shakes = calloc(plan.connections, sizeof(*shakes));

    if (shakes == NULL)
        load_fail("cannot begin");
    if (plan.handshakes == HANDSHAKES_RESUMED)
        session_get();
    for (unsigned i = 0; i < plan.connections; i++)
        shake_open(&shakes[i]);
    shake_until(shakes, clock_ns() + plan.warm_up_ns, result);
    *result = (struct result){0};
    uint64_t cpu = cpu_of(plan.cpu_of), start = clock_ns();
    shake_until(shakes, start + plan.measured_ns, result);
    result->elapsed_ns = clock_ns() - start;
    result->server_cpu_ns = cpu_of(plan.cpu_of) - cpu;
}
