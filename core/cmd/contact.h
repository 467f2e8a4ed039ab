/* A connection of the command line to a server: a socket, with TLS over it where that is wanted.
 *
 * Nothing here waits. The socket is non-blocking. */
#ifndef PILLION_CMD_CONTACT_H
#define PILLION_CMD_CONTACT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct tls_session;

/* How TLS is spoken, as options say it (cmd/dialect.h). Strings are borrowed. */
struct secure {
    bool on;
    bool unverified;         /* any certificate is taken */
    const char *authorities; /* a file of PEM; NULL: the system's */
    const char *certificate, *key;
    const char *name; /* whose certificate it has to be; NULL: the address says */
};

/* Starts as `{.fd = -1}`. */
struct contact {
    int fd;                      /* -1: there is none */
    struct tls_session *session; /* NULL: plain */
    bool reads_write;            /* it can receive only once it can send */
};

/* Loads what TLS needs, and reads its files; once in a process. `alpn` is the protocol's name.
 * False with the reason. */
bool contact_prepare(const struct secure *secure, const char *alpn, struct error *error);

/* Begins TLS over the contact's socket, after contact_prepare. `name` is the server's. False
 * without memory. */
bool contact_secure(struct contact *contact, const char *name);

enum contact_state { CONTACT_DONE, CONTACT_READ, CONTACT_WRITE, CONTACT_BROKEN };

/* Goes on with the handshake. When it is broken, `why` (of some static storage) tells why. */
enum contact_state contact_shake(struct contact *contact, const char **why);

/* As send(2) and recv(2): what they return, and errno. EPROTO: contact_why has the words. TLS may
 * hold bytes that poll(2) does not tell of: receive until less than `room` comes. */
ssize_t contact_send(struct contact *contact, const void *data, size_t size);
ssize_t contact_receive(struct contact *contact, void *to, size_t room);
const char *contact_why(const struct contact *contact);

/* Closes it, if it is open. */
void contact_close(struct contact *contact);

#endif
