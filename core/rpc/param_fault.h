/* What is wrong with params by table: faults (rpc/fault.h) at rows of it. */
#ifndef PILLION_RPC_PARAM_FAULT_H
#define PILLION_RPC_PARAM_FAULT_H

#include "rpc/fault.h"
#include "rpc/param_row.h"

/* Where the reader is. */
struct param_place {
    const struct param_place *outer; /* NULL: in the params themselves */
    const struct param_row *row;     /* NULL: of the object as a whole */
    size_t index;                    /* in the row's list; SIZE_MAX: not in one */
    const char *root;                /* not NULL: the outermost place, which is called so */
};

/* There is a value, and it is not what the row wants. `end` is that of the text that may be read.
 */
void param_fault_value(struct faults *faults, const struct param_place *place, const char *value,
                       const char *end);

/* The value is of the right kind; `why` says what is wrong with it: "got 41 characters". */
__attribute__((format(printf, 3, 4))) void
param_fault_why(struct faults *faults, const struct param_place *place, const char *why, ...);

/* A required param was not given. */
void param_fault_missing(struct faults *faults, const struct param_place *place);

/* A param is there a second time. */
void param_fault_twice(struct faults *faults, const struct param_place *place);

/* The table has no param of this name, which is without escapes. `place` is the object's. */
void param_fault_unknown(struct faults *faults, const struct param_place *place,
                         const struct param_table *table, struct bytes name);

/* More values by position than the table has rows. */
void param_fault_surplus(struct faults *faults, const struct param_table *table);

/* Appends what the row takes, as a phrase: "a whole number from 1 to 9". With `each` false of a
 * list, that of the list. */
void param_wanted(struct text *out, const struct param_row *row, bool of_item);

#endif
