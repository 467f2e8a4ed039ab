/* What is wrong with params: each fault as a place and a sentence, PARAM_FAULTS_MAX of them at
 * most.
 *
 *     params.items[3].price: a number from 0 to 1e6, got a string
 *
 * Text of the client's in them is short, and may be shown (base/printable.h). */
#ifndef PILLION_RPC_PARAM_FAULT_H
#define PILLION_RPC_PARAM_FAULT_H

#include "rpc/param_row.h"

#define PARAM_FAULTS_MAX     8u
#define PARAM_FAULT_PATH_MAX 256u
#define PARAM_FAULT_TEXT_MAX 512u

/* Where the reader is. */
struct param_place {
    const struct param_place *outer; /* NULL: in the params themselves */
    const struct param_row *row;     /* NULL: of the object as a whole */
    size_t index;                    /* in the row's list; SIZE_MAX: not in one */
};

struct param_fault {
    char path[PARAM_FAULT_PATH_MAX];
    char text[PARAM_FAULT_TEXT_MAX];
};

struct param_faults {
    struct param_fault *of[PARAM_FAULTS_MAX]; /* in the pool */
    size_t count;                             /* of all; those beyond the first are only counted */
    struct pool *pool;
    bool exhausted; /* there was no memory for one */
};

/* There is a value, and it is not what the row wants. `end` is that of the text that may be read.
 */
void param_fault_value(struct param_faults *faults, const struct param_place *place,
                       const char *value, const char *end);

/* The value is of the right kind; `why` says what is wrong with it: "got 41 characters". */
__attribute__((format(printf, 3, 4))) void
param_fault_why(struct param_faults *faults, const struct param_place *place, const char *why, ...);

/* A required param was not given. */
void param_fault_missing(struct param_faults *faults, const struct param_place *place);

/* A param is there a second time. */
void param_fault_twice(struct param_faults *faults, const struct param_place *place);

/* The table has no param of this name, which is without escapes. `place` is the object's. */
void param_fault_unknown(struct param_faults *faults, const struct param_place *place,
                         const struct param_table *table, struct bytes name);

/* More values by position than the table has rows. */
void param_fault_surplus(struct param_faults *faults, const struct param_table *table);

/* Appends what the row takes, as a phrase: "a whole number from 1 to 9". With `each` false of a
 * list, that of the list. */
void param_wanted(struct text *out, const struct param_row *row, bool of_item);

#endif
