/* Messages of DNS, as a stub resolver sends and reads them (RFC 1035 section 4): one question, and
 * answers of the types that finding servers takes. Pure functions over bytes.
 *
 * Any bytes may come: from whoever answers at a name server's address, or guesses what was asked.
 * An answer that is not to this very question is told apart from one that is damaged, so that the
 * caller waits on. Compressed names only ever point further back, so reading ends. */
#ifndef PILLION_WIRE_DNS_H
#define PILLION_WIRE_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define DNS_NAME_MAX      254u /* of a name in text, with its NUL; without a dot at its end */
#define DNS_QUESTION_MAX  288u
#define DNS_UDP_MAX       1232u /* of an answer that is asked for by EDNS; 512 without */
#define DNS_SERVERS_MAX   128u  /* SRV records of one answer; more are left out */
#define DNS_ADDRESSES_MAX 256u  /* likewise of A and AAAA */

enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33 };

/* What is asked. `name` is one that dns_name_check has found good. */
struct dns_question {
    char name[DNS_NAME_MAX];
    uint16_t type; /* enum dns_type */
    uint16_t id;
    bool edns; /* RFC 6891; servers that do not know it answer DNS_NOT_UNDERSTOOD */
};

enum dns_status {
    DNS_FOUND,
    DNS_NONE,           /* no such name, or nothing of this type there, by a server that knows */
    DNS_TRUNCATED,      /* the whole answer comes by TCP */
    DNS_NOT_UNDERSTOOD, /* the question: FORMERR or NOTIMP */
    DNS_FAILED,         /* the server cannot say, or what it says makes no sense: `why` */
    DNS_STRANGE         /* no answer to this question */
};

/* A server: RFC 2782. A `target` of "" says that the service is decidedly not there. */
struct dns_server {
    uint16_t priority, weight, port;
    char target[DNS_NAME_MAX];
};

struct dns_address {
    char owner[DNS_NAME_MAX]; /* as asked for, where it was, and not the name's alias */
    uint32_t ttl_s;
    uint16_t type;     /* DNS_A: 4 bytes of `bytes`; DNS_AAAA: 16 */
    uint8_t bytes[16]; /* as in struct in_addr and in6_addr */
};

struct dns_answer {
    const char *why;          /* of DNS_FAILED */
    uint32_t ttl_s;           /* the least of what was asked for; of DNS_NONE: RFC 2308's, or 0 */
    struct dns_server *found; /* room for DNS_SERVERS_MAX ... */
    size_t found_count;
    struct dns_address *addresses; /* and DNS_ADDRESSES_MAX: the caller's. Asked for by name, or */
    size_t address_count;          /* added to the answer */
    bool cut;                      /* some were left out */
};

/* True when `name` can be asked for: labels of letters, digits, "-" and "_", of 63 at most, 253 in
 * all; one dot at its end may be there. `why` becomes a half sentence. */
bool dns_name_check(const char *name, const char **why);

/* Writes the question; returns its size. */
size_t dns_question_write(const struct dns_question *question, char to[DNS_QUESTION_MAX]);

/* Reads an answer. `answer` has its arrays, and gets all the rest. Names are in lower case. */
enum dns_status dns_answer_read(struct bytes message, const struct dns_question *question,
                                struct dns_answer *answer);

#endif
