/* Spans of bytes, and text that grows.
 *
 * `struct bytes` borrows: it never owns what it points at and is passed by value. `struct text`
 * owns a growing, NUL-terminated buffer, for messages and documents that are built piece by piece.
 * Any process may use both. Nothing here knows what the bytes mean. */
#ifndef PILLION_BASE_BYTES_H
#define PILLION_BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t size;
};

/* The span of a string literal. */
#define BYTES(literal) ((struct bytes){(literal), sizeof(literal) - 1})

/* The span of a NUL-terminated string, without the NUL. */
static inline struct bytes bytes_of(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

/* Whether one of the strings is this one. */
static inline bool strings_have(const char *const *strings, size_t count, const char *string)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(strings[i], string) == 0)
            return true;
    }
    return false;
}

/* A span that was written a moment ago, as two words. Compilers copy it as one, and processors wait
 * then until both stores have reached the cache: a dozen cycles, which matters where a request
 * takes a hundred. */
static inline struct bytes bytes_just_set(const struct bytes *span)
{
    const char *data = span->data;
    size_t size = span->size;

    __asm__("" : "+r"(data), "+r"(size));
    return (struct bytes){data, size};
}

/* Names are short: up to 16 bytes are compared without a call, by two words that may overlap. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    if (a.size != b.size)
        return false;
    if (a.size > 16)
        return memcmp(a.data, b.data, a.size) == 0;
    if (a.size >= 8) {
        uint64_t words[4];
        memcpy(&words[0], a.data, 8);
        memcpy(&words[1], b.data, 8);
        memcpy(&words[2], a.data + a.size - 8, 8);
        memcpy(&words[3], b.data + b.size - 8, 8);
        return words[0] == words[1] && words[2] == words[3];
    }
    if (a.size >= 4) {
        uint32_t words[4];
        memcpy(&words[0], a.data, 4);
        memcpy(&words[1], b.data, 4);
        memcpy(&words[2], a.data + a.size - 4, 4);
        memcpy(&words[3], b.data + b.size - 4, 4);
        return words[0] == words[1] && words[2] == words[3];
    }
    for (size_t i = 0; i < a.size; i++) {
        if (a.data[i] != b.data[i])
            return false;
    }
    return true;
}

/* The value of a hexadecimal digit in either case; -1 for any other character. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Starts empty as `{0}`. `data` is NULL while empty; otherwise data[size] is NUL.
 * Memory exhaustion ends the process (see must_alloc), so it is not for request data. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

/* Makes room for `more` bytes behind the text. */
void text_reserve(struct text *text, size_t more);

void text_append(struct text *text, struct bytes bytes);
void text_append_string(struct text *text, const char *string);
void text_append_char(struct text *text, char c);
__attribute__((format(printf, 2, 3))) void text_printf(struct text *text, const char *format, ...);
__attribute__((format(printf, 2, 0))) void text_vprintf(struct text *text, const char *format,
                                                        va_list args);

/* The contents as a string, "" when empty. Borrowed. */
const char *text_string(const struct text *text);

/* Gives the buffer to the caller, which frees it, and empties `text`. Never NULL. */
char *text_take(struct text *text);

void text_clear(struct text *text);
void text_free(struct text *text);

/* Bytes of the well-formed UTF-8 sequence that starts at `data`, 1 to 4, or 0 when there is none
 * within `size` bytes (RFC 3629 section 4: no overlong forms, no surrogates). */
size_t utf8_sequence(const char *data, size_t size);

#endif
