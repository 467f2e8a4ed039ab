/* Who may connect: the rules of `allow` and `deny`, of which the first that is about a client
 * decides. A client that none is about may. */
#ifndef PILLION_BASE_ACCESS_H
#define PILLION_BASE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/network.h"

struct access_rule {
    enum { ACCESS_ALL, ACCESS_UNIX, ACCESS_NETWORK } of; /* ALL: of every network */
    bool allows;
    struct network network;
};

/* Reads `all`, `unix:` or a network into `rule`. */
bool access_parse(const char *text, struct access_rule *rule, struct error *error);

/* Whether the client at this address may connect. An IPv4 address that is written as one of IPv6
 * (::ffff:192.0.2.1) is the IPv4 address. */
bool access_allows(const struct access_rule *rules, size_t count, const struct sockaddr *address);

/* The address as it is compared: `room` holds an IPv4 address taken out of one of IPv6. */
const struct sockaddr *access_plain(const struct sockaddr *address, struct sockaddr_storage *room);

#endif
