/* Which clients may connect: by their address (`allow`, `deny`), by how many of an address there
 * are (`limit_conn`), and, where PROXY headers are expected, the balancers alone. See conn.h. */
#include "base/log_seldom.h"
#include "net/conn_private.h"

/* Past the balancers nobody may come. Unix sockets are a matter of their file's rights. */
static bool is_balancer(const struct conn_policy *policy, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_UNIX)
        return true;
    for (size_t i = 0; i < policy->trusted_count; i++) {
        if (network_has(&policy->trusted[i], peer))
            return true;
    }
    return false;
}

/* The client is one too many of its address. */
static void log_crowd(const struct crowd_limit *limit, int fd, const char *client,
                      enum crowd_answer answer)
{
    char own[ADDRESS_TEXT_SIZE];

    if (answer == CROWD_FULL)
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "%s: the client %s is one too many: its address has %u connections "
                   "(limit_conn); it is disconnected",
                   conn_here(fd, own), client, limit->most);
    else
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "%s: the client %s is one too many: %u of its address came in this %s "
                   "(limit_conn, rate); it is disconnected",
                   conn_here(fd, own), client, limit->rate,
                   limit->period_s == 1 ? "second" : "minute");
}

/* The counter of those that are refused, or WORKER_COUNTERS for one that may come. */
static enum worker_counter judge(struct conns *conns, const struct conn_policy *policy, int fd,
                                 const struct sockaddr *client, const char *text, uint64_t *key)
{
    char own[ADDRESS_TEXT_SIZE];

    if (policy->after_header != NULL) {
        if (is_balancer(policy, client))
            return WORKER_COUNTERS;
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "%s: %s is not among the balancers, which alone may connect there "
                   "(proxy_from): its connection is closed",
                   conn_here(fd, own), text);
        return COUNT_ENDED_PROXY_FROM;
    }
    if (!access_allows(policy->access, policy->access_count, client)) {
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "%s: the client %s may not connect (deny): it is "
                   "disconnected",
                   conn_here(fd, own), text);
        return COUNT_ENDED_DENY;
    }
    *key = policy->crowd.most == 0 ? 0 : crowd_key(&conns->crowd, &policy->crowd, client);
    if (*key == 0)
        return WORKER_COUNTERS;
    enum crowd_answer answer = crowd_enter(&conns->crowd, &policy->crowd, *key, conns->loop->now);
    if (answer == CROWD_ENTERED)
        return WORKER_COUNTERS;
    *key = 0;
    log_crowd(&policy->crowd, fd, text, answer);
    return answer == CROWD_FULL ? COUNT_ENDED_CONN : COUNT_ENDED_RATE;
}

enum conn_entry conns_admit(struct conns *conns, const struct conn_policy *policy, int fd,
                            const struct sockaddr *client, socklen_t size, uint64_t *key)
{
    char text[ADDRESS_TEXT_SIZE];

    *key = 0;
    if (policy->after_header == NULL && policy->access_count == 0 && policy->crowd.most == 0)
        return CONN_MAY_COME;
    address_format(client, size, text);
    enum worker_counter which = judge(conns, policy, fd, client, text, key);
    if (which == WORKER_COUNTERS)
        return CONN_MAY_COME;
    counter_add(&conns->counters[which], 1);
    return which == COUNT_ENDED_CONN || which == COUNT_ENDED_RATE ? CONN_ONE_TOO_MANY : CONN_DENIED;
}
