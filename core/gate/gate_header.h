/* PROXY headers in front of TLS: where a listener has both `ssl` and `proxy_protocol`, each
 * connection begins with one, by which a balancer that lets TLS through tells of its client
 * (wire/proxy_header.h). Gate only. */
#ifndef PILLION_GATE_GATE_HEADER_H
#define PILLION_GATE_GATE_HEADER_H

#include <stdint.h>
#include <sys/socket.h>

enum gate_header_status {
    GATE_HEADER_TAKEN,
    GATE_HEADER_WAITS, /* until the socket can be read */
    GATE_HEADER_ENDED, /* the balancer has gone */
    GATE_HEADER_BAD    /* `why` tells */
};

/* Takes the header from the socket, and nothing behind it. `client` and its size become what it
 * tells; they stay as they are when it tells nothing, as for a balancer's own checks. `seen`, 0 at
 * first, is kept for the next call. */
enum gate_header_status gate_header_take(int fd, uint32_t *seen, struct sockaddr_storage *client,
                                         socklen_t *size, const char **why);

#endif
