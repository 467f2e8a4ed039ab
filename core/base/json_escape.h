/* Text as the inside of a JSON string (RFC 8259 section 7): quotes, backslashes and control
 * characters escaped, bytes that are not UTF-8 replaced with U+FFFD. */
#ifndef PILLION_BASE_JSON_ESCAPE_H
#define PILLION_BASE_JSON_ESCAPE_H

#include "base/bytes.h"

/* Bytes that one byte of text may become: \u00XX. */
#define JSON_ESCAPED_MAX 6u

/* True for ASCII that stands for itself in a JSON string, as nearly all of names and messages
 * does. */
static inline bool json_stands_for_itself(char c)
{
    static const bool plain[256] = {
        [0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7e] = true};

    return plain[(unsigned char)c];
}

/* Writes as many whole characters of `text`, escaped, as fit into `capacity` bytes, and returns
 * their size. With `to` NULL they are only measured. */
size_t json_escape(struct bytes text, char *to, size_t capacity);

/* Appends the text, escaped. */
void text_append_json(struct text *text, struct bytes bytes);

#endif
