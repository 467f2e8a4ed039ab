/* Where a request stands in a trace: the value of `traceparent` (W3C Trace Context, level 1,
 * section 3.2).
 *
 *     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *     version, id of the trace, id of the caller's span in it, flags
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_TRACEPARENT_H
#define PILLION_WIRE_TRACEPARENT_H

#include <stdbool.h>

#include "base/bytes.h"

#define TRACEPARENT_SIZE 55u

/* Copies a valid value, with a NUL behind it. A value of a version after 00 is read as far as 00
 * goes and becomes one of 00, with `sampled` alone of its flags (section 3.2.4). False for any
 * other text, and for ids of zeros alone. */
bool traceparent_read(struct bytes text, char to[TRACEPARENT_SIZE + 1]);

/* The two ids of such a copy. */
static inline struct bytes traceparent_trace(const char *copy)
{
    return (struct bytes){copy + 3, 32};
}

static inline struct bytes traceparent_span(const char *copy)
{
    return (struct bytes){copy + 36, 16};
}

#endif
