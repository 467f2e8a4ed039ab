/* What a terminal or a line of a log may hold. See printable.h. */
#include "base/printable.h"

#include <string.h>

#include "base/json_escape.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Characters that are not shown as they are, by first and last (Unicode 15, general categories Cc,
 * Cf, Zl and Zp). The joiners U+200C and U+200D are not among them: words of Persian and many emoji
 * are written with them. Nor are variation selectors, the soft hyphen and signs that enclose
 * digits. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f},   /* C0 */
    {0x007f, 0x009f},   /* DEL and C1 */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200b},   /* zero width space */
    {0x200e, 0x200f},   /* left-to-right and right-to-left marks */
    {0x2028, 0x202e},   /* line and paragraph separators; embeddings and overrides */
    {0x2060, 0x206f},   /* invisible operators; isolates; deprecated format characters */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* interlinear annotations */
    {0xe0000, 0xe007f}, /* tags */
};

static bool is_hidden(uint32_t code)
{
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
        if (code >= hidden[i].first && code <= hidden[i].last)
            return true;
    }
    return false;
}

/* The character of a well-formed sequence of `size` bytes (RFC 3629 section 3). */
static uint32_t decode(const unsigned char *s, size_t size)
{
    uint32_t code = size == 1 ? s[0] : s[0] & (0x7fu >> size);

    for (size_t i = 1; i < size; i++)
        code = code << 6 | (s[i] & 0x3fu);
    return code;
}

size_t printable_next(struct bytes text, char shown[PRINTABLE_SIZE])
{
    shown[0] = '\0';
    if (text.data[0] >= 0x20 && text.data[0] < 0x7f) /* the most frequent case */
        return 1;
    size_t size = utf8_sequence(text.data, text.size);
    if (size == 0) {
        memcpy(shown, REPLACEMENT, sizeof(REPLACEMENT));
        return 1;
    }
    uint32_t code = decode((const unsigned char *)text.data, size);
    if (!is_hidden(code))
        return size;
    if (code <= 0xffff)
        snprintf(shown, PRINTABLE_SIZE, "\\u%04x", code);
    else /* RFC 8259 section 7: a surrogate pair */
        snprintf(shown, PRINTABLE_SIZE, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                 0xdc00 + (code & 0x3ff));
    return size;
}

/* Appends `more`; a character that is in `kept` becomes `kept_as` instead of an escape. */
static void append(struct text *text, struct bytes more, const char *kept, const char *kept_as)
{
    char shown[PRINTABLE_SIZE];

    while (more.size > 0) {
        const char *found = more.data[0] == '\0' ? NULL : strchr(kept, more.data[0]);
        size_t size = printable_next(more, shown);
        if (found != NULL)
            text_append_char(text, kept_as[found - kept]);
        else if (shown[0] != '\0')
            text_append_string(text, shown);
        else
            text_append(text, (struct bytes){more.data, size});
        more = (struct bytes){more.data + size, more.size - size};
    }
}

void text_append_printable(struct text *text, struct bytes more)
{
    append(text, more, "", "");
}

void text_append_line(struct text *text, struct bytes more)
{
    append(text, more, "\n\t", "  ");
}

void text_append_json_printable(struct text *text, struct bytes more)
{
    struct text json = {0};

    text_append_json(&json, more);
    text_append_printable(text, (struct bytes){text_string(&json), json.size});
    text_free(&json);
}

void printable_print(FILE *to, struct bytes text)
{
    struct text clean = {0};

    append(&clean, text, "\n\t", "\n\t");
    fwrite(text_string(&clean), 1, clean.size, to);
    text_free(&clean);
}
