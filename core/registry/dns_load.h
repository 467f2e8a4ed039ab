/* Loading `dns.so`, which gives DNS by c-ares to the registry process (registry/dns.h). Where it is
 * missing, that costs services `srv:NAME` alone. */
#ifndef PILLION_REGISTRY_DNS_LOAD_H
#define PILLION_REGISTRY_DNS_LOAD_H

#include "base/error.h"
#include "registry/dns.h"

/* Loads it, once in a process, before that is locked down: the registry process, and the probe of a
 * configuration. NULL with the reason. */
const struct dns_table *dns_load(struct error *error);

#endif
