/* Errors as values. See error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return false;
}

bool error_prefix(struct error *error, const char *format, ...)
{
    char old[ERROR_TEXT_MAX];
    va_list args;

    memcpy(old, error->text, sizeof(old));
    va_start(args, format);
    int size = vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    size_t used = size < 0 ? 0 : (size_t)size;
    if (used + 2 < sizeof(error->text)) {
        size_t room = sizeof(error->text) - used - 3, length = strnlen(old, room);
        memcpy(error->text + used, ": ", 2);
        memcpy(error->text + used + 2, old, length);
        error->text[used + 2 + length] = '\0';
    }
    return false;
}

bool error_errno(struct error *error, const char *format, ...)
{
    int number = errno;
    va_list args;

    va_start(args, format);
    int size = vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    const char *name = strerrorname_np(number);
    if (size >= 0 && (size_t)size < sizeof(error->text))
        snprintf(error->text + size, sizeof(error->text) - (size_t)size, ": %s (%s)",
                 strerrordesc_np(number) == NULL ? "unknown error" : strerrordesc_np(number),
                 name == NULL ? "?" : name);
    return false;
}
