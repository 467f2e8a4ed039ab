/* JSON text that grows, for modules that turn values of other servers into it. */
#ifndef PILLION_MODULES_JSON_TEXT_H
#define PILLION_MODULES_JSON_TEXT_H

#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Starts as `{0}`; `data` is freed by who made it. */
struct json_text {
    char *data;
    size_t size, capacity;
    const char *failed; /* why it is not whole, such as memory that ran out; or NULL */
};

#define JSON_TEXT_KEPT 65536u

/* Empty again, for the next text; its memory is kept unless that is large. */
static inline void json_text_reset(struct json_text *text)
{
    text->size = 0;
    text->failed = NULL;
    if (text->capacity <= JSON_TEXT_KEPT)
        return;
    free(text->data);
    *text = (struct json_text){0};
}

static inline void json_append(struct json_text *text, const char *data, size_t size)
{
    if (text->failed != NULL)
        return;
    if (text->size + size > text->capacity) {
        size_t capacity = (text->size + size) * 2 + 256;
        char *grown = realloc(text->data, capacity);
        if (grown == NULL) {
            text->failed = "out of memory";
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

/* UTF-8 as a JSON string. */
static inline void json_append_string(struct json_text *text, const char *data, size_t size)
{
    size_t plain = 0;

    json_append(text, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        char escaped[8];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        json_append(text, data + plain, i - plain);
        json_append(text, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
        plain = i + 1;
    }
    json_append(text, data + plain, size - plain);
    json_append(text, "\"", 1);
}

/* True when JSON text holds a \u0000 within a string: what C strings, and the servers behind,
 * cannot take. */
static inline bool json_has_nul(pillion_bytes text)
{
    const char *end = text.data + text.size, *at = text.data;

    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at >= 6 && memcmp(at + 1, "u0000", 5) == 0)
            return true;
        at += 2; /* whatever is escaped, a backslash too */
    }
    return false;
}

#endif
