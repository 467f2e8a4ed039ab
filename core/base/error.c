/* Errors as values. See error.h. */
#include "base/error.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* For EFBIG: the limit on the size of files, which holds for memory files too (setrlimit(2)). */
static void describe_limit(char *text, size_t size)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(text, size, "; RLIMIT_FSIZE (`ulimit -f`) allows files of %llu bytes",
                 (unsigned long long)limit.rlim_cur);
}

/* Adds an explanation of the error, if there is one: the limit, or " for the user nobody". A user
 * without a name is given by number. */
static void describe_cause(int number, char *text, size_t size)
{
    uid_t id = geteuid();
    struct passwd entry, *user = NULL;
    char buffer[1024];

    text[0] = '\0';
    if (number == EFBIG)
        describe_limit(text, size);
    if (number != EACCES && number != EPERM)
        return;
    if (getpwuid_r(id, &entry, buffer, sizeof(buffer), &user) == 0 && user != NULL)
        snprintf(text, size, " for the user %s", user->pw_name);
    else
        snprintf(text, size, " for the user %u", (unsigned)id);
}

bool error_errno_v(struct error *error, const char *format, va_list args)
{
    int number = errno;
    char cause[128];

    int size = vsnprintf(error->text, sizeof(error->text), format, args);
    const char *name = strerrorname_np(number);
    describe_cause(number, cause, sizeof(cause));
    if (size >= 0 && (size_t)size < sizeof(error->text))
        snprintf(error->text + size, sizeof(error->text) - (size_t)size, ": %s (%s)%s",
                 strerrordesc_np(number) == NULL ? "unknown error" : strerrordesc_np(number),
                 name == NULL ? "?" : name, cause);
    return false;
}

bool error_errno(struct error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_errno_v(error, format, args);
    va_end(args);
    return false;
}
