/* See conf.h. c-ares reads the name servers of resolv.conf(5), with ports, which glibc does not
 * know; glibc reads its `timeout` and `attempts`, which c-ares 1.18 does not know. */
#include "conf.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

static void add_server(struct dns_conf *conf, const struct ares_addr_port_node *node)
{
    struct sockaddr_storage *server = &conf->servers[conf->server_count];
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    in_port_t port = htons(node->udp_port == 0 ? NAMESERVER_PORT : (uint16_t)node->udp_port);

    if (conf->server_count == DNS_NAME_SERVERS_MAX)
        return;
    memset(server, 0, sizeof(*server));
    if (node->family == AF_INET6) {
        memcpy(&six.sin6_addr, &node->addr.addr6, sizeof(six.sin6_addr));
        six.sin6_port = port;
        memcpy(server, &six, sizeof(six));
    } else {
        four.sin_addr = node->addr.addr4;
        four.sin_port = port;
        memcpy(server, &four, sizeof(four));
    }
    conf->server_count++;
}

static int read_servers(struct dns_conf *conf)
{
    char lookups[] = "b";
    struct ares_options options = {.lookups = lookups};
    struct ares_addr_port_node *nodes = NULL;
    ares_channel channel;
    int status = ares_init_options(&channel, &options, ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS);

    if (status != ARES_SUCCESS)
        return status;
    status = ares_get_servers_ports(channel, &nodes);
    ares_destroy(channel);
    for (const struct ares_addr_port_node *node = nodes; node != NULL; node = node->next)
        add_server(conf, node);
    if (nodes != NULL)
        ares_free_data(nodes);
    return status;
}

bool conf_read(struct dns_conf *conf, char *why, size_t size)
{
    struct dns_conf found = {0};
    struct __res_state state = {0};
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status == ARES_SUCCESS) {
        status = read_servers(&found);
        ares_library_cleanup();
    }
    if (status != ARES_SUCCESS || res_ninit(&state) != 0) {
        snprintf(why, size, "cannot read \"%s\": %s", _PATH_RESCONF,
                 status == ARES_SUCCESS ? "out of memory" : ares_strerror(status));
        return false;
    }
    found.timeout_ms = (uint32_t)(state.retrans < 1 ? 1 : state.retrans) * 1000;
    found.rounds = (uint32_t)(state.retry < 1 ? 1 : state.retry);
    res_nclose(&state);
    *conf = found;
    return true;
}
