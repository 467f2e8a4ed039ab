/* Names of services. See service_name.h. */
#include "base/service_name.h"

#include <stdio.h>
#include <string.h>

static const char registered[] = "registry:", looked_up[] = "srv:";

bool service_name_is_registered(const char *text)
{
    return strncmp(text, registered, strlen(registered)) == 0;
}

static bool is_looked_up(const char *text)
{
    return strncmp(text, looked_up, strlen(looked_up)) == 0;
}

bool service_name_is(const char *text)
{
    return service_name_is_registered(text) || is_looked_up(text);
}

/* A key of a registry: what people write without quotes, in a configuration and in a shell. */
static bool path_check(const char *text, const char *path, struct error *error)
{
    if (path[0] != '/')
        return error_set(error,
                         "\"%s\": write a path behind \"registry:\", as in "
                         "registry:/pillion/shop",
                         text);
    if (strstr(path, "//") != NULL)
        return error_set(error, "\"%s\" has an empty part between two slashes", text);
    for (const char *c = path; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || strchr("\"'\\{};#", *c) != NULL)
            return error_set(error,
                             "\"%s\": a service's path has letters, digits and -._~/@:+, "
                             "and no such byte as the %td. one",
                             text, c - text + 1);
    }
    return true;
}

/* RFC 1035 2.3.4: a label has at most 63 bytes, a name 253. Labels of services begin with "_". */
static bool host_check(const char *text, const char *host, struct error *error)
{
    size_t label = 0;

    if (host[0] == '\0')
        return error_set(error,
                         "\"%s\": write a name of DNS behind \"srv:\", as in "
                         "srv:_pillion._tcp.shop.example",
                         text);
    for (const char *c = host; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        bool good = letter || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' ||
                    (*c == '.' && label > 0);
        if (!good || (*c != '.' && ++label > 63))
            return error_set(error,
                             "\"%s\" is no name of DNS: it has labels of letters, digits, \"-\" "
                             "and \"_\", 1 to 63 of them, with one dot between two labels",
                             text);
        if (*c == '.')
            label = 0;
    }
    return true;
}

bool service_name_check(const char *text, struct error *error)
{
    if (!service_name_is(text))
        return error_set(error, "\"%s\" names no service: write registry:/PATH or srv:NAME", text);
    if (strlen(text) > SERVICE_NAME_MAX)
        return error_set(error, "\"%.40s…\": the name of a service has at most %u bytes", text,
                         SERVICE_NAME_MAX);
    return service_name_is_registered(text) ? path_check(text, text + strlen(registered), error)
                                            : host_check(text, text + strlen(looked_up), error);
}

bool service_path_check(const char *path, struct error *error)
{
    char text[SERVICE_NAME_MAX + 2]; /* one that is too long is cut to one that is too long */

    snprintf(text, sizeof(text), "%s%s", registered, path);
    if (!service_name_check(text, error))
        return false;
    if (path[strlen(path) - 1] == '/')
        return error_set(error, "\"%s\" ends with a slash, and stands for all services below it",
                         text);
    return true;
}
