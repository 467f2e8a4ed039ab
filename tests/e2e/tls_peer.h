/* For tests of TLS: clients by OpenSSL, which the gate's own use of it has no part in. */
#ifndef PILLION_TESTS_TLS_PEER_H
#define PILLION_TESTS_TLS_PEER_H

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "certificates.h"
#include "harness.h"

struct tls_options {
    const char *name;     /* asked for (SNI); NULL: none */
    const char *alpn;     /* one protocol, or NULL */
    const char *identity; /* NAME of tls_make, or NULL */
    int version;          /* TLS1_2_VERSION and so on; 0: any */
    SSL_SESSION *session; /* to go on with */
};

struct tls {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

/* Connects and does the handshake. False when that fails. */
static inline bool tls_open(struct tls *tls, const struct server *server, int port,
                            const struct tls_options *options)
{
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    tls->context = SSL_CTX_new(TLS_client_method());
    tls->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(tls->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ck_assert_int_eq(connect(tls->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (options->version != 0) {
        SSL_CTX_set_min_proto_version(tls->context, options->version);
        SSL_CTX_set_max_proto_version(tls->context, options->version);
        SSL_CTX_set_security_level(tls->context, 0);
    }
    if (options->identity != NULL) {
        const char *pem = server_path(server, keep_printf("tls/%s.pem", options->identity));
        const char *key = server_path(server, keep_printf("tls/%s.key", options->identity));
        ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(tls->context, pem), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM), 1);
    }
    tls->ssl = SSL_new(tls->context);
    SSL_set_fd(tls->ssl, tls->fd);
    if (options->name != NULL)
        SSL_set_tlsext_host_name(tls->ssl, options->name);
    if (options->alpn != NULL) {
        char wire[64];
        size_t size =
            (size_t)snprintf(wire, sizeof(wire), "%c%s", (int)strlen(options->alpn), options->alpn);
        SSL_set_alpn_protos(tls->ssl, (unsigned char *)wire, (unsigned)size);
    }
    if (options->session != NULL)
        SSL_set_session(tls->ssl, options->session);
    return SSL_connect(tls->ssl) == 1;
}

static inline void tls_close(struct tls *tls)
{
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    close(tls->fd);
}

static inline void tls_connect(struct tls *tls, const struct server *server, int port)
{
    if (!tls_open(tls, server, port, &(struct tls_options){0}))
        fail_test("no handshake: %s", ERR_reason_error_string(ERR_peek_error()));
}

/* `openssl s_client` at a port of 127.0.0.1, with the options `more` (up to NULL) and `input`. */
static inline struct run s_client(int port, const char *const more[], const char *input)
{
    const char *argv[20] = {"/usr/bin/openssl", "s_client", "-connect",
                            keep_printf("127.0.0.1:%d", port)};

    for (size_t i = 0; more[i] != NULL; i++)
        argv[4 + i] = more[i];
    return run_command(argv, input, PATIENCE_MS);
}

/* False when the connection has ended. */
static inline bool tls_try_frame(struct tls *tls, const char *body)
{
    struct buffer frame = {0};

    buffer_add_frame(&frame, "%s", body);
    bool sent = SSL_write(tls->ssl, frame.data, (int)frame.size) == (int)frame.size;
    free(frame.data);
    return sent;
}

static inline void tls_send_frame(struct tls *tls, const char *body)
{
    ck_assert(tls_try_frame(tls, body));
}

/* False at the end of the connection. */
static inline bool tls_take(struct tls *tls, char *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        int got = SSL_read(tls->ssl, to + at, (int)(size - at));
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

/* The next reply's body. */
static inline const char *tls_receive(struct tls *tls)
{
    unsigned char head[4];

    if (!tls_take(tls, (char *)head, sizeof(head)))
        fail_test("the connection has ended");
    size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    char *body = keep(calloc(1, size + 1));
    if (!tls_take(tls, body, size))
        fail_test("the connection has ended within a reply");
    return body;
}

static inline const char *tls_ask(struct tls *tls, const char *body)
{
    tls_send_frame(tls, body);
    return tls_receive(tls);
}

static inline void tls_expect_alive(struct tls *tls)
{
    expect_text(tls_ask(tls, "{\"in\":\"ping\",\"params\":1}"), "{\"out\":\"pong\",\"result\":1}");
}

/* The common name of the certificate that the server has shown. */
static inline const char *tls_peer(struct tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    char name[128] = "";

    if (certificate != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                  sizeof(name));
    return keep_printf("%s", name);
}

#endif
