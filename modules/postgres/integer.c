/* Whole numbers as clients write them. JSON has no integers: 1e3 and 1000.0 are as whole as 1000.
 * The digits themselves are looked at: a double would make 0 of 1e-400, and 1 of
 * 1.00000000000000000001. */
#include "integer.h"

#include <string.h>

#define DIGITS_MOST    19   /* of a number of 64 bits */
#define EXPONENT_LARGE 4096 /* no digits in 4 KiB of params can make up for more */

/* A number as its digits and a power of ten. */
struct decimal {
    bool negative;
    char digits[DIGITS_MOST]; /* neither the first nor the last is 0 */
    size_t count;
    long zeros;     /* zeros that follow the last digit so far */
    long exponent;  /* of the last digit */
    bool too_large; /* more digits than any number of 64 bits has */
};

static void take_digit(struct decimal *decimal, char digit, bool fraction)
{
    decimal->exponent -= fraction;
    if (digit == '0') {
        decimal->zeros += decimal->count > 0;
        return;
    }
    for (; decimal->zeros > 0 && decimal->count < DIGITS_MOST; decimal->zeros--)
        decimal->digits[decimal->count++] = '0';
    if (decimal->count == DIGITS_MOST)
        decimal->too_large = true;
    else
        decimal->digits[decimal->count++] = digit;
}

/* Reads the exponent after an e. It stops counting at a value that no text of `size` bytes can make
 * up for. */
static long read_exponent(const char *at, const char *end, size_t size)
{
    const long most = (long)size + EXPONENT_LARGE;
    bool negative = at < end && *at == '-';
    long exponent = 0;

    for (at += at < end && (*at == '-' || *at == '+'); at < end; at++)
        exponent = exponent > most ? exponent : exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

static void read_decimal(struct decimal *decimal, pillion_bytes number)
{
    const char *at = number.data, *end = at + number.size;
    bool fraction = false;

    *decimal = (struct decimal){.negative = number.size > 0 && *at == '-'};
    for (at += decimal->negative; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.')
            fraction = true;
        else
            take_digit(decimal, *at, fraction);
    }
    decimal->exponent += decimal->zeros;
    if (at < end)
        decimal->exponent += read_exponent(at + 1, end, number.size);
}

bool integer_text(pillion_bytes number, char text[INTEGER_TEXT_MAX])
{
    struct decimal decimal;
    uint64_t value = 0;
    char *to = text;

    read_decimal(&decimal, number);
    if (decimal.count == 0)
        return strcpy(text, "0") != NULL;
    if (decimal.too_large || decimal.exponent < 0 ||
        (long)decimal.count + decimal.exponent > DIGITS_MOST)
        return false;
    if (decimal.negative)
        *to++ = '-';
    for (size_t i = 0; i < decimal.count + (size_t)decimal.exponent; i++) {
        *to = i < decimal.count ? decimal.digits[i] : '0';
        value = value * 10 + (uint64_t)(*to++ - '0');
    }
    *to = '\0';
    return value <= (uint64_t)INT64_MAX + decimal.negative;
}
