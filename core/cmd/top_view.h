/* What `pillion top` shows of a server: one frame, as lines of text. Nothing here knows where they
 * go. */
#ifndef PILLION_CMD_TOP_VIEW_H
#define PILLION_CMD_TOP_VIEW_H

#include "cmd/sample.h"
#include "cmd/spark.h"

#define TOP_ALL INT_MAX /* rows: as many as there is to show */

enum top_series { TOP_REQUESTS, TOP_ERRORS, TOP_P99, TOP_CONNECTIONS, TOP_SERIES };

enum top_workers { TOP_WORKERS_SOME, TOP_WORKERS_ALL, TOP_WORKERS_NONE };

struct top_view {
    int width, rows;
    bool utf8;    /* sparklines of blocks */
    bool styled;  /* titles in reverse video */
    bool colours; /* what is wrong in red */
    size_t sort;  /* index of a column of the methods */
    enum top_workers workers;
    const char *filter; /* only methods whose names hold it, in whatever case of ASCII; or "" */
    size_t scroll;      /* index of the first method shown; corrected where it is too large */
    size_t page;        /* how many methods were shown last, */
    size_t methods;     /* of so many */
    const char *bottom; /* the last line; "" : it is left out */
    bool alarm;         /* the last line is in reverse video */
    struct spark series[TOP_SERIES];
};

/* Adds what the sample, which has been compared, says to the series. */
void top_view_note(struct top_view *view, const struct sample *sample);

/* Appends a frame: `view->rows` lines at most, each of `view->width` columns at most. */
void top_view_append(struct text *out, struct top_view *view, const struct sample *sample);

/* The next column to sort by that the width has room for, to the right or to the left of the
 * present one. */
void top_view_sort(struct top_view *view, bool right);
const char *top_view_sorted_by(const struct top_view *view);

/* The line, cut to the view's width, with its end, as a part of a frame. */
void top_view_line(struct text *out, const struct top_view *view, const char *style,
                   const char *line);

#endif
