/* dns.so, which one process loads: see registry/dns.h. It uses nothing of the core, and the core
 * nothing of it but this table. */
#include <ares.h>

#include "channel.h"
#include "conf.h"

extern const struct dns_table pillion_dns;

__attribute__((visibility("default"))) const struct dns_table pillion_dns = {
    .version = DNS_TABLE_VERSION,
    .library = "c-ares " ARES_VERSION_STR,
    .open = channel_open,
    .close = channel_close,
    .ready = channel_ready,
    .due = channel_due,
    .ask = channel_ask,
    .cancel = channel_cancel,
    .conf = conf_read,
};
