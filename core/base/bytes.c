/* Growing text and UTF-8. See bytes.h. */
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

void text_reserve(struct text *text, size_t more)
{
    size_t needed = text->size + more + 1;

    if (needed <= text->capacity)
        return;
    size_t capacity = text->capacity == 0 ? 64 : text->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    text->data = must_realloc(text->data, capacity);
    text->capacity = capacity;
}

void text_append(struct text *text, struct bytes bytes)
{
    if (bytes.size == 0)
        return;
    text_reserve(text, bytes.size);
    memcpy(text->data + text->size, bytes.data, bytes.size);
    text->size += bytes.size;
    text->data[text->size] = '\0';
}

void text_append_string(struct text *text, const char *string)
{
    text_append(text, bytes_of(string));
}

void text_append_char(struct text *text, char c)
{
    text_append(text, (struct bytes){&c, 1});
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size <= 0)
        return;
    text_reserve(text, (size_t)size);
    vsnprintf(text->data + text->size, (size_t)size + 1, format, args);
    text->size += (size_t)size;
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

const char *text_string(const struct text *text)
{
    return text->data == NULL ? "" : text->data;
}

char *text_take(struct text *text)
{
    char *data = text->data == NULL ? must_strdup("") : text->data;
    *text = (struct text){0};
    return data;
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->data != NULL)
        text->data[0] = '\0';
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

/* How many of the `count` bytes after the first are continuation bytes, all or nothing. */
static bool continues(const unsigned char *s, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return false;
    }
    return true;
}

size_t utf8_sequence(const char *data, size_t size)
{
    const unsigned char *s = (const unsigned char *)data;

    if (size == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return size >= 2 && continues(s, 1) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if (size < 3 || !continues(s, 2))
            return 0;
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (size < 4 || !continues(s, 3))
            return 0;
        bool overlong = s[0] == 0xf0 && s[1] < 0x90;
        bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}
