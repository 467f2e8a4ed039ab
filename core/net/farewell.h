/* The last word to clients that are one too many (`limit_conn`): an error in their protocol.
 *
 * Such a client has no connection in the arena, and none in a vault. Its protocol may be known only
 * by its first bytes, and its request must be read, or closing would reset the connection before
 * the client has seen the word (RFC 1122 section 4.2.2.13). So it stays for a second; but only a
 * few do at a time, and all others are closed without a word. */
#ifndef PILLION_NET_FAREWELL_H
#define PILLION_NET_FAREWELL_H

#include "event/loop.h"

#define FAREWELLS    32u
#define FAREWELL_MAX 2048u /* bytes of a word */

struct farewell {
    struct watch watch;
    struct farewells *all;
    uint64_t until_ns;
    uint8_t protocol; /* wire/protocol.h */
    bool said;
    uint8_t head_size;
    char head[16]; /* the client's first bytes, until its protocol is known */
};

struct farewells {
    struct loop *loop;
    struct timer timer;
    uint32_t count;
    struct farewell of[FAREWELLS];
};

/* Writes the word in this protocol; returns its size. */
size_t farewell_write(uint8_t protocol, char word[FAREWELL_MAX]);

/* `fd`, of a client that speaks `protocol`, is the callee's from now on. */
void farewell_begin(struct farewells *all, int fd, uint8_t protocol);

#endif
