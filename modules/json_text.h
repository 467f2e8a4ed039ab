/* JSON text that grows, for modules that turn values of other servers into it. A text that has
 * failed, for want of memory or at its limit, stays failed and takes no more, so callers check
 * once, at the end. */
#ifndef PILLION_MODULES_JSON_TEXT_H
#define PILLION_MODULES_JSON_TEXT_H

#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Starts as `{0}`; the owner frees `data`. */
struct json_text {
    char *data;
    size_t size, capacity;
    size_t limit;       /* of the size; 0: none. A part that would exceed it is not begun */
    const char *failed; /* why the text is incomplete, such as lack of memory; or NULL */
    bool too_large;     /* it failed at its limit */
};

#define JSON_TEXT_KEPT 65536u

static inline void json_text_free(struct json_text *text)
{
    free(text->data);
    *text = (struct json_text){.limit = text->limit};
}

/* Empties the text for the next one; its memory is kept unless it is large. */
static inline void json_text_reset(struct json_text *text)
{
    if (text->capacity > JSON_TEXT_KEPT)
        json_text_free(text);
    text->size = 0;
    text->failed = NULL;
    text->too_large = false;
}

static inline void json_fail_too_large(struct json_text *text)
{
    text->failed = "it is larger than max_reply";
    text->too_large = true;
}

/* Makes room for `size` more bytes. False when there is none; then the text has failed. */
static inline bool json_reserve(struct json_text *text, size_t size)
{
    if (text->failed != NULL)
        return false;
    if (text->limit != 0 && size > text->limit - text->size) {
        json_fail_too_large(text);
        return false;
    }
    if (size <= text->capacity - text->size)
        return true;
    size_t capacity = (text->size + size) * 2 + 256;
    char *grown = realloc(text->data, capacity);
    if (grown == NULL) {
        text->failed = "out of memory";
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

static inline void json_append(struct json_text *text, const char *data, size_t size)
{
    if (size == 0 || !json_reserve(text, size))
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static inline bool json_is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

/* Appends a piece of UTF-8 within a JSON string, with escapes where needed. */
static inline void json_append_piece(struct json_text *text, const char *data, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    const char *end = data + size, *plain;

    for (; data < end; data = plain) {
        for (plain = data; plain < end && json_is_plain(*plain); plain++)
            ;
        json_append(text, data, (size_t)(plain - data));
        for (; plain < end && !json_is_plain(*plain) && json_reserve(text, 6); text->size += 6) {
            unsigned char c = (unsigned char)*plain++;
            memcpy(text->data + text->size, "\\u00", 4);
            text->data[text->size + 4] = hex[c >> 4];
            text->data[text->size + 5] = hex[c & 15];
        }
        if (text->failed != NULL)
            return;
    }
}

/* Appends UTF-8 as a JSON string. */
static inline void json_append_string(struct json_text *text, const char *data, size_t size)
{
    if (!json_reserve(text, size + 2)) /* before anything is copied */
        return;
    json_append(text, "\"", 1);
    json_append_piece(text, data, size);
    json_append(text, "\"", 1);
}

/* True when JSON text has \u0000 in a string, which neither C strings nor the servers behind can
 * hold. */
static inline bool json_has_nul(pillion_bytes text)
{
    const char *end = text.data + text.size, *at = text.data;

    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at >= 6 && memcmp(at + 1, "u0000", 5) == 0)
            return true;
        at += 2; /* skip the escaped character, which may be a backslash */
    }
    return false;
}

#endif
