/* The inner loop of the JSON pass: how far a string goes on in plain characters, many bytes at a
 * time. Private to wire/ (json.c, envelope.c, json_read.h), and apart from them so that the rules
 * of JSON are not among bit tricks.
 *
 * Plain is printable ASCII other than the quote and the backslash. Every form gives the same answer
 * and none reads at or past `end`. */
#ifndef PILLION_WIRE_JSON_PLAIN_H
#define PILLION_WIRE_JSON_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool json_is_plain(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 0x20 && u < 0x80 && c != '"' && c != '\\';
}

/* A word whose lowest set bit is in the first byte of `word` (in order of significance) that is not
 * plain; 0 when all eight are. A borrow can set bits above that byte, never below it. */
static inline uint64_t json_marks(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');

    return ((quote - ones) | (backslash - ones) | (word - ones * 0x20) | word) & highs;
}

/* The first byte at or after `p` that is not plain, or `end`. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');

    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i quoting =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        /* The compare is signed: controls and everything from 0x80 are below a space. */
        __m128i marks = _mm_or_si128(quoting, _mm_cmplt_epi8(bytes, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(marks);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t marks = json_marks(word);
        if (marks != 0)
            return p + __builtin_ctzll(marks) / 8;
    }
#endif
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

#endif
