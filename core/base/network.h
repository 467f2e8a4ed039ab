/* Networks: a range of addresses, as "10.0.0.0/8", "2001:db8::/32" or one address name it. */
#ifndef PILLION_BASE_NETWORK_H
#define PILLION_BASE_NETWORK_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct network {
    int family; /* AF_INET or AF_INET6 */
    unsigned bits;
    uint8_t address[16];
};

/* Reads `text`. Bits behind the prefix must be 0: "10.0.0.1/8" may be meant for 10.0.0.1 alone. */
bool network_parse(const char *text, struct network *network, struct error *error);

/* True when the address, of whatever family, is one of the network. */
bool network_has(const struct network *network, const struct sockaddr *address);

#endif
