/* The PROXY protocol, versions 1 and 2: the header by which a balancer tells, before the first byte
 * of the client, who the client is (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt).
 *
 * Strict: the address that it gives decides what a client may do, so whatever is not exactly a
 * header is refused. Stateless: a header that is not whole is read again from its first byte.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_PROXY_HEADER_H
#define PILLION_WIRE_PROXY_HEADER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"

/* The longest header of version 2 that is read. Its format allows four times as much, which only
 * whole certificates would need. */
#define PROXY_HEADER_MAX 16384u

enum proxy_status {
    PROXY_WHOLE,
    PROXY_PARTIAL, /* `size` is how many bytes the header has in all, or 0 when not known */
    PROXY_INVALID, /* `why` says what is wrong */
};

/* The spans lie in the input; data NULL: not told. They are UTF-8 without control characters. */
struct proxy_header {
    size_t size;
    bool local; /* the connection is the balancer's own, as for a health check */

    struct sockaddr_storage source; /* the client's address; */
    socklen_t source_size;          /* 0: not told */

    struct bytes alpn;        /* the protocol that the client and the balancer agreed on */
    struct bytes authority;   /* the name of the server that the client wanted (SNI) */
    struct bytes common_name; /* of the client's certificate, if the balancer has verified it */
    bool tls;                 /* the client speaks TLS with the balancer */

    const char *why; /* a constant clause for people: "its version is not 2" */
};

/* Looks at the start of `input` for a header. */
enum proxy_status proxy_header_read(struct bytes input, struct proxy_header *header);

/* Writes a header of version 2 that tells the same, `why`, `size` and `local` aside. Values that
 * are not told may be empty. Returns its size, at most PROXY_WRITTEN_MAX; names that a reader would
 * refuse, or that are longer than 255 bytes, are left out. */
#define PROXY_WRITTEN_MAX 1024u
size_t proxy_header_write(const struct proxy_header *header, char to[PROXY_WRITTEN_MAX]);

#endif
