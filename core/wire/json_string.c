/* The strings of JSON that the pass (json.c) has accepted: what they say, without their escapes.
 * See json.h. */
#include "wire/json.h"
#include "wire/json_private.h"

/* Writes `code` as UTF-8 (RFC 3629 section 3) and returns its size. */
static size_t write_utf8(uint32_t code, char to[4])
{
    static const struct {
        uint32_t below;
        unsigned char lead;
    } forms[] = {{0x80, 0x00}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
    size_t more = 0;

    while (code >= forms[more].below)
        more++;
    for (size_t i = more; i > 0; i--, code >>= 6)
        to[i] = (char)(unsigned char)(0x80 | (code & 0x3f));
    to[0] = (char)(unsigned char)(forms[more].lead | code);
    return more + 1;
}

/* The character of the \uXXXX, or of the surrogate pair, at `*p`, which moves past it; -1 for half
 * of a pair. */
static int32_t read_unicode_escape(const char **p, const char *end)
{
    int unit = json_hex4(*p + 2);

    *p += 6;
    if (json_is_low_surrogate(unit))
        return -1;
    if (!json_is_high_surrogate(unit))
        return unit;
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return -1;
    int second = json_hex4(*p + 2);
    if (!json_is_low_surrogate(second))
        return -1;
    *p += 6;
    return 0x10000 + ((unit & 0x3ff) << 10 | (second & 0x3ff));
}

/* The character of the escape at `*p`, which moves past it; -1 for half of a pair. */
static int32_t read_escape(const char **p, const char *end)
{
    char c = (*p)[1];

    if (c == 'u')
        return read_unicode_escape(p, end);
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
    default:
        return c; /* a quote, a backslash or a slash */
    }
}

enum json_unescaped json_unescape(struct bytes inside, char *to, size_t capacity, size_t *size)
{
    const char *p = inside.data;
    const char *const end = p + inside.size;
    size_t used = 0;

    while (p < end) {
        char character[4] = {*p};
        size_t more = 1;
        if (*p == '\\') {
            int32_t code = read_escape(&p, end);
            if (code < 0)
                return JSON_UNESCAPED_HALF;
            more = write_utf8((uint32_t)code, character);
        } else {
            p++;
        }
        if (more > capacity - used)
            return JSON_UNESCAPED_LONG;
        memcpy(to + used, character, more);
        used += more;
    }
    *size = used;
    return JSON_UNESCAPED;
}

long json_string_text(struct bytes string, char *to, size_t capacity)
{
    size_t size;

    if (string.size < 2 || string.data[0] != '"' ||
        json_unescape((struct bytes){string.data + 1, string.size - 2}, to, capacity, &size) !=
            JSON_UNESCAPED)
        return -1;
    return (long)size;
}

bool json_has_nul(struct bytes text)
{
    const char *const end = text.data + text.size, *at = text.data;

    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at >= 6 && memcmp(at + 1, "u0000", 5) == 0)
            return true;
        at += 2; /* skip the escaped character, which may be a backslash */
    }
    return false;
}
