/* The characters of a JSON string. See json_text.h. */
#include "wire/json_text.h"

#include "wire/json_private.h"

uint32_t json_text_escape(const char **p)
{
    char c = (*p)[1];

    *p += 2;
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        break;
    default:
        return (unsigned char)c; /* a quote, a backslash or a slash */
    }
    int unit = json_hex4(*p);
    *p += 4;
    if (!json_is_high_surrogate(unit) || (*p)[0] != '\\' || (*p)[1] != 'u')
        return (uint32_t)unit;
    int second = json_hex4(*p + 2);
    if (!json_is_low_surrogate(second))
        return (uint32_t)unit;
    *p += 6;
    return (uint32_t)(0x10000 + ((unit & 0x3ff) << 10 | (second & 0x3ff)));
}
