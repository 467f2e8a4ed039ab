/* The proxy module with the registry process, a real etcd and a real dnsmasq: servers come, are
 * drained, quit and are killed under load, and every reply is right. */
#include "etcd_server.h"

#include "dns_server.h"
#include "harness.h"

static const char *etcd_url(void)
{
    static struct etcd_cluster cluster;

    cluster.parent = server_new()->prefix;
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    return cluster.urls[0];
}

static const char *registry(const char *url)
{
    return keep_printf("registry etcd %s { prefix /pillion/shop; ttl 2s; }", url);
}

/* A server that registers itself. */
static void serve(struct server *server, const char *url, const char *more)
{
    server_conf(
        server, keep_printf("%s load_module modules/later.so;", registry(url)),
        keep_printf("method ping; method wait; register 127.0.0.1:%d %s;", server->port, more));
    server_start_alone(server);
}

static struct server *in_front(const char *main_text, const char *upstream)
{
    return server_serve_alone(
        keep_printf("%s load_module modules/proxy.so { upstream %s; slow_start 0;"
                    "try_timeout 1s; timeout 10s; }",
                    main_text, upstream),
        "method ping { handler proxy.forward; idempotent on; }"
        "proxy_method wait { idempotent on; }"
        "method missing { handler proxy.forward; }");
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "proxy", name);
}

/* Calls of several clients, one after the other, each of which must be answered as it should. */
static void ask(int client, int count)
{
    for (int i = 0; i < count; i++)
        client_expect_alive(client);
}

static void gets_asked(int client, const struct server *server)
{
    double before = server_calls(server, "ping", "calls");

    wait_until((ask(client, 10), server_calls(server, "ping", "calls") > before),
               "it is not asked");
}

START_TEST(servers_are_added_drained_and_killed_under_load)
{
    const char *url = etcd_url();
    struct server *a = server_new(), *b = server_new(), *c = server_new();

    serve(a, url, "");
    struct server *front = in_front(registry(url), "registry:/pillion/shop");
    int client = client_connect(front);
    gets_asked(client, a);
    serve(b, url, "");
    gets_asked(client, b);
    serve(c, url, "");
    gets_asked(client, c);
    ck_assert_double_eq(metric(front, "servers"), 3);

    /* One quits: it is asked nothing more before it stops. */
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":300}}");
    kill(a->pid, SIGQUIT);
    wait_until((ask(client, 10), metric(front, "servers") == 2), "it is still there");
    server_wait_exit(a, PATIENCE_MS);
    ck_assert_double_eq(metric(front, "failed"), 0);
    ck_assert_double_eq(metric(front, "retried"), 0);

    /* One is killed with all its processes: until its lease has ended its place is known. */
    server_kill_all(b, SIGKILL);
    server_wait_exit(b, PATIENCE_MS);
    wait_until((ask(client, 10), metric(front, "servers") == 1), "it is still there");
    ck_assert_double_eq(metric(front, "failed"), 0);

    /* And is back. */
    serve(b, url, "weight=300");
    gets_asked(client, b);
    double calls = server_calls(b, "ping", "calls");
    ask(client, 400);
    calls = server_calls(b, "ping", "calls") - calls;
    ck_assert_msg(calls > 240 && calls < 360, "%.0f of 400", calls);

    client_send_frame(client, "{\"in\":\"missing\"}");
    expect_part(client_expect_error(client, "upstream_unavailable"), "no server offers it now");
}
END_TEST

START_TEST(a_first_request_waits_for_the_registrys_first_answer)
{
    const char *url = etcd_url();
    struct server *front = in_front(registry(url), "registry:/pillion/shop");
    int client = client_connect(front);

    /* Known and empty is an error at once; so this is about a server that was just started. */
    wait_until(strstr(client_ask(client, "{\"in\":\"missing\"}"), "no server offers it") != NULL,
               "the registry does not answer");
    struct server *a = server_new();
    serve(a, url, "");
    wait_until(strstr(client_ask(client, "{\"in\":\"wait\",\"params\":{\"ms\":1}}"), "later") !=
                   NULL,
               "it is not asked");
    struct server *late = server_new();
    server_conf(late,
                keep_printf("%s load_module modules/proxy.so { upstream registry:/pillion/shop; }",
                            registry(url)),
                "proxy_method wait;");
    server_spawn(late, (const char *const[]){"-g", "worker_processes 1;", NULL});
    int early = -1;
    wait_until((early = client_try_connect(late->port)) >= 0, "it does not listen");
    client_send_frame(early, "{\"in\":\"wait\",\"params\":{\"ms\":1}}");
    client_expect(early, "{\"out\":\"later\",\"result\":{\"ms\":1}}");
}
END_TEST

static const char *record(const struct server *server, int weight)
{
    return server == NULL ? ""
                          : keep_printf("srv-host=_pillion._tcp.shop.test,%s.shop.test,%d,0,%d\n"
                                        "host-record=%s.shop.test,127.0.0.1\n",
                                        weight == 1 ? "one" : "two", server->port, weight,
                                        weight == 1 ? "one" : "two");
}

static struct server *plain(void)
{
    return server_serve_with("worker_processes 1;", "load_module modules/later.so;",
                             "method ping; method wait;");
}

START_TEST(servers_of_dns_come_and_go)
{
    struct server *a = plain(), *b = plain();
    struct dns dns = {.server = a, .port = etcd_free_port()};

    dns_serve(&dns, "shop.test", keep_printf("local-ttl=1\n%s", record(a, 1)));
    struct server *front =
        in_front(keep_printf("resolver " DNS_HOST ":%d;", dns.port), "srv:_pillion._tcp.shop.test");
    int client = client_connect(front);
    gets_asked(client, a);
    dns_end(&dns);
    dns_serve(&dns, "shop.test", keep_printf("local-ttl=1\n%s%s", record(a, 1), record(b, 2)));
    gets_asked(client, b);
    dns_end(&dns);
    dns_serve(&dns, "shop.test", keep_printf("local-ttl=1\n%s", record(b, 2)));
    wait_until((ask(client, 10), metric(front, "servers") == 1), "the one that left is asked");
    gets_asked(client, b);
    /* Without any name server the last ones stay. */
    dns_end(&dns);
    ask(client, 100);
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

E2E_MAIN("proxy_registry", servers_are_added_drained_and_killed_under_load,
         a_first_request_waits_for_the_registrys_first_answer, servers_of_dns_come_and_go)
