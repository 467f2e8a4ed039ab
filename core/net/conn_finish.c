/* Clients that have finished sending, while requests of theirs are in the hands of modules. See
 * conn.h.
 *
 * A client that ends its side of the connection and waits for its replies, and one that has closed
 * all of it, send the same FIN (RFC 9293 section 3.6): only what is sent to them tells them apart,
 * by a reset. So either the FIN is taken for the client's end (conn_policy.eof_is_end), or the
 * kernel is told to probe. The client's kernel answers the probes of a socket that a process still
 * has; one that was closed it forgets within a minute (tcp_fin_timeout, tcp(7)), and answers with a
 * reset. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/conn_private.h"

#define PROBE_S 5 /* between probes */

bool conn_has_finished(const struct conns *conns, const struct conn *conn)
{
    return conn->finished || (conn_cursors(conns, conn)->flags & CONN_EOF);
}

bool conn_is_left(const struct conns *conns, const struct conn *conn)
{
    return conn->again == CONN_AGAIN_NEVER && conn_has_finished(conns, conn) &&
           (conn->policy->eof_is_end >> conn_cursors(conns, conn)->protocol & 1) &&
           conns->only_waits != NULL && conns->only_waits(conns, conn);
}

void conn_probe(const struct conns *conns, struct conn *conn)
{
    const int on = 1, seconds = PROBE_S;
    int fd = conn->watch.fd;

    if (conn->probed || !conn->policy->keepalive || !conn_has_finished(conns, conn))
        return;
    conn->probed = 1;
    /* On Unix sockets these fail: there the end of the client itself is seen. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds)) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds)) == 0)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
