/* Which names DNS is asked for. */
#ifndef PILLION_REGISTRY_DNS_NAME_H
#define PILLION_REGISTRY_DNS_NAME_H

#include <stdbool.h>

/* True when `name` can be asked for: labels of letters, digits, "-" and "_", of 63 at most, 253 in
 * all; one dot at its end may be there (RFC 1035 section 2.3.4). `why` becomes a half sentence. */
bool dns_name_check(const char *name, const char **why);

#endif
