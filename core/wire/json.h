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

/* Unescapes a JSON string, quotes included, that json_check has accepted, to at most `capacity`
 * bytes. Returns its size, never more than string.size - 2; -1 when it does not fit, is no string,
 * or holds half of a surrogate pair. \u0000 is a byte like any other: only the size tells where the
 * text ends. */
long json_string_text(struct bytes string, char *to, size_t capacity);

/* True when JSON text holds a \u0000 within a string. */
bool json_has_nul(struct bytes text);

#endif
