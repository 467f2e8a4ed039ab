/* Reading one value of params that is no object and no list: flags, numbers, texts. Part of
 * param_read.c, which tells what holds for the text. */
#ifndef PILLION_RPC_PARAM_SCALAR_H
#define PILLION_RPC_PARAM_SCALAR_H

#include "rpc/param_fault.h"

/* Text being read. */
struct param_reading {
    const char *end;
    struct pool *pool;
    char *room, *room_end; /* for what is short */
    bool exhausted;        /* there was no memory */
    struct faults faults;
};

/* Memory for what is read; NULL when there is none. */
void *param_take(struct param_reading *reading, size_t size);

/* Notes that the value at `p` is another than what was wanted there. Returns its end. */
const char *param_refuse(struct param_reading *reading, const struct param_place *place,
                         const char *p);

/* Reads the value at `p` to `to`, by the place's row, in whatever way it is written. Returns its
 * end. */
const char *param_read_scalar(struct param_reading *reading, const struct param_place *place,
                              const char *p, char *to);

#endif
