/* Walking through JSON text that json_check has accepted. Such text has an end to every value, so
 * that most steps need no bound. The functions take the place to start at, and return the place
 * after the text that they took. */
#ifndef PILLION_WIRE_JSON_READ_H
#define PILLION_WIRE_JSON_READ_H

#include "wire/json.h"
#include "wire/json_plain.h"

/* Behind white space. Something else has to follow. */
static inline const char *json_read_space(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

/* Behind the string at `p`. */
static inline const char *json_read_string_past(const char *p, const char *end)
{
    for (p = json_skip_plain(p + 1, end); *p != '"'; p = json_skip_plain(p, end))
        p += *p == '\\' ? 2 : 1;
    return p + 1;
}

/* Behind the value at `p`, whatever it is. */
const char *json_read_past(const char *p, const char *end);

#endif
