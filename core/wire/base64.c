/* Base64. See base64.h. */
#include "wire/base64.h"

/* 1 + the value of each digit. */
static const unsigned char digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* The 6 bits of each of the first `count` characters, the others 0; -1 when one is no digit. */
static int32_t read_group(const char *text, size_t count)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        unsigned digit = i < count ? digits[(unsigned char)text[i]] : 1;
        if (digit == 0)
            return -1;
        bits = bits << 6 | (digit - 1);
    }
    return (int32_t)bits;
}

long base64_decode(struct bytes text, char *to)
{
    size_t padding = 0, size = 0;

    if (text.size % 4 != 0)
        return -1;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    for (size_t at = 0; at < text.size; at += 4) {
        size_t count = at + 4 == text.size ? 4 - padding : 4;
        int32_t bits = read_group(text.data + at, count);
        if (bits < 0 || (count < 4 && (bits & (count == 3 ? 0xff : 0xffff)) != 0))
            return -1;
        for (size_t i = 0; i + 1 < count; i++)
            to[size++] = (char)(unsigned char)(bits >> (16 - 8 * i) & 0xff);
    }
    return (long)size;
}

void base64_encode(struct bytes data, char *to)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t at = 0; at < data.size; at += 3) {
        uint32_t bits = 0;
        size_t count = data.size - at < 3 ? data.size - at : 3;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < count ? (unsigned char)data.data[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            *to++ = i <= count ? letters[bits >> (18 - 6 * i) & 63] : '=';
    }
}
