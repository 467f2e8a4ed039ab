/* See dns_name.h. */
#include "registry/dns_name.h"

#include <string.h>

#include "registry/dns.h"

#define LABEL_MAX 63

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool dns_name_check(const char *name, const char **why)
{
    size_t size = strlen(name), label = 0;

    if (size > 0 && name[size - 1] == '.')
        size--;
    *why = size == 0              ? "it is empty"
           : size >= DNS_NAME_MAX ? "it has more than 253 characters"
                                  : NULL;
    for (size_t i = 0; i < size && *why == NULL; i++) {
        label = name[i] == '.' ? 0 : label + 1;
        if (name[i] == '.' && (i == 0 || name[i - 1] == '.' || i + 1 == size))
            *why = "it has an empty part between dots";
        else if (name[i] != '.' && !is_plain(name[i]))
            *why = "it may have letters, digits, \"-\", \"_\" and dots alone";
        else if (label > LABEL_MAX)
            *why = "it has a part of more than 63 characters";
    }
    return *why == NULL;
}
