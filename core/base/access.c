/* Rules of access. See access.h. */
#include "base/access.h"

#include <netinet/in.h>
#include <string.h>

bool access_parse(const char *text, struct access_rule *rule, struct error *error)
{
    bool allows = rule->allows;

    *rule = (struct access_rule){.of = ACCESS_ALL, .allows = allows};
    if (strcmp(text, "all") == 0)
        return true;
    rule->of = ACCESS_UNIX;
    if (strcmp(text, "unix:") == 0)
        return true;
    rule->of = ACCESS_NETWORK;
    return network_parse(text, &rule->network, error);
}

const struct sockaddr *access_plain(const struct sockaddr *address, struct sockaddr_storage *room)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (address->sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return address;
    four.sin_port = six->sin6_port;
    memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], sizeof(four.sin_addr));
    memcpy(room, &four, sizeof(four));
    return (const struct sockaddr *)room;
}

bool access_allows(const struct access_rule *rules, size_t count, const struct sockaddr *address)
{
    struct sockaddr_storage room;
    const struct sockaddr *plain = access_plain(address, &room);
    bool local = plain->sa_family != AF_INET && plain->sa_family != AF_INET6;

    for (size_t i = 0; i < count; i++) {
        const struct access_rule *rule = &rules[i];
        if (local ? rule->of == ACCESS_UNIX
                  : rule->of == ACCESS_ALL ||
                        (rule->of == ACCESS_NETWORK && network_has(&rule->network, plain)))
            return rule->allows;
    }
    return true;
}
