/* The characters of a JSON string that json_check has accepted, one after the other, as code points
 * and without a copy. Half of a surrogate pair is a character like any other. */
#ifndef PILLION_WIRE_JSON_TEXT_H
#define PILLION_WIRE_JSON_TEXT_H

#include <stdint.h>

#include "base/bytes.h"

#define JSON_TEXT_END UINT32_MAX

/* The character of the escape at `*p`, which moves past it. */
uint32_t json_text_escape(const char **p);

/* The character at `*p`, which moves past it; JSON_TEXT_END at the closing quote, where it stays.
 */
static inline uint32_t json_text_next(const char **p)
{
    unsigned char lead = (unsigned char)**p;
    unsigned more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;

    if (lead == '"')
        return JSON_TEXT_END;
    if (lead == '\\')
        return json_text_escape(p);
    ++*p;
    if (lead < 0x80)
        return lead;
    uint32_t code = lead & (0x3fu >> more);
    for (; more > 0; more--)
        code = code << 6 | ((unsigned char)*(*p)++ & 0x3fu);
    return code;
}

#endif
