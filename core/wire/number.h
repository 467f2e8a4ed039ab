/* The numbers of JSON, of text that json_check has accepted. JSON has no integers: 1e3 and 1000.0
 * are as whole as 1000 is. That is decided on the digits: a double would make 0 of 1e-400, 1 of
 * 1.00000000000000000001, and loses digits beyond 2^53. Pure functions over bytes. */
#ifndef PILLION_WIRE_NUMBER_H
#define PILLION_WIRE_NUMBER_H

#include "base/bytes.h"

enum number_kind {
    NUMBER_WHOLE,
    NUMBER_FRACTION, /* it is no whole number */
    NUMBER_LARGE,    /* it is one, beyond 64 bits */
};

/* The end of the number at `p`, which is before `end`. */
const char *number_end(const char *p, const char *end);

/* What the number is; `value` is set when it is NUMBER_WHOLE. */
enum number_kind number_integer(struct bytes number, int64_t *value);

/* Sets the double that is nearest. False when the number is beyond all doubles. One byte behind the
 * number must be readable, and no part of a number. */
bool number_double(struct bytes number, double *value);

/* Takes the number at `p`, where one is, if it is written as most are: with up to 15 digits, and
 * perhaps a decimal point. Returns its end, or NULL with nothing done. What holds for the byte
 * behind it is the same. */
const char *number_take(const char *p, double *value);

/* Below 0, 0 or above 0, as `a` is to `b`: exact, whatever their digits. */
int number_compare(struct bytes a, struct bytes b);

/* True when the number is a whole multiple of the divisor, of at most 18 digits: exact, too. */
#define DIVISOR_DIGITS 18u
bool number_divides(struct bytes divisor, struct bytes number);

/* How many digits it has, without zeros in front and behind. */
size_t number_digits(struct bytes number);

/* Numbers that are equal have the same. */
uint64_t number_hash(struct bytes number);

/* Writes a double in as few digits as read back the same: 0.1, 1e6. Returns the size. */
#define NUMBER_TEXT_MAX 32u
size_t number_write(double value, char to[NUMBER_TEXT_MAX]);

/* The same for data: much faster for numbers with few decimals, and 1e6 is 1000000. */
size_t number_print(double value, char to[NUMBER_TEXT_MAX]);

#endif
