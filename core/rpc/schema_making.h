/* A schema being made: its text, the nodes that there are so far, and what is wanted of it. Which
 * keywords there are is for schema_keyword.h. */
#ifndef PILLION_RPC_SCHEMA_MAKING_H
#define PILLION_RPC_SCHEMA_MAKING_H

#include "rpc/schema_node.h"

/* Where in the text the reader is; in the pool. */
struct trail {
    const struct trail *outer;
    struct bytes token; /* data NULL: `index` counts */
    size_t index;
};

/* A schema that is used somewhere, and read later on. */
struct wanted {
    struct bytes value;
    struct schema_node *node;
    const struct trail *trail;
};

struct making {
    struct schema *schema;
    struct schema_node **at; /* by its place in the text: made, or wanted; NULL for none */
    struct wanted *queue;
    size_t queue_count, queue_capacity;
    uint64_t work; /* that its patterns may still take */
    struct error *error;
};

/* A trail by one step longer, in the pool. */
const struct trail *schema_trail(const struct making *making, const struct trail *outer,
                                 struct bytes token, size_t index);

/* Sets the error, with the trail in front. Always false. */
__attribute__((format(printf, 3, 4))) bool
schema_wrong(const struct making *making, const struct trail *trail, const char *format, ...);

/* Sets the node of the schema at `value`, a part of the text, which is read later on. False when
 * that is no schema. */
bool schema_use(struct making *making, const struct trail *trail, struct bytes value,
                struct schema_node **node);

/* The same for what "$ref" refers to. */
bool schema_use_reference(struct making *making, const struct trail *trail, struct bytes reference,
                          struct schema_node **node);

/* The text of a JSON string, in the pool. False when it is none that a text can have. */
bool schema_text(const struct making *making, const struct trail *trail, struct bytes string,
                 struct bytes *text);

#endif
