/* The addresses to listen on: read, looked up, and compared with each other. See preflight.h. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "process/lookup.h"
#include "process/preflight.h"

/* Reads the port, and whether the address stands for every address of its family. False for Unix
 * sockets. */
static bool read_port(const struct address *address, in_port_t *port, bool *every)
{
    if (address->socket.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
        *port = v4->sin_port;
        *every = v4->sin_addr.s_addr == htonl(INADDR_ANY);
        return true;
    }
    if (address->socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;
        *port = v6->sin6_port;
        *every = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
        return true;
    }
    return false;
}

/* See SO_REUSEADDR and SO_REUSEPORT in socket(7). IPv4 and IPv6 never conflict: listeners set
 * IPV6_V6ONLY. */
bool preflight_conflict(const struct address *one, bool one_reuseport, const struct address *other,
                        bool other_reuseport)
{
    in_port_t one_port, other_port;
    bool one_every, other_every;

    if (strcmp(one->text, other->text) == 0)
        return true;
    if (one->socket.ss_family != other->socket.ss_family || (one_reuseport && other_reuseport) ||
        !read_port(one, &one_port, &one_every) || !read_port(other, &other_port, &other_every))
        return false;
    return one_port == other_port && (one_every || other_every);
}

static void report_conflict(const struct heard *now, const struct heard *before,
                            struct conf_errors *errors)
{
    const struct conf_place *place = &now->listen->place, *first = &before->listen->place;
    bool same = strcmp(now->address.text, before->address.text) == 0;
    bool elsewhere = first->source != place->source;
    const char *file = elsewhere && first->source != NULL ? first->source->name : "";

    if (same)
        conf_error(errors, place, "%s is listened on already, by line %u%s%s", now->address.text,
                   first->line, *file == '\0' ? "" : " of ", file);
    else
        conf_error(errors, place,
                   "%s and %s, on line %u%s%s, cannot both be listened on, because one is every "
                   "address of that port; leave one of them out, or give both reuseport",
                   now->address.text, before->address.text, first->line,
                   *file == '\0' ? "" : " of ", file);
}

/* Adds an address, unless it conflicts with an earlier one. An address that the same directive has
 * given already, because a name has it twice, is skipped. */
static bool hear(struct hearing *hearing, const struct heard *now, struct conf_errors *errors)
{
    for (size_t i = 0; i < hearing->count; i++) {
        const struct heard *before = &hearing->items[i];
        if (!preflight_conflict(&before->address, before->listen->reuseport, &now->address,
                                now->listen->reuseport))
            continue;
        if (before->listen == now->listen)
            return true;
        report_conflict(now, before, errors);
        return false;
    }
    hearing->items = must_realloc(hearing->items, (hearing->count + 1) * sizeof(*hearing->items));
    hearing->items[hearing->count++] = *now;
    return true;
}

/* False when a bind shows that this machine does not have the address: /etc/hosts names ::1 even
 * where there is no IPv6. */
static bool is_here(const struct address *address)
{
    struct sockaddr_storage any_port = address->socket;

    if (any_port.ss_family == AF_INET)
        ((struct sockaddr_in *)&any_port)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&any_port)->sin6_port = 0;
    int fd = socket(any_port.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (struct sockaddr *)&any_port, address->size) == 0;
    here = here || (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT);
    if (fd >= 0)
        close(fd);
    return here;
}

/* Adds the addresses of a name that this machine has. There must be at least one. */
static bool hear_name(struct hearing *hearing, struct heard *heard, const struct lookup *lookup,
                      struct conf_errors *errors)
{
    const struct lookup_result *result = &lookup->result;
    size_t here = 0;
    bool good = true;

    if (result->count == 0) {
        conf_error(errors, &heard->listen->place, "%s", result->error.text);
        return false;
    }
    for (size_t i = 0; i < result->count; i++) {
        heard->address = result->addresses[i];
        if (is_here(&heard->address)) {
            here++;
            good = hear(hearing, heard, errors) && good;
        } else {
            log_notice("\"%s\" is also %s, which is no address of this machine: it is left out",
                       lookup->text, heard->address.text);
        }
    }
    if (here > 0)
        return good;
    conf_error(errors, &heard->listen->place, "\"%s\" is %s%s, which is no address of this machine",
               lookup->text, heard->address.text, result->count > 1 ? " and others" : "");
    return false;
}

/* Looks all host names of the configuration up at the same time. The results are in the order of
 * the directives. */
static struct lookup *look_names_up(const struct settings *settings)
{
    struct lookup *lookups = NULL;
    size_t count = 0;

    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct listen_settings *l = s->listens; l != NULL; l = l->next) {
            if (!address_is_name(l->address))
                continue;
            lookups = must_realloc(lookups, (count + 1) * sizeof(*lookups));
            lookups[count++].text = l->address;
        }
    }
    lookup_all(lookups, count, settings->lookup_timeout_ms);
    return lookups;
}

bool preflight_addresses(const struct conf_tree *tree, const struct settings *settings,
                         struct hearing *hearing, struct conf_errors *errors)
{
    struct lookup *lookups = look_names_up(settings), *lookup = lookups;
    struct error error;
    bool good = true;

    *hearing = (struct hearing){0};
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct listen_settings *l = s->listens; l != NULL; l = l->next) {
            struct heard heard = {.server = s, .listen = l};
            if (address_is_name(l->address)) {
                good = hear_name(hearing, &heard, lookup++, errors) && good;
            } else if (address_parse(l->address, tree->prefix, false, &heard.address, &error)) {
                good = hear(hearing, &heard, errors) && good;
                if (heard.address.socket.ss_family == AF_UNIX)
                    good = preflight_socket(tree, settings, &heard, errors) && good;
            } else {
                conf_error(errors, &l->place, "%s", error.text);
                good = false;
            }
        }
    }
    free(lookups);
    return good;
}
