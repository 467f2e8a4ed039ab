/* The addresses that a server registers: read, and compared with each other. See preflight.h. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "process/preflight.h"

/* Every address of a machine is none that another machine could call. */
static bool is_every(const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;

    if (address->socket.ss_family == AF_INET)
        return v4->sin_addr.s_addr == htonl(INADDR_ANY);
    return address->socket.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static bool has_no_port(const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;

    if (address->socket.ss_family == AF_INET)
        return v4->sin_port == 0;
    return address->socket.ss_family == AF_INET6 && v6->sin6_port == 0;
}

static bool is_loopback(const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;

    if (address->socket.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return address->socket.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool read_address(const struct conf_tree *tree, const struct register_settings *settings,
                         struct address *address, struct conf_errors *errors)
{
    struct error error;

    if (address_is_name(settings->address)) {
        conf_error(errors, &settings->place,
                   "\"register\" takes an address and no name, because those that call it look "
                   "nothing up: write the address of \"%s\"",
                   settings->address);
        return false;
    }
    if (!address_parse(settings->address, tree->prefix, false, address, &error)) {
        conf_error(errors, &settings->place, "%s", error.text);
        return false;
    }
    if (is_every(address) || has_no_port(address)) {
        conf_error(errors, &settings->place,
                   "\"register %s\" is no address that others can call: write the one of this "
                   "machine that they reach, with its port, as in \"register 10.0.0.5:8080\"",
                   settings->address);
        return false;
    }
    return true;
}

/* False, with an error, when the address is registered already. */
static bool check_apart(const struct registering *registering, const struct registered *now,
                        struct conf_errors *errors)
{
    for (size_t i = 0; i < registering->count; i++) {
        const struct conf_place *first = &registering->items[i].settings->place;
        if (strcmp(registering->items[i].address.text, now->address.text) != 0)
            continue;
        bool elsewhere = first->source != now->settings->place.source && first->source != NULL;
        conf_error(errors, &now->settings->place, "%s is registered already, by line %u%s%s",
                   now->address.text, first->line, elsewhere ? " of " : "",
                   elsewhere ? first->source->name : "");
        return false;
    }
    return true;
}

/* True when some member of the registry is another machine. */
static bool registry_is_elsewhere(const struct registry_settings *registry)
{
    bool elsewhere = false;

    for (size_t i = 0; registry != NULL && i < registry->urls.count; i++) {
        const char *host = strstr(registry->urls.items[i], "://") + 3;
        elsewhere = elsewhere || (strncmp(host, "127.", 4) != 0 && strncmp(host, "[::1]", 5) != 0 &&
                                  strncmp(host, "localhost:", 10) != 0);
    }
    return elsewhere;
}

bool preflight_registry(const struct conf_tree *tree, const struct settings *settings,
                        struct registering *registering, struct text *advice,
                        struct conf_errors *errors)
{
    unsigned before = errors->count;

    *registering = (struct registering){0};
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct register_settings *r = s->registers; r != NULL; r = r->next) {
            struct registered now = {.server = s, .settings = r};
            if (!read_address(tree, r, &now.address, errors) ||
                !check_apart(registering, &now, errors))
                continue;
            if (is_loopback(&now.address) && registry_is_elsewhere(settings->registry))
                text_printf(advice,
                            "\"register %s\" is an address of this machine alone, and the registry "
                            "is on another: servers there will call themselves\n",
                            r->address);
            registering->items = must_realloc(registering->items, (registering->count + 1) *
                                                                      sizeof(*registering->items));
            registering->items[registering->count++] = now;
        }
    }
    return errors->count == before;
}
