/* Faults: what is wrong with params or a result, each as a place and a sentence, FAULTS_MAX of them
 * at most.
 *
 *     params.items[3].price: a number from 0 to 1e6, got a string
 *
 * The sentences are made here for tables of params (rpc/param_fault.h) and for schemas
 * (rpc/schema_fault.h). Text of the client's in them is short, and may be shown
 * (base/printable.h). */
#ifndef PILLION_RPC_FAULT_H
#define PILLION_RPC_FAULT_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/memory.h"

#define FAULTS_MAX     8u
#define FAULT_PATH_MAX 256u
#define FAULT_TEXT_MAX 512u

struct fault {
    char path[FAULT_PATH_MAX];
    char text[FAULT_TEXT_MAX];
};

struct faults {
    struct fault *of[FAULTS_MAX]; /* in the pool */
    size_t count;                 /* of all; those beyond the first are only counted */
    struct pool *pool;
    bool exhausted; /* there was no memory for one */
};

/* Text in a fixed room: what does not fit is left out, in whole characters. */
struct line {
    char *to;
    size_t size, room; /* with a byte for the NUL that is always there */
};

/* Begins a fault, whose path and text are empty. False when there are enough of them. */
bool fault_begin(struct faults *faults, struct line *path, struct line *text);

void line_add(struct line *line, struct bytes more);
void line_add_string(struct line *line, const char *string);
__attribute__((format(printf, 2, 3))) void line_addf(struct line *line, const char *format, ...);
__attribute__((format(printf, 2, 0))) void line_add_v(struct line *line, const char *format,
                                                      va_list args);

/* Text of a client's: short, and as a log or a terminal may hold it. */
void line_add_shown(struct line *line, struct bytes text);

/* " from 1 to 9", " of at least 1 character". Either bound may be NULL, but not both. */
void line_add_range(struct line *line, const char *low, const char *high, const char *between,
                    const char *unit);

/* How long it may be: text, bytes, or a list. `none` and more is no bound. */
void line_add_length(struct line *line, uint64_t least, uint64_t most, uint64_t none,
                     const char *unit);

/* What a value of JSON is, in a few words: a number's own, and a string's where `shows`. */
void line_add_got(struct line *line, const char *value, const char *end, bool shows);

#endif
