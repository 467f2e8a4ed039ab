/* Bytes read    = tcpi_bytes_received - SIOCINQ
 * Bytes written = tcpi_bytes_acked + SIOCOUTQ        (tcp(7), RFC 4898)
 *
 * A FIN has a sequence number too: a received one counts as a byte in tcpi_bytes_received, a sent
 * one counts in SIOCOUTQ and then in tcpi_bytes_acked. The connection's state tells which of them
 * there were. Segments may arrive between the system calls, so TCP_INFO is read again until it is
 * the same before and after the others. See stream_count.h. */
#include "net/stream_count.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The kernel's include/net/tcp_states.h; <netinet/tcp.h> has them too, but not beside the newer
 * members of struct tcp_info. */
enum {
    STATE_ESTABLISHED = 1,
    STATE_FIN_WAIT1 = 4,
    STATE_FIN_WAIT2 = 5,
    STATE_TIME_WAIT = 6,
    STATE_CLOSE = 7,
    STATE_CLOSE_WAIT = 8,
    STATE_LAST_ACK = 9,
    STATE_CLOSING = 11
};

#define READS_MAX 1000 /* then a stream that never rests is counted as it was last seen */

static bool tcp_info_of(int fd, struct tcp_info *info)
{
    socklen_t size = sizeof(*info);
    memset(info, 0, sizeof(*info));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

static bool same(const struct tcp_info *a, const struct tcp_info *b)
{
    return a->tcpi_state == b->tcpi_state && a->tcpi_bytes_received == b->tcpi_bytes_received &&
           a->tcpi_bytes_acked == b->tcpi_bytes_acked;
}

enum stream_status stream_count(int fd, struct stream_count *count)
{
    struct tcp_info info, again;
    int unread = 0, unacked = 0;

    if (!tcp_info_of(fd, &info))
        return STREAM_UNKNOWN;
    for (int i = 0; i < READS_MAX; i++) {
        if (ioctl(fd, SIOCINQ, &unread) < 0 || ioctl(fd, SIOCOUTQ, &unacked) < 0 ||
            !tcp_info_of(fd, &again))
            return STREAM_UNKNOWN;
        if (same(&info, &again))
            break;
        info = again;
    }
    bool fin_received = info.tcpi_state == STATE_CLOSE_WAIT || info.tcpi_state == STATE_LAST_ACK ||
                        info.tcpi_state == STATE_CLOSING || info.tcpi_state == STATE_TIME_WAIT;
    bool fin_sent = info.tcpi_state == STATE_FIN_WAIT1 || info.tcpi_state == STATE_FIN_WAIT2 ||
                    info.tcpi_state == STATE_LAST_ACK || info.tcpi_state == STATE_CLOSING ||
                    info.tcpi_state == STATE_TIME_WAIT;
    if (info.tcpi_state == STATE_CLOSE)
        return STREAM_DEAD;
    count->received =
        (uint64_t)info.tcpi_bytes_received - (uint64_t)unread - (fin_received ? 1u : 0u);
    count->sent = (uint64_t)info.tcpi_bytes_acked + (uint64_t)unacked - (fin_sent ? 1u : 0u);
    return STREAM_COUNTED;
}

bool stream_at_rest(int fd, uint64_t received, uint64_t sent)
{
    struct tcp_info info;

    return tcp_info_of(fd, &info) && info.tcpi_state == STATE_ESTABLISHED &&
           info.tcpi_bytes_received == received && info.tcpi_bytes_acked == sent;
}
