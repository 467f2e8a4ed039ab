/* Servers by DNS, from a real dnsmasq to a module: they come and go as its records do. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dns_server.h"
#include "harness.h"

#define ZONE "shop.test"
#define NAME "_pillion._tcp." ZONE

/* A server with a module that shows what it knows of these services, and the name server that it
 * asks. Nothing listens at the addresses. */
struct shop {
    struct server *server;
    struct dns dns;
    int client;
};

static void configure(const struct shop *shop, const char *services, const char *more)
{
    server_conf(shop->server,
                keep_printf("load_module modules/services.so { services %s; }\n"
                            "resolver " DNS_HOST ":%d; resolver_timeout 500ms; %s\n",
                            services, shop->dns.port, more),
                "method servers; method known;");
}

/* dnsmasq has these records, which hold for `ttl` seconds. */
static void publish(struct shop *shop, int ttl, const char *records)
{
    dns_serve(&shop->dns, ZONE,
              keep_printf("local-ttl=%d\nhost-record=one." ZONE ",10.0.0.1\n"
                          "host-record=two." ZONE ",10.0.0.2\n"
                          "host-record=six." ZONE ",2001:db8::6\n%s",
                          ttl, records));
}

static const char *record(const char *target, int port, int priority, int weight)
{
    return keep_printf("srv-host=" NAME ",%s." ZONE ",%d,%d,%d\n", target, port, priority, weight);
}

static struct shop open_shop(int ttl, const char *records)
{
    struct shop shop = {.server = server_new()};

    shop.dns = (struct dns){.server = shop.server, .port = free_port()};
    publish(&shop, ttl, records);
    configure(&shop, "srv:" NAME, "");
    server_start_alone(shop.server);
    shop.client = client_connect(shop.server);
    return shop;
}

/* What the module knows of a service: "10.0.0.1:8080 100, 10.0.0.2:8080 100". */
static const char *known_of(const struct shop *shop, int index)
{
    const char *reply =
        client_call(shop->client, "servers", keep_printf("{\"index\":%d,\"method\":\"\"}", index));
    cJSON *json = cJSON_Parse(reply);
    const cJSON *result = cJSON_GetObjectItem(json, "result"), *item;
    const char *text = "";

    ck_assert_msg(cJSON_IsArray(result), "%s", reply);
    cJSON_ArrayForEach(item, result)
    {
        int size = (int)(strrchr(item->valuestring, ' ') - item->valuestring);
        text = keep_printf("%s%s%.*s", text, text[0] == '\0' ? "" : ", ", size, item->valuestring);
    }
    cJSON_Delete(json);
    return text;
}

static bool is_known(const struct shop *shop, int index)
{
    return strstr(client_call(shop->client, "known",
                              keep_printf("{\"index\":%d,\"method\":\"\"}", index)),
                  "true") != NULL;
}

static void expect_known(const struct shop *shop, const char *servers)
{
    wait_until(strcmp(known_of(shop, 0), servers) == 0, "the servers are \"%s\" and not \"%s\"",
               known_of(shop, 0), servers);
}

/* The process that asks. */
static pid_t registry_of(const struct shop *shop)
{
    return server_child(shop->server, "pillion: registry");
}

static void close_shop(struct shop *shop)
{
    if (shop->dns.pid != 0)
        dns_end(&shop->dns);
}

/* ---- As DNS changes ---- */

START_TEST(servers_come_and_go_as_records_do)
{
    struct shop shop = open_shop(1, record("one", 8080, 10, 10));

    expect_known(&shop, "10.0.0.1:8080 100");
    publish(&shop, 1,
            keep_printf("%s%s%s", record("one", 8080, 10, 10), record("two", 8081, 10, 30),
                        record("six", 8082, 10, 0)));
    expect_known(&shop, "10.0.0.1:8080 333, 10.0.0.2:8081 1000, [2001:db8::6]:8082 1");
    publish(&shop, 1, record("two", 8081, 10, 30));
    expect_known(&shop, "10.0.0.2:8081 100");
    publish(&shop, 1, "");
    expect_known(&shop, "");
    ck_assert(is_known(&shop, 0));
    server_wait_log(shop.server, "DNS knows no servers; it is asked once more");
    publish(&shop, 1, record("one", 8080, 10, 10));
    expect_known(&shop, "10.0.0.1:8080 100");
    close_shop(&shop);
}
END_TEST

START_TEST(the_lowest_priority_with_servers_is_used)
{
    struct shop shop = open_shop(1, keep_printf("%s%s%s", record("nowhere", 1, 1, 0),
                                                record("two", 2, 2, 0), record("one", 3, 3, 0)));

    expect_known(&shop, "10.0.0.2:2 100");
    publish(&shop, 1, keep_printf("%s%s", record("two", 2, 2, 0), record("one", 1, 1, 0)));
    expect_known(&shop, "10.0.0.1:1 100");
    close_shop(&shop);
}
END_TEST

/* More records than a datagram holds. */
START_TEST(an_answer_that_is_cut_comes_by_tcp)
{
    const char *records = "", *expected = "";

    for (int i = 100; i < 190; i++) {
        records = keep_printf("%s%s", records, record("one", i, 10, 10));
        expected = keep_printf("%s%s10.0.0.1:%d 100", expected, i == 100 ? "" : ", ", i);
    }
    struct shop shop = open_shop(60, records);
    expect_known(&shop, expected);
    close_shop(&shop);
}
END_TEST

START_TEST(a_record_that_holds_is_not_asked_for_again)
{
    struct shop shop = open_shop(600, record("one", 8080, 10, 10));

    expect_known(&shop, "10.0.0.1:8080 100");
    ck_assert_uint_eq(dns_asked(&shop.dns, "query[SRV] " NAME), 1);
    publish(&shop, 600,
            keep_printf("%ssrv-host=_other._tcp." ZONE ",two." ZONE ",9\n",
                        record("two", 8080, 10, 10)));
    configure(&shop, "srv:" NAME " srv:_other._tcp." ZONE, "");
    server_reload(shop.server);
    wait_until(strcmp(known_of(&shop, 1), "10.0.0.2:9 100") == 0, "the new service is not found");
    expect_known(&shop, "10.0.0.1:8080 100");
    ck_assert_uint_eq(dns_asked(&shop.dns, "query[SRV] " NAME), 0);
    close_shop(&shop);
}
END_TEST

/* ---- Failures ---- */

START_TEST(the_last_set_stays_while_no_name_server_answers)
{
    struct shop shop = open_shop(1, record("one", 8080, 10, 10));

    expect_known(&shop, "10.0.0.1:8080 100");
    dns_end(&shop.dns);
    server_wait_log(shop.server, "the 1 servers that are known stay in use");
    wait_until(server_stat(shop.server, "registry.dns.names_unanswered") == 1,
               "the trouble is not among the figures");
    struct run run = pillion("status", "--prometheus", "-p", shop.server->prefix);
    expect_status(&run, 0);
    expect_part(run.out, "\npillion_dns_names_unanswered 1\n");
    expect_known(&shop, "10.0.0.1:8080 100");
    server_reload(shop.server);
    expect_known(&shop, "10.0.0.1:8080 100");
    /* Another process knows what the one before it knew. */
    pid_t registry = registry_of(&shop);
    ck_assert_int_gt(registry, 0);
    kill(registry, SIGKILL);
    wait_until(registry_of(&shop) != 0 && registry_of(&shop) != registry,
               "no other process asks DNS");
    expect_known(&shop, "10.0.0.1:8080 100");
    ck_assert(is_known(&shop, 0));
    publish(&shop, 1, record("two", 8080, 10, 10));
    expect_known(&shop, "10.0.0.2:8080 100");
    server_wait_log(shop.server, "DNS answers again");
    wait_until(server_stat(shop.server, "registry.dns.names_unanswered") == 0,
               "the trouble stays among the figures");
    close_shop(&shop);
}
END_TEST

START_TEST(a_name_server_that_is_not_there_is_left_for_the_next)
{
    struct shop shop = {.server = server_new()};

    shop.dns = (struct dns){.server = shop.server, .port = free_port()};
    publish(&shop, 1, record("one", 8080, 10, 10));
    server_conf(shop.server,
                keep_printf("load_module modules/services.so { services srv:" NAME "; }\n"
                            "resolver " DNS_HOST ":%d " DNS_HOST ":%d;\n",
                            free_port(), shop.dns.port),
                "method servers;");
    server_start(shop.server);
    shop.client = client_connect(shop.server);
    expect_known(&shop, "10.0.0.1:8080 100");
    close_shop(&shop);
}
END_TEST

/* Who may not connect may not have others tell strangers a name, either. */
START_TEST(services_are_looked_for_where_modules_need_the_network)
{
    const struct shop shop = {.server = server_new()};
    struct server *server = shop.server;

    server->reports_allowed = true;
    server_conf(
        server,
        "load_module modules/services.so needs=none { services srv:secret.strangers.test; }",
        "method servers; method ping;");
    server_start(server);
    server_wait_log(server, "wants the service \"srv:secret.strangers.test\", but none of its "
                            "modules needs the network");
    client_expect_alive(client_connect(server));
    ck_assert_int_eq(registry_of(&shop), 0);
}
END_TEST

/* ---- Calls ---- */

/* A server behind, which answers pings. */
static struct server *behind(void)
{
    return server_serve_alone("", "method ping;");
}

static double pings_of(const struct server *server)
{
    return server_calls(server, "ping", "calls");
}

static const char *records_of(const struct server *one, const struct server *two)
{
    const char *host = "host-record=here." ZONE ",127.0.0.1\n";
    const char *first = one == NULL ? "" : record("here", one->port, 10, 10);

    return keep_printf("%s%s%s", host, first, two == NULL ? "" : record("here", two->port, 10, 10));
}

/* So many calls by the proxy, all of which are answered. */
static void calls(const struct shop *shop, int count)
{
    for (int i = 0; i < count; i++)
        expect_text(client_call(shop->client, "ping", "1"), "{\"out\":\"pong\",\"result\":1}");
}

static struct shop open_proxy(const char *records)
{
    struct shop shop = {.server = server_new()};

    shop.dns = (struct dns){.server = shop.server, .port = free_port()};
    publish(&shop, 1, records);
    server_conf(shop.server,
                keep_printf("load_module modules/proxy.so { upstream srv:" NAME "; }\n"
                            "resolver " DNS_HOST ":%d; resolver_timeout 500ms;\n",
                            shop.dns.port),
                "proxy_method ping { idempotent on; }");
    server_start_alone(shop.server);
    shop.client = client_connect(shop.server);
    return shop;
}

START_TEST(a_proxy_calls_the_servers_that_dns_names)
{
    struct server *one = behind(), *two = behind();
    struct shop shop = open_proxy(records_of(one, NULL));

    calls(&shop, 20);
    ck_assert_int_eq((int)pings_of(one), 20);
    publish(&shop, 1, records_of(one, two));
    wait_until((calls(&shop, 1), pings_of(two) > 0), "the new server is not called");
    publish(&shop, 1, records_of(NULL, two));
    server_wait_log(shop.server, keep_printf("1 servers: 127.0.0.1:%d", two->port));
    wait_until(({
                   double before = pings_of(one);
                   calls(&shop, 20);
                   pings_of(one) <= before;
               }),
               "a server that DNS does not name any more is called");
    /* Neither does a call go through DNS, nor does a server's end wait for it. */
    dns_end(&shop.dns);
    server_wait_log(shop.server, "stay in use");
    calls(&shop, 20);
    publish(&shop, 1, "");
    server_wait_log(shop.server, "0 servers");
    wait_until(strstr(client_call(shop.client, "ping", "1"), "upstream_unavailable") != NULL,
               "a service without servers answers");
    close_shop(&shop);
}
END_TEST

/* ---- What it takes ---- */

START_TEST(dns_so_alone_is_needed_and_its_want_is_told_by_the_test)
{
    struct shop shop = {.server = server_new()};
    const char *binary = server_path(shop.server, "pillion");

    shop.dns = (struct dns){.server = shop.server, .port = free_port()};
    publish(&shop, 1, record("one", 8080, 10, 10));
    configure(&shop, "srv:" NAME, "");
    file_copy(pillion_binary(), binary);
    ck_assert_int_eq(chmod(binary, 0755), 0);
    if (access("/usr/local/lib/pillion/dns.so", F_OK) != 0) { /* an installed one would be found */
        struct run run =
            run_command((const char *const[]){binary, "-t", "-p", shop.server->prefix, NULL}, NULL,
                        PATIENCE_MS);
        expect_status(&run, 1);
        expect_part(run.err, "pillion.conf:");
        expect_part(run.err, "\"srv:" NAME "\": asking DNS needs dns.so, which cannot be loaded");
    }
    file_copy(keep_printf("%s/dns.so", getenv("PILLION_BUILD")),
              server_path(shop.server, "dns.so"));
    server_run(shop.server, (const char *const[]){binary, "-p", shop.server->prefix, "-g",
                                                  "worker_processes 1;", NULL});
    server_wait_ready(shop.server);
    shop.client = client_connect(shop.server);
    expect_known(&shop, "10.0.0.1:8080 100");
    close_shop(&shop);
}
END_TEST

/* The server has a /etc/resolv.conf of its own, which is the file "resolv.conf" of its prefix. */
static bool run_with_resolv_conf(struct server *server)
{
    const char *script =
        keep_printf("exec unshare -m sh -c 'mount --bind %s /etc/resolv.conf && exec \"$@\"' sh "
                    "\"$@\"",
                    server_path(server, "resolv.conf"));
    struct run run = run_command((const char *const[]){"/bin/sh", "-c", script, "sh", "true", NULL},
                                 NULL, PATIENCE_MS);

    if (run.status != 0) {
        fprintf(stderr, "left out: this machine permits no other /etc/resolv.conf\n");
        return false;
    }
    server_run(server, (const char *const[]){"/bin/sh", "-c", script, "sh", pillion_binary(), "-p",
                                             server->prefix, "-g", "worker_processes 1;", NULL});
    return true;
}

/* An address of this test's own: resolv.conf(5) has no ports. NULL: this machine permits none. */
static const char *host_with_port_53(int number)
{
    struct sockaddr_in socket_address = {.sin_family = AF_INET, .sin_port = htons(53)};
    uint32_t host = 0x7f400000u + ((unsigned)getpid() * 4 + (unsigned)number) % 0x3ffffe;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    socket_address.sin_addr.s_addr = htonl(host);
    bool free = bind(fd, (struct sockaddr *)&socket_address, sizeof(socket_address)) == 0;
    close(fd);
    if (!free)
        fprintf(stderr, "left out: this machine permits no name server at port 53\n");
    return free ? keep_printf("127.%u.%u.%u", host >> 16 & 255, host >> 8 & 255, host & 255) : NULL;
}

START_TEST(without_a_resolver_it_is_resolv_conf_which_is_followed)
{
    const char *nobody = host_with_port_53(1), *host = host_with_port_53(2);
    struct shop shop = {.server = server_new()};

    if (nobody == NULL || host == NULL)
        return;
    shop.dns = (struct dns){.server = shop.server, .host = host, .port = 53};
    server_conf(shop.server, "load_module modules/services.so { services srv:" NAME "; }",
                "method servers; method known;");
    server_write(shop.server, "resolv.conf", "nameserver %s\noptions timeout:1\n", nobody);
    if (!run_with_resolv_conf(shop.server))
        return;
    server_wait_ready(shop.server);
    shop.client = client_connect(shop.server);
    server_wait_log(shop.server, "what was known stays in use");
    ck_assert(!is_known(&shop, 0));
    publish(&shop, 1, record("one", 8080, 10, 10));
    server_write(shop.server, "resolv.conf", "nameserver %s\n", host);
    expect_known(&shop, "10.0.0.1:8080 100");
    close_shop(&shop);
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused)
{
    struct shop shop = {.server = server_new(), .dns = {.port = 53}};

    configure(&shop, "srv:_pillion._tcp.shop..test", "");
    struct run run = pillion("-t", "-p", shop.server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "srv:_pillion._tcp.shop..test");
    server_conf(shop.server, "resolver dns.example;", "");
    run = pillion("-t", "-p", shop.server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "a name server is written as its address");
}
END_TEST

E2E_MAIN("srv", servers_come_and_go_as_records_do, the_lowest_priority_with_servers_is_used,
         an_answer_that_is_cut_comes_by_tcp, a_record_that_holds_is_not_asked_for_again,
         the_last_set_stays_while_no_name_server_answers,
         a_name_server_that_is_not_there_is_left_for_the_next,
         services_are_looked_for_where_modules_need_the_network,
         a_proxy_calls_the_servers_that_dns_names,
         dns_so_alone_is_needed_and_its_want_is_told_by_the_test,
         without_a_resolver_it_is_resolv_conf_which_is_followed, what_cannot_be_asked_is_refused)
