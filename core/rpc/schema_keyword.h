/* The keywords of JSON Schema. */
#ifndef PILLION_RPC_SCHEMA_KEYWORD_H
#define PILLION_RPC_SCHEMA_KEYWORD_H

#include "rpc/schema_making.h"

/* Reads the keywords of the object at `value` into the node. False with the author's mistake. */
bool schema_read_keywords(struct making *making, const struct trail *trail, struct bytes value,
                          struct schema_node *node);

#endif
