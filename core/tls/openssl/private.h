/* Between the files of tls.so. */
#ifndef PILLION_TLS_OPENSSL_PRIVATE_H
#define PILLION_TLS_OPENSSL_PRIVATE_H

#include <openssl/ssl.h>

#include "tls/tls.h"

struct tls_context {
    SSL_CTX *first; /* of the first pair; or a client's */
    SSL_CTX *others[TLS_CERTIFICATES_MAX];
    size_t other_count;
    bool unverified;
    char *trusted;           /* whose authorities it trusts, in words; NULL: it verifies nobody */
    unsigned char alpn[256]; /* as RFC 7301 has it: each with its length in front */
    unsigned alpn_size;
    tls_ticket_keys ticket_keys;
    void *ticket_context;
};

struct tls_session {
    SSL *ssl;
    char *name; /* of the server, where the session is a client's; else NULL */
    const char *trusted;
    enum tls_cause cause;
    int fd;      /* socket.c: the socket; */
    bool dry;    /* it was read empty; */
    bool ended;  /* the other side has finished sending */
    bool judged; /* `why` tells what is wrong with the other side's certificate */
    char why[256];
};

/* ---- common.c ---- */

/* The first error of OpenSSL in words, without the numbers and files around them; forgets all. */
const char *error_words(void);

/* False with the reason. */
__attribute__((format(printf, 3, 4))) bool fail(char *why, size_t size, const char *format, ...);

void set_alpn(struct tls_context *context, const char *const *names);

/* Has each certificate of a file of authorities trusted by itself: also of one that another
 * authority has signed, which need not be in the file then. */
void trust_each(SSL_CTX *ctx);

struct tls_context *context_new(void);
void context_release(struct tls_context *context);
struct tls_session *session_new(struct tls_context *context);
void session_end(struct tls_session *session);

/* ---- files.c ---- */

/* Keys with a passphrase would have a process wait for a person: there is none. */
int no_passphrase(char *to, int room, int writing, void *context);

/* Each is false, with the reason of OpenSSL's first error. `first` is the certificate of the file
 * `certificate` that the key has to belong to. */
bool fail_certificate(char *why, size_t size, const char *path);
bool fail_authorities(char *why, size_t size, const char *path);
bool fail_key(char *why, size_t size, const char *path, const char *certificate, X509 *first);

/* ---- socket.c ---- */

/* Has a server's session read and write `fd`. False without memory. */
bool socket_use(struct tls_session *session, int fd);

/* ---- client.c: see tls.h ---- */

struct tls_context *client_context(const struct tls_client *settings, char *why, size_t size);
struct tls_session *client_session(struct tls_context *context, int fd, const char *name);

/* ---- certificate_words.c ---- */

/* The common name, or "(no name)". */
void common_name(X509_NAME *subject, char *text, size_t room);

/* Has the other side's certificate verified (`mode`: SSL_CTX_set_verify(3)), and what is wrong with
 * it said in the session's `why`. Once in a context. */
void certificate_words_prepare(SSL_CTX *ctx, int mode);

/* Connects the SSL with its session, which outlives it. */
void certificate_words_of(struct tls_session *session);

/* ---- client_words.c ---- */

/* Says in `why` what has ended the session, unless its certificate's fault is there already. */
void client_words_broken(struct tls_session *session, int number);

#endif
