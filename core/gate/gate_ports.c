/* Contexts of TLS by the configuration. See gate_ports.h. */
#include "gate/gate_ports.h"

#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "gate/tickets.h"
#include "wire/protocol.h"

#define WARN_DAYS 30
#define DAY_S     86400

/* By ALPN a client learns, or says, what is spoken inside. */
static const char *const *alpn_of(uint8_t protocol)
{
    static const char *const frames[] = {"pillion/1", NULL}, *const http[] = {"http/1.1", NULL},
                             *const both[] = {"http/1.1", "pillion/1", NULL},
                             *const none[] = {NULL};

    if (protocol == PROTOCOL_AUTO)
        return both;
    if (protocol == PROTOCOL_HTTP)
        return http;
    return protocol == PROTOCOL_FRAME ? frames : none;
}

struct expiry {
    const char *address; /* where the certificates are used */
    int64_t first;       /* when the first of them expires */
};

/* A tls_expiry. */
static void warn_of(void *data, const char *whose, int64_t at)
{
    struct expiry *expiry = data;
    int64_t left = at - time(NULL);

    if (left < 0)
        log_error("%s: the certificate of %s has expired: clients that go by it do not connect",
                  expiry->address, whose);
    else if (left < WARN_DAYS * DAY_S)
        log_warn("%s: the certificate of %s expires in %lld days", expiry->address, whose,
                 (long long)(left / DAY_S));
    if (at < expiry->first)
        expiry->first = at;
}

/* Returns when the first expires. */
static int64_t warn_of_expiry(const struct tls_table *tls, const struct tls_context *context,
                              const char *address)
{
    struct expiry expiry = {.address = address, .first = INT64_MAX};

    tls->expiries(context, warn_of, &expiry);
    return expiry.first;
}

/* `address` is for messages. */
static struct tls_context *context_of(const struct tls_table *tls, const char *address,
                                      uint8_t protocol, const struct ssl_settings *ssl,
                                      bool tickets, struct error *error)
{
    struct tls_pair pairs[SSL_CERTIFICATES_MAX];
    struct tls_server server = {
        .pairs = pairs,
        .pair_count = ssl->certificates.count,
        .lowest = ssl->protocols & 1 ? TLS_1_2 : TLS_1_3,
        .highest = ssl->protocols & 2 ? TLS_1_3 : TLS_1_2,
        .ciphers = ssl->ciphers,
        .alpn = alpn_of(protocol),
        .verify = (enum tls_verify)ssl->verify_client,
        .authorities = ssl->client_certificates,
        .session_s = ssl->session_timeout_ms / 1000,
        .ticket_keys = tickets && ssl->session_tickets ? tickets_keys : NULL,
    };
    char why[ERROR_TEXT_MAX] = "out of memory";

    for (size_t i = 0; i < ssl->certificates.count; i++)
        pairs[i] = (struct tls_pair){ssl->certificates.items[i], ssl->keys.items[i]};
    struct tls_context *context = tls->serve(&server, why, sizeof(why));
    if (context == NULL)
        error_set(error, "%s: %s", address, why);
    return context;
}

bool gate_ports_load(struct gate_ports *ports, const struct generation *generation,
                     struct error *error)
{
    uint32_t most = 0;

    ports->tls = tls_load(error);
    if (ports->tls == NULL)
        return false;
    for (size_t i = 0; i < generation->listener_count; i++)
        most += generation->listeners[i].listener->count;
    ports->items = must_zalloc(most * sizeof(*ports->items));
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        if (!heard->ssl)
            continue;
        struct tls_context *context = context_of(ports->tls, heard->listener->address.text,
                                                 heard->protocol, &heard->server->ssl, true, error);
        if (context == NULL)
            return false;
        for (uint32_t n = 0; n < heard->listener->count; n++)
            ports->items[ports->count++] = (struct gate_port){.heard = heard, .context = context};
    }
    return true;
}

bool gate_ports_try(const struct hearing *hearing, int64_t *expires, struct error *error)
{
    const struct tls_table *tls = tls_load(error);

    *expires = INT64_MAX;
    for (size_t i = 0; tls != NULL && i < hearing->count; i++) {
        const struct heard *heard = &hearing->items[i];
        if (!heard->listen->ssl)
            continue;
        struct tls_context *context = context_of(tls, heard->address.text, heard->listen->protocol,
                                                 &heard->server->ssl, false, error);
        if (context == NULL)
            return false;
        int64_t at = warn_of_expiry(tls, context, heard->address.text);
        *expires = at < *expires ? at : *expires;
        tls->release(context);
    }
    return tls != NULL;
}

void gate_ports_warn(const struct gate_ports *ports)
{
    for (uint32_t i = 0; i < ports->count; i++) {
        const struct gate_port *port = &ports->items[i];
        if (i == 0 || port->context != port[-1].context)
            warn_of_expiry(ports->tls, port->context, port->heard->listener->address.text);
    }
}
