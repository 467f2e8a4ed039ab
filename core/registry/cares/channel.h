/* A channel of c-ares to one name server: see registry/dns.h, whose functions these are. */
#ifndef PILLION_REGISTRY_CARES_CHANNEL_H
#define PILLION_REGISTRY_CARES_CHANNEL_H

#include "registry/dns.h"

struct dns_engine *channel_open(const struct engine_host *host,
                                const struct sockaddr_storage *server, uint32_t timeout_ms,
                                char *why, size_t size);
void channel_close(struct dns_engine *engine);
void channel_ready(struct dns_engine *engine, int fd, unsigned is);
void channel_due(struct dns_engine *engine);
struct dns_question *channel_ask(struct dns_engine *engine, const char *name, enum dns_type type,
                                 dns_done done, void *context, char *why, size_t size);
void channel_cancel(struct dns_question *question);

#endif
