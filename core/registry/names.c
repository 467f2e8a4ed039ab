/* Names of DNS as services. See names.h. */
#include "registry/names.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/log_seldom.h"
#include "base/memory.h"
#include "registry/dns_load.h"

static struct {
    struct srv *srv; /* NULL: there is no dns.so */
    struct error missing;
    names_answer answer;
    void (*contact)(void);
} names;

static void changed(void *context, const char *name, const struct srv_row *rows, size_t count)
{
    struct directory_instance *instances = must_zalloc((count + 1) * sizeof(*instances));

    (void)context;
    for (size_t i = 0; i < count; i++)
        instances[i] = (struct directory_instance){.address = rows[i].address,
                                                   .service = "",
                                                   .weight = rows[i].weight,
                                                   .methods = UINT32_MAX};
    names.answer(name, instances, count);
    free(instances);
}

static void contact(void *context, const char *name, bool there, const char *why)
{
    (void)context;
    (void)name;
    (void)there;
    (void)why; /* the log has it */
    names.contact();
}

static bool read_servers(const struct settings *settings, struct resolver_servers *servers,
                         struct error *error)
{
    return resolver_servers_read(settings->resolver.items, settings->resolver.count,
                                 (uint32_t)settings->resolver_timeout_ms, servers, error);
}

bool names_begin(struct loop *loop, const struct settings *settings, names_answer answer,
                 void (*contact_changed)(void), struct error *error)
{
    static const struct srv_events events = {.changed = changed, .contact = contact};
    struct resolver_servers servers;
    bool own = settings->resolver.count > 0;

    if (own && !read_servers(settings, &servers, error))
        return false;
    names.answer = answer;
    names.contact = contact_changed;
    const struct dns_table *table = dns_load(&names.missing);
    if (table != NULL)
        names.srv = srv_open(loop, table, own ? &servers : NULL, &events, NULL);
    return true;
}

void names_set(const char *name, bool wanted)
{
    struct error error;

    if (names.srv == NULL) {
        if (wanted)
            log_error("srv:%s is not looked for: %s", name, names.missing.text);
        return;
    }
    if (!wanted)
        srv_unwant(names.srv, name);
    else if (!srv_want(names.srv, name, &error))
        log_seldom(LOG_ERROR_LEVEL, NULL, "%s", error.text);
}

struct srv_figures names_figures(void)
{
    return names.srv == NULL ? (struct srv_figures){0} : srv_figures(names.srv);
}

size_t names_ports(const struct settings *settings, uint16_t ports[RESOLVERS_MAX])
{
    struct resolver_servers servers;
    struct error error;
    size_t count = 0;

    if (settings->resolver.count == 0 || !read_servers(settings, &servers, &error))
        return 0;
    for (size_t i = 0; i < servers.count && i < RESOLVERS_MAX; i++) {
        const struct sockaddr_storage *socket = &servers.addresses[i].socket;
        ports[count++] =
            ntohs(socket->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)socket)->sin6_port
                                                : ((const struct sockaddr_in *)socket)->sin_port);
    }
    return count;
}
