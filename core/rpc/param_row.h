/* A table of params as it is when requests are read by it: checked, and with all that is the same
 * for every request worked out beforehand. rpc/param_table.h makes it, rpc/param_read.h reads by
 * it. */
#ifndef PILLION_RPC_PARAM_ROW_H
#define PILLION_RPC_PARAM_ROW_H

#include <pillion/module.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

#define PARAM_ROWS_MAX  64u        /* a bit each of those that were given */
#define PARAM_DEPTH_MAX 16u        /* tables in tables; reading recurses as deep */
#define PARAM_SIZE_MAX  (1u << 20) /* bytes of a table's structures, added up */
#define PARAM_NAME_MAX  64u        /* bytes of a param's name */

struct param_table;

struct param_row {
    struct bytes name;
    struct bytes key; /* the name as most clients write it: in quotes, with a colon behind it */
    uint64_t bit;     /* its own in `required` of the table */
    uint8_t type;     /* pillion_type */
    bool list;
    bool bounded; /* its value has bounds, or how long it is */
    bool required;
    size_t offset, given;      /* in the structure; given 0: nobody asks */
    size_t item_size;          /* of one value, in the structure or in a list */
    int64_t min, max;          /* of an integer, or of how long it is */
    double from, to;           /* of a number */
    size_t least, most;        /* of a list */
    const struct bytes *words; /* of an enumeration */
    size_t word_count;
    const struct param_table *members; /* of an object */
    const pillion_param *param;        /* as it was declared */
};

struct param_table {
    const struct param_row *rows; /* and one more, whose name is nobody's */
    size_t count;
    uint64_t required; /* a bit for each row */
    bool open;
    size_t size;                 /* of the structure ... */
    const char *image;           /* ... which begins as this: with the defaults */
    const pillion_param *origin; /* the rows in the module's memory, which it calls it by */

    /* Of the outermost table alone. */
    struct pool pool;   /* has all of it */
    const char *schema; /* a JSON Schema that says the same (rpc/param_schema.h) */
};

/* True when the row's value is a pointer, which may be NULL. */
static inline bool param_may_be_null(const struct param_row *row)
{
    return row->type == PILLION_STRING || row->type == PILLION_TEXT || row->type == PILLION_BYTES ||
           row->type == PILLION_JSON;
}

/* True when the row is there in whatever is written by its table. */
static inline bool param_is_always_there(const struct param_row *row)
{
    return row->required || (row->given == 0 && (row->list || !param_may_be_null(row)));
}

/* True when the param of this name is a text of whatever kind. */
static inline bool param_is_text(const struct param_table *table, struct bytes name)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct param_row *row = &table->rows[i];
        if (bytes_equal(row->name, name))
            return !row->list && (row->type == PILLION_STRING || row->type == PILLION_TEXT ||
                                  row->type == PILLION_ENUM || row->type == PILLION_BYTES);
    }
    return false;
}

#endif
