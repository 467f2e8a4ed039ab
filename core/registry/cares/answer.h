/* Reads answers of DNS, by glibc's ns_parserr and its kin (<arpa/nameser.h>): c-ares 1.18 tells no
 * TTL of SRV records, and nothing of what was added to an answer. */
#ifndef PILLION_REGISTRY_CARES_ANSWER_H
#define PILLION_REGISTRY_CARES_ANSWER_H

#include "registry/dns.h"

/* Reads the answer to a question for `name` (without a dot at its end) and `type`. Any bytes may
 * come. It is valid until the next call. */
const struct dns_answer *answer_read(const unsigned char *bytes, size_t size, const char *name,
                                     enum dns_type type);

#endif
