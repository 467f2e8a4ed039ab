/* The set of addresses that SRV records come to: which records count, and what they weigh (RFC
 * 2782). Pure functions, of registry/srv.c. */
#ifndef PILLION_REGISTRY_SRV_SET_H
#define PILLION_REGISTRY_SRV_SET_H

#include "net/address.h"
#include "registry/dns.h"

#define SRV_ROWS_MAX             256u /* addresses of one name; more are left out, with a warning */
#define SRV_TARGET_ADDRESSES_MAX 16u  /* of one host; more are left out */

struct srv_row {
    char address[ADDRESS_TEXT_SIZE]; /* 10.0.0.1:8080, [2001:db8::1]:8080 */
    uint32_t weight;                 /* 1 to 1000; 100 where all are the same */
};

/* A host that records name, and the addresses that it is found to have. */
struct srv_target {
    char name[DNS_NAME_MAX];
    struct dns_address addresses[SRV_TARGET_ADDRESSES_MAX];
    size_t count;
    bool failed; /* they could not be looked up */
};

/* An address, and the record that it comes from. */
struct srv_member {
    struct srv_row row;
    char target[DNS_NAME_MAX];
    uint16_t port;
    double weight; /* the share of the record's that it has */
};

struct srv_set {
    struct srv_member *members; /* room for SRV_ROWS_MAX */
    size_t count;
    bool cut; /* some were left out */
};

/* Puts the records in the order of their priorities, and leaves out what no server can be at: port
 * 0, and a target of ".". Returns how many remain. */
size_t srv_sort(struct dns_server *servers, size_t count);

/* How many of them, at the start, have one priority. */
size_t srv_priority_size(const struct dns_server *servers, size_t count);

/* Takes the addresses of this type (enum dns_type) that an answer has for the target, but for those
 * that no server can be at: 0.0.0.0, groups, and IPv4 in disguise. `ttl_s` becomes the least. */
void srv_target_take(struct srv_target *target, const struct dns_answer *answer, uint16_t type,
                     uint32_t *ttl_s);

/* Adds what a record comes to. Of a target that could not be looked up, the members of the set
 * before stay (`former`, which may be empty). */
void srv_set_add(struct srv_set *set, const struct dns_server *server,
                 const struct srv_target *target, const struct srv_set *former);

/* When all are added: in the order of addresses, each once, with weights from 1 to 1000. */
void srv_set_finish(struct srv_set *set);

/* True when both have the same addresses with the same weights. */
bool srv_set_same(const struct srv_set *one, const struct srv_set *other);

#endif
