/* TLS as the gate, the command line and workers need it: a table of functions that `tls.so` fills,
 * which is the only file of a server that needs OpenSSL. The processes that need TLS load it by
 * themselves (tls_load); the others, and servers without `ssl`, never do.
 *
 * Sessions read and write a non-blocking socket that stays the caller's. Texts of errors are
 * sentences without a full stop. */
#ifndef PILLION_TLS_TLS_H
#define PILLION_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TLS_TABLE_VERSION    5u /* raised when anything below changes */
#define TLS_TICKET_KEY       80u
#define TLS_CERTIFICATES_MAX 64u

enum tls_version { TLS_1_2, TLS_1_3 };

/* A certificate with its chain, and its key: files of PEM. */
struct tls_pair {
    const char *certificate, *key;
};

/* Whether clients are asked for a certificate. */
enum tls_verify { TLS_VERIFY_OFF, TLS_VERIFY_OPTIONAL, TLS_VERIFY_ON };

/* The keys of session tickets: tickets are made with the first, and taken with both. False when
 * there are none. */
typedef bool (*tls_ticket_keys)(void *context, uint8_t keys[2][TLS_TICKET_KEY]);

/* What a server speaks, and as whom. */
struct tls_server {
    const struct tls_pair *pairs; /* the first is for clients that ask for no name, or another */
    size_t pair_count;
    enum tls_version lowest, highest;
    const char *ciphers;     /* of TLS 1.2; NULL: the library's */
    const char *const *alpn; /* ended by NULL; in the order of preference */
    enum tls_verify verify;
    const char *authorities;     /* a file of PEM: who may have signed clients' certificates */
    uint64_t session_s;          /* how long a ticket may be used */
    tls_ticket_keys ticket_keys; /* NULL: no tickets */
    void *ticket_context;
};

/* What a file of PEM holds. */
struct tls_pem {
    const char *name; /* of the file; NULL: there is none */
    const char *data; /* NULL: the file is read */
    size_t size;
};

/* What a client expects. */
struct tls_client {
    struct tls_pem authorities;      /* none: the system's */
    const char *const *alpn;         /* ended by NULL, or NULL */
    struct tls_pem certificate, key; /* its own, or none */
    bool unverified;                 /* it takes any certificate */
};

enum tls_status {
    TLS_DONE,
    TLS_READ,   /* when the socket can be read, again */
    TLS_WRITE,  /* when it can be written */
    TLS_END,    /* the other side has ended its stream, or its connection */
    TLS_BROKEN, /* tls_table's `why` tells */
};

/* Why a handshake is TLS_BROKEN. */
enum tls_cause {
    TLS_CAUSE_UNKNOWN,     /* the library's own trouble */
    TLS_CAUSE_PROTOCOL,    /* nothing in common, or what was sent is no TLS */
    TLS_CAUSE_CERTIFICATE, /* one side does not take the other's */
    TLS_CAUSE_HTTP,        /* a request of HTTP without TLS */
    TLS_CAUSE_CONNECTION,  /* it was reset */
};

/* What a session's handshake has agreed on. Strings are "" for what there is not, and stay valid as
 * long as the session. */
struct tls_agreed {
    char name[256]; /* that the client asked for (SNI) */
    char alpn[32];
    char common_name[108]; /* of the client's certificate, which was verified */
    const char *version, *cipher;
    bool certified, resumed;
};

struct tls_context;
struct tls_session;

typedef void (*tls_expiry)(void *data, const char *whose, int64_t at);

struct tls_table {
    uint32_t version; /* TLS_TABLE_VERSION */
    const char *library;

    /* A context, of which any number of sessions can be made. NULL with the reason, which names the
     * file. Reads the files, keys included. */
    struct tls_context *(*serve)(const struct tls_server *settings, char *why, size_t size);
    struct tls_context *(*call)(const struct tls_client *settings, char *why, size_t size);
    void (*release)(struct tls_context *context);
    /* Calls `each` for all certificates of a server, with those that lead to their authorities:
     * whose it is, and when it expires, in seconds since 1970. */
    void (*expiries)(const struct tls_context *context, tls_expiry each, void *data);

    /* A session over the socket `fd`. A client's is with `name`, which is checked against the
     * server's certificate unless the context is unverified. NULL without memory. */
    struct tls_session *(*accept)(struct tls_context *context, int fd);
    struct tls_session *(*connect)(struct tls_context *context, int fd, const char *name);
    void (*end)(struct tls_session *session);

    enum tls_status (*handshake)(struct tls_session *session);
    enum tls_status (*read)(struct tls_session *session, char *to, size_t room, size_t *got);
    /* After a read that was DONE: false when the next one would find nothing before the socket can
     * be read. */
    bool (*has_more)(struct tls_session *session);
    /* After TLS_WRITE the same bytes are to be given again, at whatever address. */
    enum tls_status (*write)(struct tls_session *session, const char *from, size_t size,
                             size_t *put);
    /* Tells the other side that no more comes. */
    enum tls_status (*finish)(struct tls_session *session);
    void (*agreed)(const struct tls_session *session, struct tls_agreed *agreed);
    const char *(*why)(const struct tls_session *session);
    enum tls_cause (*cause)(const struct tls_session *session);
};

#define TLS_TABLE_SYMBOL "pillion_tls_table"

/* Where the library is: false when it is not beside the executable, nor where it is installed. */
bool tls_find(char *path, size_t size);

/* Loads the library, once in a process. NULL with the reason. */
const struct tls_table *tls_load(struct error *error);

#endif
