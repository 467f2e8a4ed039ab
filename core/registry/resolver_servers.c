/* Which name servers are asked: those of a directive, or of resolv.conf(5). See resolver.h. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "registry/resolver.h"

#define PORT       "53"
#define TIMEOUT_MS 5000u /* as resolv.conf(5) has them */
#define ROUNDS     2u

/* The text in the form that address_parse takes, with a port. */
static void with_port(const char *text, char *to, size_t size)
{
    const char *colon = strchr(text, ':');

    if (text[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL)
        snprintf(to, size, "[%s]:" PORT, text);
    else if (colon == NULL || (text[0] == '[' && text[strlen(text) - 1] == ']'))
        snprintf(to, size, "%s:" PORT, text);
    else
        snprintf(to, size, "%s", text);
}

bool resolver_server_parse(const char *text, struct address *address, struct error *error)
{
    char whole[ADDRESS_TEXT_SIZE];

    with_port(text, whole, sizeof(whole));
    if (strlen(text) + sizeof(PORT) + 3 > sizeof(whole) || strncmp(text, "unix:", 5) == 0 ||
        strchr("*.", whole[0]) != NULL || !address_parse(whole, NULL, false, address, error) ||
        (address->socket.ss_family != AF_INET && address->socket.ss_family != AF_INET6))
        return error_set(error,
                         "\"%s\" is no name server: write its address, and its port if that is not "
                         "53: 10.0.0.53, 127.0.0.1:5353 or [2001:db8::53]:53",
                         text);
    return true;
}

bool resolver_servers_read(const char *const *texts, size_t count, uint32_t timeout_ms,
                           struct resolver_servers *servers, struct error *error)
{
    *servers = (struct resolver_servers){.timeout_ms = timeout_ms, .rounds = ROUNDS};
    for (size_t i = 0; i < count && i < RESOLVER_SERVERS_MAX; i++) {
        if (!resolver_server_parse(texts[i], &servers->addresses[servers->count++], error))
            return false;
    }
    return servers->count > 0 || error_set(error, "there is no name server");
}

/* ---- Where no directive says so ---- */

bool resolver_conf_load(const struct dns_table *table, struct resolver_servers *servers,
                        struct error *error)
{
    struct dns_conf conf;
    char why[256];

    if (!table->conf(&conf, why, sizeof(why)))
        return error_set(error, "%s", why);
    *servers = (struct resolver_servers){.timeout_ms = conf.timeout_ms, .rounds = conf.rounds};
    for (size_t i = 0; i < conf.server_count; i++) {
        struct address *address = &servers->addresses[servers->count++];
        address->socket = conf.servers[i];
        address->size = address->socket.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                              : sizeof(struct sockaddr_in);
        address_format((const struct sockaddr *)&address->socket, address->size, address->text);
    }
    if (servers->count == 0)
        resolver_servers_default(servers);
    return true;
}

void resolver_servers_default(struct resolver_servers *servers)
{
    static const char *const own[] = {"127.0.0.1"};
    struct error error;

    resolver_servers_read(own, 1, TIMEOUT_MS, servers, &error);
}
