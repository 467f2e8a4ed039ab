/* What the JSON pass (json.c) and the envelope (envelope.c) share; private to wire/.
 *
 * The scanner's functions take the place to start at and return the place after what they took, or
 * NULL with `error` set. The place travels by value so that it stays in a register. */
#ifndef PILLION_WIRE_JSON_SCAN_H
#define PILLION_WIRE_JSON_SCAN_H

#include "wire/json.h"

struct json_scan {
    const char *start, *end;
    uint32_t depth; /* arrays and objects that are open */
    uint32_t depth_max;
    uint32_t values_left;
    struct json_error error;               /* valid once a function has returned NULL */
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d tells whether what is open at depth d + 1 is an
                                              object; bits from `depth` on mean nothing */
};

/* Starts on `text`. Returns the first byte of its value. */
const char *json_scan_start(struct json_scan *scan, struct bytes text,
                            const struct json_limits *limits);

/* A whole value. Returns the byte right after it: white space is not taken. */
const char *json_scan_value(struct json_scan *scan, const char *p);

/* An opening bracket and the white space after it. An empty array or object is taken whole, and
 * `depth` is what it was; otherwise it is one more. */
const char *json_scan_open(struct json_scan *scan, const char *p);

/* A member's name, quotes included, which goes to `name`, its colon, and white space around that.
 * Returns the first byte of the member's value. */
const char *json_scan_name(struct json_scan *scan, const char *p, struct bytes *name);

/* What comes after a value inside an array or object: a comma and the white space around it, or the
 * closing bracket (`depth` is one less then). */
const char *json_scan_next(struct json_scan *scan, const char *p);

/* The end of the text: white space and nothing else. */
bool json_scan_end(struct json_scan *scan, const char *p);

/* Sets the error. At the end of the text the reason is that it ended, whatever was missing.
 * Always NULL. */
const char *json_scan_fail(struct json_scan *scan, const char *at, const char *reason);

/* The code unit of the four hexadecimal digits at `p`, or -1. */
int json_hex4(const char *p);

static inline bool json_is_high_surrogate(int unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static inline bool json_is_low_surrogate(int unit)
{
    return (unit & 0xfc00) == 0xdc00;
}

#endif
