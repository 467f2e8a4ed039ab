/* Loading the library. See tls.h. */
#include "tls/tls.h"

#include "base/library.h"

#define LIBRARY "tls.so"

bool tls_find(char *path, size_t size)
{
    return library_find(LIBRARY, path, size);
}

const struct tls_table *tls_load(struct error *error)
{
    static const struct tls_table *table;

    if (table == NULL)
        table = library_load(LIBRARY, TLS_TABLE_SYMBOL, TLS_TABLE_VERSION, "TLS", error);
    return table;
}
