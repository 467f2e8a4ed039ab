/* See dns_load.h. */
#include "registry/dns_load.h"

#include "base/library.h"

const struct dns_table *dns_load(struct error *error)
{
    static const struct dns_table *table;

    if (table == NULL)
        table = library_load("dns.so", DNS_TABLE_SYMBOL, DNS_TABLE_VERSION, "asking DNS", error);
    return table;
}
