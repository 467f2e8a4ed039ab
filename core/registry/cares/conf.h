/* Which name servers the system has: see registry/dns.h, whose function this is. */
#ifndef PILLION_REGISTRY_CARES_CONF_H
#define PILLION_REGISTRY_CARES_CONF_H

#include "registry/dns.h"

bool conf_read(struct dns_conf *conf, char *why, size_t size);

#endif
