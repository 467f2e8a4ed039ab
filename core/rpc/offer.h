/* The methods that a server block offers, as its record in a registry has them: a JSON array of
 * {"name","summary","title","params","result","idempotent","read_only","additive"}, without what
 * there is not. Params and result are schemas. In a probe. */
#ifndef PILLION_RPC_OFFER_H
#define PILLION_RPC_OFFER_H

#include "base/bytes.h"
#include "rpc/method.h"

#define OFFER_MAX                                                                  \
    (256u << 10) /* bytes: a record and its key fit into any etcd's limit, 1.5 MiB \
                  */

/* Appends the array. Where it would take more than `most` bytes, schemas are left out; where it
 * still would, the methods that do not fit. False then. */
bool offer_write(const struct method_table *table, size_t most, struct text *out);

#endif
