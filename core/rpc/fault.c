/* Faults and their sentences. See fault.h.
 *
 * Nothing here is called for values that are right. */
#include "rpc/fault.h"

#include <stdio.h>

#include "base/printable.h"
#include "wire/number.h"

#define SHOWN_MAX 32u /* bytes of a client's text */

/* ---- Text in a fixed room ---- */

void line_add(struct line *line, struct bytes more)
{
    size_t left = line->room - 1 - line->size;
    size_t size = more.size < left ? more.size : left;

    while (size < more.size && size > 0 && ((unsigned char)more.data[size] & 0xc0) == 0x80)
        size--; /* whole characters */
    memcpy(line->to + line->size, more.data, size);
    line->size += size;
    line->to[line->size] = '\0';
}

void line_add_string(struct line *line, const char *string)
{
    line_add(line, bytes_of(string));
}

void line_add_v(struct line *line, const char *format, va_list args)
{
    char text[FAULT_TEXT_MAX];
    int size = vsnprintf(text, sizeof(text), format, args);

    line_add(line, (struct bytes){text, strlen(text)});
    (void)size;
}

void line_addf(struct line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line_add_v(line, format, args);
    va_end(args);
}

void line_add_shown(struct line *line, struct bytes text)
{
    size_t used = 0;

    while (text.size > 0 && used < SHOWN_MAX) {
        char shown[PRINTABLE_SIZE];
        size_t size = printable_next(text, shown);
        line_add(line, shown[0] == '\0' ? (struct bytes){text.data, size} : bytes_of(shown));
        used += size;
        text = (struct bytes){text.data + size, text.size - size};
    }
    if (text.size > 0)
        line_add_string(line, "…");
}

/* ---- What was wanted, and what is there ---- */

void line_add_range(struct line *line, const char *low, const char *high, const char *between,
                    const char *unit)
{
    bool one = strcmp(high != NULL ? high : low, "1") == 0;

    if (low != NULL && high != NULL && strcmp(low, high) == 0)
        line_addf(line, " of %s%s", low, unit);
    else if (low != NULL && high != NULL)
        line_addf(line, " %s %s to %s%s", between, low, high, unit);
    else
        line_addf(line, " of at %s %s%s", low != NULL ? "least" : "most", low != NULL ? low : high,
                  unit);
    if (unit[0] != '\0' && !one)
        line_add_string(line, "s");
}

void line_add_length(struct line *line, uint64_t least, uint64_t most, uint64_t none,
                     const char *unit)
{
    char low[24], high[24];

    if (least == 0 && most >= none)
        return;
    snprintf(low, sizeof(low), "%llu", (unsigned long long)least);
    snprintf(high, sizeof(high), "%llu", (unsigned long long)most);
    line_add_range(line, least > 0 ? low : NULL, most < none ? high : NULL, "of", unit);
}

void line_add_got(struct line *line, const char *value, const char *end, bool shows)
{
    const char *stop = value;

    switch (*value) {
    case '{':
        line_add_string(line, "an object");
        break;
    case '[':
        line_add_string(line, "a list");
        break;
    case '"':
        if (!shows) {
            line_add_string(line, "a string");
            break;
        }
        while (++stop < end && *stop != '"' && stop - value <= (long)SHOWN_MAX * 2)
            stop += *stop == '\\' && end - stop > 1;
        line_add_string(line, "\"");
        line_add_shown(line, (struct bytes){value + 1, (size_t)(stop - value - 1)});
        line_add_string(line, "\"");
        break;
    case 't':
        line_add_string(line, "true");
        break;
    case 'f':
        line_add_string(line, "false");
        break;
    case 'n':
        line_add_string(line, "null");
        break;
    default:
        stop = number_end(value, end);
        line_add_shown(line, (struct bytes){value, (size_t)(stop - value)});
    }
}

/* ---- Faults ---- */

bool fault_begin(struct faults *faults, struct line *path, struct line *text)
{
    struct fault *fault;

    if (faults->count++ >= FAULTS_MAX)
        return false;
    fault = pool_alloc(faults->pool, sizeof(*fault));
    faults->of[faults->count - 1] = fault;
    if (fault == NULL) {
        faults->count--;
        faults->exhausted = true;
        return false;
    }
    *path = (struct line){fault->path, 0, sizeof(fault->path)};
    *text = (struct line){fault->text, 0, sizeof(fault->text)};
    fault->path[0] = fault->text[0] = '\0';
    return true;
}
