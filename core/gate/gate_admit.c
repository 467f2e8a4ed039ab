/* Admitting clients. See gate_admit.h. */
#include "gate/gate_admit.h"

#include "base/log_seldom.h"
#include "net/address.h"

bool gate_admits_balancer(const struct gate_admission *admission, const struct gate_port *port,
                          const struct sockaddr *peer)
{
    const struct network_settings *from = &port->heard->server->proxy_from;
    char text[ADDRESS_TEXT_SIZE];

    if (peer->sa_family == AF_UNIX) /* a matter of its file's rights */
        return true;
    for (size_t i = 0; i < from->count; i++) {
        if (network_has(&from->networks[i], peer))
            return true;
    }
    address_format(peer, sizeof(struct sockaddr_storage), text);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "%s: %s is not among the balancers, which alone may connect there (proxy_from): its "
               "connection is closed",
               port->heard->listener->address.text, text);
    counter_add(&admission->counters[TLS_REFUSED_PROXY_FROM], 1);
    return false;
}

/* The counter of those that are refused; TLS_COUNTERS for one that may come. */
static enum tls_counter judge(struct gate_admission *admission, const struct gate_port *port,
                              const struct sockaddr *client, uint64_t now_ns, uint64_t *key)
{
    const struct server_settings *server = port->heard->server;
    const struct crowd_limit served = {.most = (uint32_t)server->limit_conn.most,
                                       .server = server->index};
    struct crowd_limit shaking = {
        .most = (uint32_t)server->ssl.handshakes,
        .rate = (uint32_t)server->limit_conn.rate,
        .period_s = (uint32_t)server->limit_conn.period_s,
        .server = server->index,
    };

    if (!access_allows(server->access.rules, server->access.count, client))
        return TLS_REFUSED_DENY;
    if (shaking.most > admission->share)
        shaking.most = admission->share;
    *key = crowd_key(&admission->shaking, &shaking, client);
    if (*key == 0)
        return TLS_COUNTERS;
    if (crowd_is_full(&admission->served, &served, *key)) {
        *key = 0;
        return TLS_REFUSED_CONN;
    }
    enum crowd_answer answer = crowd_enter(&admission->shaking, &shaking, *key, now_ns);
    if (answer == CROWD_ENTERED)
        return TLS_COUNTERS;
    *key = 0;
    return answer == CROWD_FULL ? TLS_REFUSED_HANDSHAKES : TLS_REFUSED_RATE;
}

static const char *words_of(enum tls_counter why)
{
    switch ((unsigned)why) {
    case TLS_REFUSED_DENY:
        return "it may not connect (deny)";
    case TLS_REFUSED_CONN:
        return "its address has as many connections as it may have (limit_conn)";
    case TLS_REFUSED_RATE:
        return "too many of its address have come lately (limit_conn, rate)";
    default:
        return "too many handshakes of its address are under way (ssl_handshakes)";
    }
}

bool gate_admits(struct gate_admission *admission, const struct gate_port *port,
                 const struct sockaddr *client, socklen_t size, uint64_t now_ns, uint64_t *key)
{
    char text[ADDRESS_TEXT_SIZE];

    *key = 0;
    enum tls_counter why = judge(admission, port, client, now_ns, key);
    if (why == TLS_COUNTERS)
        return true;
    counter_add(&admission->counters[why], 1);
    address_format(client, size, text);
    const char *words = words_of(why);
    log_seldom(LOG_WARN_LEVEL, words, "%s: the client %s gets no handshake: %s",
               port->heard->listener->address.text, text, words);
    return false;
}

void gate_shaken(struct gate_admission *admission, uint64_t *key)
{
    if (*key != 0)
        crowd_leave(&admission->shaking, *key);
    *key = 0;
}
