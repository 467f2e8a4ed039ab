/* The strict JSON pass: one look at every byte, before anything else sees them.
 *
 * Accepts exactly RFC 8259 in UTF-8 (RFC 3629): no trailing bytes, no leading zeros, no control
 * characters in strings, no unpaired \uD800-\uDFFF in member names (values may have them: RFC 8259
 * section 8.2 leaves them to the receiver, and params are given back byte for byte), and within
 * the limits on depth and on the number of values. It allocates nothing, recurses nowhere and never
 * reads past the end. cJSON only ever sees text that this pass has accepted. */
#ifndef PILLION_WIRE_JSON_H
#define PILLION_WIRE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* The highest value of `json_max_depth`. A higher limit counts as this one. */
#define JSON_DEPTH_MAX 512u

struct json_limits {
    uint32_t depth;  /* nesting of arrays and objects: `[]` has depth 1 */
    uint32_t values; /* every scalar, array and object counts 1; member names do not count */
};

struct json_error {
    size_t offset; /* of the first byte that no valid text has there: the start of a character that
                      is not UTF-8, of a value above a limit, or of half a surrogate pair; the
                      text's size when it ended too early */
    const char *reason; /* a static phrase: "a string holds a raw control character" */
};

/* True when `text` is one JSON value and white space. */
bool json_check(struct bytes text, const struct json_limits *limits, struct json_error *error);

enum envelope_status {
    ENVELOPE_OK,
    ENVELOPE_NOT_JSON, /* error code parse_error */
    ENVELOPE_INVALID   /* JSON, but not a request: error code invalid_request */
};

/* The longest method name that a request may carry, in bytes after unescaping. */
#define METHOD_NAME_MAX 255u

/* The spans of a request. Each points into the body, and all but `in` cover the value as it was
 * sent, quotes included; an absent member has data NULL. An invalid envelope has `in` and `id` set,
 * as far as they can be read; after bad JSON only `id` is. `in` may point into the envelope itself,
 * which is why an envelope is not copied. */
struct envelope {
    struct bytes in;     /* the method's name, unescaped and without quotes */
    struct bytes params; /* "null" when absent (static storage) */
    struct bytes id;     /* a string, number or null; set whenever it could be read, even when the
                            envelope is invalid otherwise, or no JSON from some place behind it on;
                            absent when it was there twice, as `in` is */
    char in_buffer[METHOD_NAME_MAX + 1]; /* holds `in` when it was written with escapes */
};

/* Checks `body` as json_check does and finds the members in the same pass. Names are compared after
 * unescaping ("\u0069n" is "in"). Invalid, with a reason: not an object; `in` missing, not a
 * string, longer than METHOD_NAME_MAX, with a lone surrogate or \u0000; `id` neither string, number
 * nor null; `in`, `params` or `id` twice. Other members are ignored. After ENVELOPE_NOT_JSON, `id`
 * is set if it was read in the outermost object before the error, and not when the error follows it
 * directly: it may be cut off. `error` is set unless the result is ENVELOPE_OK. For an invalid
 * request its offset is that of the wrong value or of the second name; when a member is missing,
 * that of the whole value. */
enum envelope_status envelope_read(struct bytes body, const struct json_limits *limits,
                                   struct envelope *envelope, struct json_error *error);

/* Unescapes a JSON string, quotes included, that json_check has accepted, to at most `capacity`
 * bytes. Returns its size, never more than string.size - 2; -1 when it does not fit, is no string,
 * or holds half of a surrogate pair. \u0000 is a byte like any other: only the size tells where the
 * text ends. */
long json_string_text(struct bytes string, char *to, size_t capacity);

/* True when JSON text holds a \u0000 within a string. */
bool json_has_nul(struct bytes text);

/* A member of the object `body`, which envelope_read has accepted; data is NULL when there is none.
 * When a name is there twice, the first one is taken. Names are compared after unescaping; longer
 * ones than METHOD_NAME_MAX are never found. */
struct bytes envelope_member(struct bytes body, struct bytes name);

#endif
