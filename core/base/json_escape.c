/* Escaping text for JSON. See json_escape.h. */
#include "base/json_escape.h"

/* Writes the first character of `text`, which is not empty, to `to` as it is inside a JSON string,
 * and sets `size` to its size there. Returns how many bytes of `text` it has taken. */
static size_t escape_character(struct bytes text, char to[JSON_ESCAPED_MAX], size_t *size)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    unsigned char c = (unsigned char)text.data[0];
    size_t taken = utf8_sequence(text.data, text.size);

    if (taken == 0) {
        memcpy(to, "\xef\xbf\xbd", *size = 3);
        return 1;
    }
    if (c == '"' || c == '\\' || (c < 0x20 && shorts[c] != 0)) {
        to[0] = '\\';
        to[1] = c < 0x20 ? shorts[c] : (char)c;
        *size = 2;
    } else if (c < 0x20) {
        memcpy(to, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, *size = 6);
    } else {
        memcpy(to, text.data, *size = taken);
    }
    return taken;
}

size_t json_escape(struct bytes text, char *to, size_t capacity)
{
    size_t used = 0;

    while (text.size > 0) {
        char character[JSON_ESCAPED_MAX];
        size_t size = 1, taken = 1;
        if (json_stands_for_itself(text.data[0]))
            character[0] = text.data[0];
        else
            taken = escape_character(text, character, &size);
        if (size > capacity - used)
            break;
        if (to != NULL)
            memcpy(to + used, character, size);
        used += size;
        text.data += taken;
        text.size -= taken;
    }
    return used;
}

void text_append_json(struct text *text, struct bytes bytes)
{
    size_t size = json_escape(bytes, NULL, SIZE_MAX);

    text_reserve(text, size);
    text->size += json_escape(bytes, text->data + text->size, size);
    text->data[text->size] = '\0';
}
