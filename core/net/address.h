/* Addresses as people write them: what `listen` and `--server` take.
 *
 *     127.0.0.1:8080   [::1]:8080   *:8080 (every IPv4 address)   [::]:8080 (every IPv6 address)
 *     8080 (as *:8080) localhost:8080 (names only where `names` allows)   unix:run/pillion.sock
 *
 * Names are looked up in place (getaddrinfo(3)), which may take as long as a name server likes: the
 * master has a child do it (process/lookup.h). */
#ifndef PILLION_NET_ADDRESS_H
#define PILLION_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDRESS_TEXT_SIZE 128

struct address {
    struct sockaddr_storage socket;
    socklen_t size;
    char text[ADDRESS_TEXT_SIZE]; /* canonical: equal texts are equal addresses */
};

/* Reads `text`. A relative path after "unix:" starts at `prefix` (NULL: the working directory).
 * With `names`, host names are looked up (getaddrinfo(3), first answer). */
bool address_parse(const char *text, const char *prefix, bool names, struct address *address,
                   struct error *error);

/* Whether `text` is written as an address is, with a host that is looked up by nobody yet. */
bool address_check(const char *text, struct error *error);

/* True when the host of `text` is a name that has to be looked up. */
bool address_is_name(const char *text);

/* The same as address_parse for a client, with relative paths from the working directory: every
 * address that a host name has, in the order in which to try them, at most `capacity`. 0 with the
 * reason when there is none. */
size_t address_resolve(const char *text, struct address *addresses, size_t capacity,
                       struct error *error);

/* "192.0.2.1:50122", "[2001:db8::1]:50122", "unix:/path" or "unix:" for an unnamed socket. */
void address_format(const struct sockaddr *socket, socklen_t size, char text[ADDRESS_TEXT_SIZE]);

#endif
