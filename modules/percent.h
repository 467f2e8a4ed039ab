/* Shares, as directives have them: 10%. */
#ifndef PILLION_MODULES_PERCENT_H
#define PILLION_MODULES_PERCENT_H

#include <pillion/module.h>
#include <stdlib.h>
#include <string.h>

#define PERCENT_OFF UINT32_MAX

/* Reads "10%" or "off". False when it is neither. */
static inline bool percent_read(const char *text, uint32_t *percent)
{
    char *end;
    long number = strtol(text, &end, 10);

    *percent = PERCENT_OFF;
    if (strcmp(text, "off") == 0)
        return true;
    if (text[0] < '0' || text[0] > '9' || number > 1000 || strcmp(end, "%") != 0)
        return false;
    *percent = (uint32_t)number;
    return true;
}

/* The value of a directive that is known to be right. */
static inline uint32_t percent_of(const char *text)
{
    uint32_t percent;

    percent_read(text, &percent);
    return percent;
}

/* For a directive's `check`: a share of `most` at most. */
static inline int percent_check(const void *value, long most, pillion_error_text *error)
{
    const char *text = *(const char *const *)value;
    uint32_t percent;

    if (percent_read(text, &percent) && (percent == PERCENT_OFF || percent <= most))
        return 0;
    return pillion_error(error, "\"%s\" is no share: write 10%%, say, %ld%% at most, or off", text,
                         most);
}

#endif
