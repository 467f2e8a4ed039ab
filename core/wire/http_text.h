/* The inner loops of reading HTTP: characters, tokens and lines. Private to http.c, and apart from
 * it so that the rules of HTTP are not among bit tricks. */
#ifndef PILLION_WIRE_HTTP_TEXT_H
#define PILLION_WIRE_HTTP_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

#define CR '\r'
#define LF '\n'

/* What a character may be part of. */
enum {
    TOKEN = 1, /* RFC 9110 section 5.6.2 */
    HOST = 2,  /* a host and its port: not what would end them in a URI (RFC 3986 section 3.2) */
};

static const uint8_t char_kind[256] = {
    ['!'] = TOKEN | HOST,
    ['#'] = TOKEN,
    ['$' ... '\''] = TOKEN | HOST,
    ['(' ... ')'] = HOST,
    ['*' ... '+'] = TOKEN | HOST,
    [','] = HOST,
    ['-' ... '.'] = TOKEN | HOST,
    ['0' ... '9'] = TOKEN | HOST,
    [':' ... ';'] = HOST,
    ['='] = HOST,
    ['A' ... 'Z'] = TOKEN | HOST,
    ['['] = HOST,
    [']'] = HOST,
    ['^'] = TOKEN,
    ['_'] = TOKEN | HOST,
    ['`'] = TOKEN,
    ['a' ... 'z'] = TOKEN | HOST,
    ['|'] = TOKEN,
    ['~'] = TOKEN | HOST,
};

/* How many bytes at the start of `text` are of this kind. */
static inline size_t kind_size(struct bytes text, unsigned kind)
{
    size_t size = 0;

    while (size < text.size && (char_kind[(unsigned char)text.data[size]] & kind))
        size++;
    return size;
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* True when the token is `name`, which is as long and in lower case, but for the case of letters.
 * Of all characters of tokens only a letter, or "-", becomes one of a name by this bit. */
static inline bool token_is(struct bytes token, const char *name)
{
    size_t i = 0;

    while (i < token.size && (token.data[i] | 0x20) == name[i])
        i++;
    return i == token.size;
}

static inline bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

static inline struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_white(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_white(text.data[text.size - 1]))
        text.size--;
    return text;
}

static inline size_t token_size(struct bytes text)
{
    return kind_size(text, TOKEN);
}

static inline bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* How many bytes at the start of `text` are no control characters, tabs aside. Looks at eight at
 * once: the lowest mark is that of the first one in question (a borrow can set marks above it). */
static inline size_t text_size(struct bytes text)
{
    size_t size = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t word;

    while (text.size - size >= sizeof(word)) {
        memcpy(&word, text.data + size, sizeof(word));
        uint64_t deleted = word ^ ones * 0x7f;
        uint64_t marks = (((word - ones * 0x20) & ~word) | ((deleted - ones) & ~deleted)) & highs;
        size += marks == 0 ? sizeof(word) : (size_t)__builtin_ctzll(marks) / 8;
        if (marks != 0 && text.data[size] != '\t')
            return size;
        size += marks != 0;
    }
#endif
    while (size < text.size && !is_control(text.data[size]))
        size++;
    return size;
}

/* Takes the line at the start of `text`, whose CRLF is there. False when it holds a control
 * character other than a tab, a lone CR or LF among them. */
static inline bool take_line(struct bytes *text, struct bytes *line)
{
    size_t size = text_size(*text);

    if (size + 1 >= text->size || text->data[size] != CR || text->data[size + 1] != LF)
        return false;
    *line = (struct bytes){text->data, size};
    text->data += size + 2;
    text->size -= size + 2;
    return true;
}

#endif
