/* Loading the library. See tls.h. */
#include "tls/tls.h"

#include "base/library.h"

const struct tls_table *tls_load(struct error *error)
{
    static const struct tls_table *table;

    if (table == NULL)
        table = library_load("tls.so", TLS_TABLE_SYMBOL, TLS_TABLE_VERSION, "TLS", error);
    return table;
}
