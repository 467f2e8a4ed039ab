/* The scanner that the JSON pass (json.c) and the envelope (envelope.c) share; private to wire/.
 *
 * The scanner's functions take the place to start at, and return the place after the text that they
 * took, or NULL with `error` set. The place travels by value so that it stays in a register. */
#ifndef PILLION_WIRE_JSON_PRIVATE_H
#define PILLION_WIRE_JSON_PRIVATE_H

#include "wire/json.h"

#define JSON_FAIL_VALUES "there are more values than the limit allows"
#define JSON_FAIL_DEPTH  "arrays and objects are nested deeper than the limit"
#define JSON_FAIL_MEMBER "a comma or } is missing after a member"

struct json_scan {
    const char *start, *end;
    uint32_t depth; /* arrays and objects that are open */
    uint32_t depth_max;
    uint32_t values_left;
    bool escapes;                          /* a backslash has been seen */
    struct json_error error;               /* valid once a function has returned NULL */
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* for json_scan_value: bit d is set for an object at
                                              depth d + 1, not for an array */
};

/* Takes a whole value. Returns the byte right after it: white space is not taken. */
const char *json_scan_value(struct json_scan *scan, const char *p);

/* Takes a member's name, quotes included, which goes to `name`, its colon, and the white space
 * around that. Returns the first byte of the member's value. */
const char *json_scan_name(struct json_scan *scan, const char *p, struct bytes *name);

/* Sets the error. At the end of the text the reason is that it ended, whatever is missing. Returns
 * NULL. */
const char *json_scan_fail(struct json_scan *scan, const char *at, const char *reason);

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *json_skip_space(const char *p, const char *end)
{
    while (p < end && json_is_space(*p))
        p++;
    return p;
}

/* Starts on `text`. Returns the first byte of its value. */
static inline const char *json_scan_start(struct json_scan *scan, struct bytes text,
                                          const struct json_limits *limits)
{
    scan->start = text.size == 0 ? "" : text.data; /* no arithmetic on a null pointer */
    scan->end = scan->start + text.size;
    scan->depth = 0;
    scan->escapes = false;
    scan->depth_max = limits->depth < JSON_DEPTH_MAX ? limits->depth : JSON_DEPTH_MAX;
    scan->values_left = limits->values;
    return json_skip_space(scan->start, scan->end);
}

/* Takes the end of the text: white space and nothing else. False with the error set. */
static inline bool json_scan_end(struct json_scan *scan, const char *p)
{
    p = json_skip_space(p, scan->end);
    if (p == scan->end)
        return true;
    json_scan_fail(scan, p, "something follows the value");
    return false;
}

/* Takes the start of an object whose members the caller wants to see: the opening bracket and the
 * white space after it. An empty object is taken whole, and `depth` stays the same; otherwise it
 * grows by one. */
static inline const char *json_scan_open(struct json_scan *scan, const char *p)
{
    if (scan->values_left == 0)
        return json_scan_fail(scan, p, JSON_FAIL_VALUES);
    scan->values_left--;
    if (scan->depth >= scan->depth_max)
        return json_scan_fail(scan, p, JSON_FAIL_DEPTH);
    p = json_skip_space(p + 1, scan->end);
    if (p < scan->end && *p == '}')
        return p + 1;
    scan->depth++;
    return p;
}

/* Takes the text after a member of that object: a comma and the white space around it, or the
 * closing bracket, which makes `depth` one less. */
static inline const char *json_scan_next(struct json_scan *scan, const char *p)
{
    const char *const end = scan->end;

    p = json_skip_space(p, end);
    if (p < end && *p == ',')
        return json_skip_space(p + 1, end);
    if (p == end || *p != '}')
        return json_scan_fail(scan, p, JSON_FAIL_MEMBER);
    scan->depth--;
    return p + 1;
}

enum json_unescaped {
    JSON_UNESCAPED,
    JSON_UNESCAPED_HALF, /* it holds half of a surrogate pair */
    JSON_UNESCAPED_LONG, /* it does not fit */
};

/* Unescapes the inside of a string that the scanner has taken, \u0000 too, and sets `size`. */
enum json_unescaped json_unescape(struct bytes inside, char *to, size_t capacity, size_t *size);

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
