/* The numbers of JSON. See number.h. */
#include "wire/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MOST    19        /* of a number of 64 bits */
#define EXPONENT_LARGE 100000000 /* from there on, exponents are not told apart */
#define EXACT_POWER    22        /* 10^22 is the last power of ten that a double holds exactly */
#define EXACT_WHOLE    (UINT64_C(1) << 53)
#define EXACT_DIGITS   15 /* so many digits are below that, whichever they are */

static const double powers[EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* A number as its significant digits and a power of ten: neither the first digit nor the last is
 * 0. */
struct decimal {
    bool negative;
    uint64_t digits; /* the first 19 */
    size_t count;    /* of all of them; 0 for zero */
    size_t zeros;    /* that follow the last one so far */
    long exponent;   /* of the last one */
};

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline uint64_t digit_of(char c)
{
    return (uint64_t)(unsigned char)c - '0';
}

const char *number_end(const char *p, const char *end)
{
    while (p < end && (is_digit(*p) || *p == '-' || *p == '.' || *p == '+' || (*p | 0x20) == 'e'))
        p++;
    return p;
}

static void add_digit(struct decimal *decimal, unsigned digit)
{
    if (decimal->count < DIGITS_MOST)
        decimal->digits = decimal->digits * 10 + digit;
    decimal->count++;
}

static void take_digit(struct decimal *decimal, char digit, bool fraction)
{
    decimal->exponent -= fraction;
    if (digit == '0') {
        decimal->zeros += decimal->count > 0;
        return;
    }
    for (; decimal->zeros > 0 && decimal->count < DIGITS_MOST; decimal->zeros--)
        add_digit(decimal, 0);
    decimal->count += decimal->zeros;
    decimal->zeros = 0;
    add_digit(decimal, (unsigned)(digit - '0'));
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

static void read_decimal(struct decimal *decimal, struct bytes number)
{
    const char *at = number.data, *end = at + number.size;
    bool fraction = false;

    *decimal = (struct decimal){.negative = number.size > 0 && *at == '-'};
    for (at += decimal->negative; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.')
            fraction = true;
        else
            take_digit(decimal, *at, fraction);
    }
    decimal->exponent += (long)decimal->zeros;
    if (at < end)
        decimal->exponent += read_exponent(at + 1, end, number.size);
}

enum number_kind number_integer(struct bytes number, int64_t *value)
{
    struct decimal decimal;

    *value = 0;
    read_decimal(&decimal, number);
    if (decimal.count == 0)
        return NUMBER_WHOLE;
    if (decimal.exponent < 0)
        return NUMBER_FRACTION;
    if (decimal.count > DIGITS_MOST || (long)decimal.count + decimal.exponent > DIGITS_MOST)
        return NUMBER_LARGE;
    uint64_t whole = decimal.digits;
    for (long i = 0; i < decimal.exponent; i++)
        whole *= 10;
    if (whole > (uint64_t)INT64_MAX + decimal.negative)
        return NUMBER_LARGE;
    *value = (int64_t)(decimal.negative ? -whole : whole);
    return NUMBER_WHOLE;
}

/* The digits of a number without its sign, its point and the zeros in front; behind the last one
 * come zeros. */
static unsigned next_digit(const char **at, const char *end)
{
    while (*at < end && !is_digit(**at) && (**at | 0x20) != 'e')
        ++*at;
    return *at < end && is_digit(**at) ? (unsigned)(*(*at)++ - '0') : 0;
}

static const char *first_digit(struct bytes number)
{
    const char *at = number.data, *end = at + number.size;

    while (at < end && (*at == '-' || *at == '0' || *at == '.'))
        at++;
    return at;
}

static int sign_of(const struct decimal *decimal)
{
    return decimal->count == 0 ? 0 : decimal->negative ? -1 : 1;
}

int number_compare(struct bytes a, struct bytes b)
{
    struct decimal x, y;

    read_decimal(&x, a);
    read_decimal(&y, b);
    int sign = sign_of(&x);
    if (sign != sign_of(&y) || sign == 0)
        return sign - sign_of(&y);
    long size_x = (long)x.count + x.exponent, size_y = (long)y.count + y.exponent;
    if (size_x != size_y)
        return size_x < size_y ? -sign : sign;
    const char *at_x = first_digit(a), *at_y = first_digit(b);
    for (size_t i = 0; i < x.count || i < y.count; i++) {
        unsigned digit_x = next_digit(&at_x, a.data + a.size);
        unsigned digit_y = next_digit(&at_y, b.data + b.size);
        if (digit_x != digit_y)
            return digit_x < digit_y ? -sign : sign;
    }
    return 0;
}

bool number_divides(struct bytes divisor, struct bytes number)
{
    struct decimal by, value;

    read_decimal(&by, divisor);
    read_decimal(&value, number);
    if (value.count == 0)
        return true;
    if (by.count == 0 || by.count > DIVISOR_DIGITS)
        return false;
    /* The last digit of the number is not 0: no multiple of a power of ten has those digits. */
    if (value.exponent < by.exponent)
        return false;
    uint64_t rest = 0;
    const char *at = first_digit(number);
    for (size_t i = 0; i < value.count; i++)
        rest = (rest * 10 + next_digit(&at, number.data + number.size)) % by.digits;
    /* Below 10^18 no number has more factors of 2 or 5: further zeros change nothing. */
    long zeros = value.exponent - by.exponent;
    for (long i = 0; i < zeros && i < 60; i++)
        rest = rest * 10 % by.digits;
    return rest == 0;
}

size_t number_digits(struct bytes number)
{
    struct decimal decimal;

    read_decimal(&decimal, number);
    return decimal.count;
}

uint64_t number_hash(struct bytes number)
{
    struct decimal decimal;

    read_decimal(&decimal, number);
    uint64_t hash = decimal.digits * 0x9e3779b97f4a7c15u + (uint64_t)sign_of(&decimal);
    return decimal.count == 0 ? 0 : hash ^ (uint64_t)((long)decimal.count + decimal.exponent);
}

/* The locale of the process may be one whose decimal point is a comma: modules may set it. */
static double read_double(const char *text)
{
    static locale_t plain;

    if (plain == NULL)
        plain = newlocale(LC_ALL_MASK, "C", NULL);
    return plain == NULL ? strtod(text, NULL) : strtod_l(text, NULL, plain);
}

bool number_double(struct bytes number, double *value)
{
    struct decimal decimal;

    read_decimal(&decimal, number);
    /* Both are exact, so their product or quotient is rounded once: it is the nearest. */
    if (decimal.count <= DIGITS_MOST && decimal.digits <= EXACT_WHOLE &&
        decimal.exponent >= -EXACT_POWER && decimal.exponent <= EXACT_POWER) {
        double whole = (double)decimal.digits;
        whole = decimal.exponent < 0 ? whole / powers[-decimal.exponent]
                                     : whole * powers[decimal.exponent];
        *value = decimal.negative ? -whole : whole;
        return true;
    }
    *value = read_double(number.data);
    return isfinite(*value);
}

const char *number_take(const char *p, double *value)
{
    bool negative = *p == '-';
    const char *first = p + negative, *point;
    uint64_t whole = 0;

    for (p = first; is_digit(*p); p++)
        whole = whole * 10 + digit_of(*p);
    point = p;
    if (*p == '.') {
        for (p = ++point; is_digit(*p); p++)
            whole = whole * 10 + digit_of(*p);
    }
    if (p - first > EXACT_DIGITS + 1 || (*p | 0x20) == 'e')
        return NULL;
    *value = (double)(int64_t)whole / powers[p - point];
    if (negative)
        *value = -*value;
    return p;
}

/* As many digits as are needed, from `precision` on. */
static size_t write_double(double value, int precision, char to[NUMBER_TEXT_MAX])
{
    char text[NUMBER_TEXT_MAX + 8]; /* as wide as `precision` looks to compilers */
    size_t size = 0;

    do {
        snprintf(text, sizeof(text), "%.*g", precision, value);
    } while (read_double(text) != value && ++precision < 18);
    const char *exponent = strchr(text, 'e');
    for (const char *c = text; *c != '\0'; c++) { /* 1e+06 is 1e6 */
        bool padding = exponent != NULL && c > exponent && *c == '0' &&
                       (to[size - 1] == 'e' || to[size - 1] == '-');
        if (*c != '+' && !padding)
            to[size++] = *c == ',' ? '.' : *c;
    }
    to[size] = '\0';
    return size;
}

size_t number_write(double value, char to[NUMBER_TEXT_MAX])
{
    if (fabs(value) < 1e6 && value == (double)(long)value)
        return (size_t)snprintf(to, NUMBER_TEXT_MAX, "%ld", (long)value);
    return write_double(value, 1, to);
}

/* Writes at least `least` digits. Returns the end. */
static char *put_digits(char *to, uint64_t value, int least)
{
    char digits[20];
    int count = 0;

    for (; value > 0 || count < least; value /= 10)
        digits[count++] = (char)('0' + value % 10);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

/* Most numbers of data are a whole number over a small power of ten. Both are exact, so their
 * quotient is rounded once, and a decimal that gives the same double reads back as it. */
static size_t print_decimal(double value, char to[NUMBER_TEXT_MAX])
{
    static const uint64_t whole_powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    const double magnitude = fabs(value);
    char *p = to;

    for (int places = 0; places < (int)(sizeof(whole_powers) / sizeof(*whole_powers)); places++) {
        double scaled = magnitude * (double)whole_powers[places];
        if (scaled >= 1e15)
            break;
        uint64_t whole = (uint64_t)(scaled + 0.5);
        if ((double)whole / (double)whole_powers[places] != magnitude)
            continue;
        if (value < 0)
            *p++ = '-';
        p = put_digits(p, whole / whole_powers[places], 1);
        if (places > 0) {
            *p++ = '.';
            p = put_digits(p, whole % whole_powers[places], places);
        }
        *p = '\0';
        return (size_t)(p - to);
    }
    return 0;
}

size_t number_print(double value, char to[NUMBER_TEXT_MAX])
{
    size_t size = print_decimal(value, to);
    return size > 0 ? size : write_double(value, DBL_DIG, to);
}
