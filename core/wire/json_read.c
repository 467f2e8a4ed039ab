/* Walking through JSON text. See json_read.h. */
#include "wire/json_read.h"

const char *json_read_past(const char *p, const char *end)
{
    unsigned depth = 0;

    do {
        switch (*p) {
        case '"':
            p = json_read_string_past(p, end);
            break;
        case '{':
        case '[':
            depth++;
            p++;
            break;
        case '}':
        case ']':
            depth--;
            p++;
            break;
        default: /* numbers, words, and what is between values */
            p++;
            while (p < end && *p != '"' && *p != ',' && (*p | 0x20) != '{' && (*p | 0x20) != '}' &&
                   *p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')
                p++;
        }
    } while (depth > 0);
    return p;
}
