/* Addresses as `listen` and `--server` take them.
 *
 *     127.0.0.1:8080   [::1]:8080   *:8080 (every IPv4 address)   [::]:8080 (every IPv6 address)
 *     8080 (as *:8080) localhost:8080 (names only where `names` allows)   unix:run/pillion.sock
 *
 * Host names are looked up in this process (getaddrinfo(3)), which may take as long as a name
 * server likes: the master has a child do it (process/lookup.h). */
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

/* True when `text` has the form of an address. Its host name, if it has one, is not looked up. */
bool address_check(const char *text, struct error *error);

/* True when the host of `text` is a name that has to be looked up. */
bool address_is_name(const char *text);

/* True of an address as others are told it: it needs no prefix and no look-up, and is canonical. */
bool address_is_whole(const char *text);

/* For clients: stores every address that the host name in `text` has, in the order in which to try
 * them, at most `capacity`, and returns their number; 0 with the reason. A relative path starts at
 * the working directory. */
size_t address_resolve(const char *text, struct address *addresses, size_t capacity,
                       struct error *error);

/* "192.0.2.1:50122", "[2001:db8::1]:50122", "unix:/path" or "unix:" for an unnamed socket. */
void address_format(const struct sockaddr *socket, socklen_t size, char text[ADDRESS_TEXT_SIZE]);

#endif
