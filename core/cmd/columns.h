/* Tables for people: a row of titles, and rows of cells below them, in as many of the columns as a
 * line has room for. A row of cells is a structure, of which each column shows one member. */
#ifndef PILLION_CMD_COLUMNS_H
#define PILLION_CMD_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define COLUMNS_MAX 16u

/* What a cell shows, and the type of its member. */
enum cell {
    CELL_NUMBER,  /* double: all its digits */
    CELL_COUNT,   /* double: "12", "3.4k" */
    CELL_RATE,    /* double: the same, and "0.3" */
    CELL_BYTES,   /* double: "1.5M" */
    CELL_TIME,    /* double, microseconds: "3.4 ms" */
    CELL_AGE,     /* double, seconds: "12m" */
    CELL_SECONDS, /* double: "0.5 s" */
    CELL_PART,    /* double: "50%" of 0.5 */
    CELL_NAME,    /* char * */
    CELL_WORD,    /* char[] */
    CELL_STATE,   /* bool, of a method: whether it is quarantined */
    CELL_CODES    /* double[ERROR_CODES_MAX]: "timeout 2, invalid_params 0.3" */
};

struct column {
    const char *title;
    int width;     /* with the space in front of it; the first column may become wider */
    bool left;     /* title and cells begin at the left */
    unsigned rank; /* where there is no room for all, the highest is left out first; 0: never */
    enum cell cell;
    size_t offset; /* of the member */
};

/* A table as it is shown. */
struct columns {
    const struct column *all;
    size_t count;
    int widths[COLUMNS_MAX]; /* 0: left out */
};

/* The columns that fit into `width`. The first one takes what is left, up to `widest`. */
struct columns columns_fit(const struct column *all, size_t count, int width, int widest);

/* Append one line without its end. `marked` is the index of a column whose title gets a "*", or
 * `count`. */
void columns_titles(struct text *out, const struct columns *columns, size_t marked);
void columns_row(struct text *out, const struct columns *columns, const void *row);

/* How two rows stand to each other by that column: numbers descend, names ascend; below 0 when `a`
 * comes first. */
int columns_compare(const struct column *column, const void *a, const void *b);

#endif
