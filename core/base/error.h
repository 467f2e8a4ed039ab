/* An error that travels as a value: a sentence that says what, where and what to do.
 *
 * Functions that can fail because of an operator, a client or the system take a `struct error *`,
 * fill it and return false (or -1, or NULL). A mistake of the program itself ends it by abort(). */
#ifndef PILLION_BASE_ERROR_H
#define PILLION_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define ERROR_TEXT_MAX 1024

struct error {
    char text[ERROR_TEXT_MAX]; /* "" when there is none; cut at the end, never overrun */
};

/* Replaces the text. Always returns false, so that `return error_set(…)` reads as it means. */
__attribute__((format(printf, 2, 3))) bool error_set(struct error *error, const char *format, ...);

/* Puts "prefix: " in front of the text that is there. Always returns false. */
__attribute__((format(printf, 2, 3))) bool error_prefix(struct error *error, const char *format,
                                                        ...);

/* error_set with ": " and the words for `errno` at the end (and the number's name). Of a missing
 * permission they say which user lacks it. */
__attribute__((format(printf, 2, 3))) bool error_errno(struct error *error, const char *format,
                                                       ...);
__attribute__((format(printf, 2, 0))) bool error_errno_v(struct error *error, const char *format,
                                                         va_list args);

#endif
