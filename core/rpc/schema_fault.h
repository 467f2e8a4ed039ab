/* What is wrong with a value by its schema: faults (rpc/fault.h) at places in it. */
#ifndef PILLION_RPC_SCHEMA_FAULT_H
#define PILLION_RPC_SCHEMA_FAULT_H

#include "rpc/fault.h"
#include "rpc/schema_node.h"

/* Where the walk is. */
struct schema_place {
    const struct schema_place *outer; /* NULL: at the whole value */
    struct bytes name;                /* of the member, as it is written, without its quotes; the
                                         value's own name at the whole value */
    size_t index;                     /* otherwise, where the name's data is NULL */
};

/* There is a value, and it is not what the node wants. */
void schema_fault_value(struct faults *faults, const struct schema_place *place,
                        const struct schema_node *node, const char *value, const char *end);

/* It is of the right kind; `why` says what is wrong with it: "got 41 characters". */
__attribute__((format(printf, 4, 5))) void schema_fault_why(struct faults *faults,
                                                            const struct schema_place *place,
                                                            const struct schema_node *node,
                                                            const char *why, ...);

/* The sentence is `text`. */
__attribute__((format(printf, 3, 4))) void
schema_fault_text(struct faults *faults, const struct schema_place *place, const char *text, ...);

/* A member that there must not be. */
void schema_fault_unknown(struct faults *faults, const struct schema_place *place,
                          const struct schema_object *object);

/* A member that there has to be, because `other` is there. */
void schema_fault_beside(struct faults *faults, const struct schema_place *place,
                         struct bytes other);

#endif
