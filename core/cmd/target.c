/* The server that a command calls. See target.h. */
#include "cmd/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/address.h"

#define TLS_PREFIX "tls:"

/* True for "host" and "[::1]", which lack a port. */
static bool lacks_port(const char *given)
{
    const char *end = given[0] == '[' ? strchr(given, ']') : NULL;

    if (given[0] == '[')
        return end != NULL && end[1] == '\0';
    return strchr(given, ':') == NULL;
}

/* True for "::1": more than one colon, and no brackets. */
static bool lacks_brackets(const char *given)
{
    const char *colon = strchr(given, ':');

    return given[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL;
}

int target_read(const struct command *self, const char *option, const char *form, const char *given,
                char target[TARGET_SIZE], bool *tls)
{
    const char *what = option;
    struct error error;
    int size;

    if (given == NULL && (given = getenv(TARGET_VARIABLE)) != NULL)
        what = TARGET_VARIABLE;
    if (given == NULL || (given[0] == '\0' && what[0] != '-'))
        given = TARGET_HOST;
    if (tls != NULL && strncmp(given, TLS_PREFIX, sizeof(TLS_PREFIX) - 1) == 0) {
        given += sizeof(TLS_PREFIX) - 1;
        *tls = true;
    }
    if (given[0] == '\0')
        return command_misused(self, "%s takes %s, not \"\"", what, form);
    if (strncmp(given, "unix:", 5) == 0)
        size = snprintf(target, TARGET_SIZE, "%s", given);
    else if (lacks_brackets(given))
        size = snprintf(target, TARGET_SIZE, "[%s]:%s", given, TARGET_PORT);
    else
        size =
            snprintf(target, TARGET_SIZE, "%s%s", given, lacks_port(given) ? ":" TARGET_PORT : "");
    if (size >= (int)TARGET_SIZE)
        return command_misused(self, "%s is too long for an address", what);
    if (!address_check(target, &error))
        return command_misused(self, "%s takes %s: %s", what, form, error.text);
    return 0;
}
