/* Sockets, and TLS over them. See contact.h. */
#include "cmd/contact.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/tls.h"

/* What all connections of this process share: a command speaks to one server. */
static const struct tls_table *tls;
static struct tls_context *context;

bool contact_prepare(const struct secure *secure, const char *alpn, struct error *error)
{
    const char *const names[] = {alpn, NULL};
    const struct tls_client settings = {
        .authorities = {.name = secure->authorities},
        .alpn = names,
        .certificate = {.name = secure->certificate},
        .key = {.name = secure->key},
        .unverified = secure->unverified,
    };
    char why[512] = "out of memory";

    if (context != NULL)
        return true;
    tls = tls_load(error);
    if (tls == NULL)
        return false;
    context = tls->call(&settings, why, sizeof(why));
    return context != NULL || error_set(error, "%s", why);
}

bool contact_secure(struct contact *contact, const char *name)
{
    contact->session = tls->connect(context, contact->fd, name);
    return contact->session != NULL;
}

enum contact_state contact_shake(struct contact *contact, const char **why)
{
    switch (tls->handshake(contact->session)) {
    case TLS_DONE:
        return CONTACT_DONE;
    case TLS_READ:
        return CONTACT_READ;
    case TLS_WRITE:
        return CONTACT_WRITE;
    case TLS_END:
        *why = "it closed the connection; does it speak TLS?";
        return CONTACT_BROKEN;
    default:
        *why = tls->why(contact->session);
        return CONTACT_BROKEN;
    }
}

static ssize_t result_of(enum tls_status status, size_t size)
{
    if (status == TLS_DONE)
        return (ssize_t)size;
    if (status == TLS_END)
        return 0;
    errno = status == TLS_BROKEN ? EPROTO : EAGAIN;
    return -1;
}

ssize_t contact_send(struct contact *contact, const void *data, size_t size)
{
    size_t put;

    if (contact->session == NULL)
        return send(contact->fd, data, size, MSG_NOSIGNAL);
    enum tls_status status = tls->write(contact->session, data, size, &put);
    if (status == TLS_END) {
        errno = EPIPE;
        return -1;
    }
    return result_of(status, put);
}

ssize_t contact_receive(struct contact *contact, void *to, size_t room)
{
    enum tls_status status = TLS_DONE;
    size_t all = 0, got;

    if (contact->session == NULL)
        return recv(contact->fd, to, room, 0);
    contact->reads_write = false;
    while (all < room && status == TLS_DONE) {
        status = tls->read(contact->session, (char *)to + all, room - all, &got);
        all += status == TLS_DONE ? got : 0;
    }
    contact->reads_write = status == TLS_WRITE;
    return all > 0 ? (ssize_t)all : result_of(status, 0);
}

const char *contact_why(const struct contact *contact)
{
    return contact->session == NULL ? "" : tls->why(contact->session);
}

void contact_close(struct contact *contact)
{
    if (contact->fd < 0)
        return;
    if (contact->session != NULL)
        tls->end(contact->session);
    close(contact->fd);
    *contact = (struct contact){.fd = -1};
}
