/* DNS as the registry process needs it: a table of functions that `dns.so` fills, which is the only
 * file of a server's core that needs c-ares. The process `pillion: registry` loads it by itself
 * (registry/dns_load.h), and so does the probe of a configuration, to say that it is missing;
 * workers and the master never do.
 *
 * An engine asks one name server, by UDP from ports that the kernel chooses, with random ids, and
 * by TCP what does not fit a datagram. It waits for nothing, and has no loop of its own:
 * registry/engine_loop.h ties it to the loop. Answers come as plain rows. Texts of errors are half
 * sentences about the name server, without a full stop. */
#ifndef PILLION_REGISTRY_DNS_H
#define PILLION_REGISTRY_DNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "registry/engine.h"

#define DNS_NAME_MAX         254u /* of a name in text, with its NUL; without a dot at its end */
#define DNS_NAME_SERVERS_MAX 8u
#define DNS_SERVERS_MAX      128u /* SRV records of one answer; more are left out */
#define DNS_ADDRESSES_MAX    256u /* likewise of A and AAAA */

enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33 };

enum dns_status {
    DNS_FOUND,
    DNS_NONE,  /* no such name, or nothing of this type there, by a server that knows */
    DNS_FAILED /* there is no answer, or one that is damaged or says that it cannot say: `why` */
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

/* Names are in lower case, and such as can be asked for: letters, digits, "-", "_" and dots. */
struct dns_answer {
    enum dns_status status;
    char why[128];            /* of DNS_FAILED */
    uint32_t ttl_s;           /* the least of what was asked for; of DNS_NONE: RFC 2308's, or 0 */
    bool authoritative;       /* by a server of the zone's own */
    struct dns_server *found; /* of DNS_SRV */
    size_t found_count;
    struct dns_address *addresses; /* asked for by name, or added to the answer */
    size_t address_count;
    bool cut; /* some were left out: too many, or of names that cannot be asked for */
};

/* Name servers, and how they are asked: resolv.conf(5). */
struct dns_conf {
    struct sockaddr_storage servers[DNS_NAME_SERVERS_MAX]; /* of IPv4 or IPv6, with their ports */
    size_t server_count;
    uint32_t timeout_ms, rounds;
};

/* The end of a question, which comes once unless it was cancelled, never from within `ask`. The
 * question is gone with it, and the answer is valid during the call. It may ask others, and cancel
 * any. */
typedef void (*dns_done)(void *context, const struct dns_answer *answer);

struct dns_engine;
struct dns_question;

struct dns_table {
    uint32_t version;    /* DNS_TABLE_VERSION */
    const char *library; /* its name and version */

    /* NULL with the reason. `host` and `server` are copied; an answer takes `timeout_ms` at most.
     */
    struct dns_engine *(*open)(const struct engine_host *host,
                               const struct sockaddr_storage *server, uint32_t timeout_ms,
                               char *why, size_t size);
    /* Nobody is told of the questions that are under way. Not from within `done`. */
    void (*close)(struct dns_engine *engine);
    /* A descriptor that is watched is ready: ENGINE_READ, ENGINE_WRITE or both. */
    void (*ready)(struct dns_engine *engine, int fd, unsigned is);
    void (*due)(struct dns_engine *engine);

    /* NULL with the reason. `name` is asked for as it is: no search list, no /etc/hosts. */
    struct dns_question *(*ask)(struct dns_engine *engine, const char *name, enum dns_type type,
                                dns_done done, void *context, char *why, size_t size);
    void (*cancel)(struct dns_question *question); /* nobody is told */

    /* Reads /etc/resolv.conf. Without a name server there it is 127.0.0.1. False with the reason;
     * `conf` is as it was then. */
    bool (*conf)(struct dns_conf *conf, char *why, size_t size);
};

#define DNS_TABLE_VERSION 1u /* raised when anything here or in engine.h changes */
#define DNS_TABLE_SYMBOL  "pillion_dns"

#endif
