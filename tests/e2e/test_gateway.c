/* A gateway in front of services that a real etcd knows: it serves their methods without naming
 * them, and follows them without an order. */
#include "etcd_server.h"

#include <sys/stat.h>

#include "harness.h"
#include "relay.h"

/* Its folder goes with that of a server. */
static struct etcd_cluster *etcd_new(void)
{
    struct etcd_cluster *etcd = keep(calloc(1, sizeof(*etcd)));

    etcd->parent = server_new()->prefix;
    etcd_cluster_start(etcd);
    etcd_cluster_wait(etcd);
    return etcd;
}

/* A server that registers itself as one of /pillion/NAME. */
static struct server *serve_as(const struct etcd_cluster *etcd, const char *name,
                               const char *main_text, const char *methods)
{
    struct server *server = server_new();

    server_conf(server,
                keep_printf("registry etcd %s { prefix /pillion/%s; ttl 2s; } %s", etcd->urls[0],
                            name, main_text),
                keep_printf("register 127.0.0.1:%d; %s", server->port, methods));
    server_start(server);
    return server;
}

#define HELLO    "load_module modules/hello.so { greeting Hi; }"
#define INTERVAL "proxy_all_interval 200ms; proxy_all_keep 500ms;"

static void gateway_conf(struct server *server, const struct etcd_cluster *etcd,
                         const char *main_text, const char *server_text)
{
    server_conf(
        server,
        keep_printf("registry etcd %s; load_module modules/proxy.so; %s", etcd->urls[0], main_text),
        keep_printf("method rpc.list; method rpc.describe; method rpc.discover; %s", server_text));
}

static struct server *gateway_of(const struct etcd_cluster *etcd, const char *server_text)
{
    struct server *server = server_new();

    gateway_conf(server, etcd, INTERVAL, server_text);
    server_start(server);
    return server;
}

/* ---- What a gateway has ---- */

static const char *ask(const struct server *server, const char *body)
{
    int client = client_connect(server);
    const char *reply = client_ask(client, body);

    close(client);
    return reply;
}

static bool has(const struct server *server, const char *method)
{
    return strstr(ask(server, "{\"in\":\"rpc.list\"}"), keep_printf("\"%s\"", method)) != NULL;
}

static void wait_for(const struct server *server, const char *method, bool there)
{
    wait_until(has(server, method) == there, "%s is%s served by the gateway", method,
               there ? " not" : " still");
}

#define GREET "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}"

START_TEST(methods_of_every_service_are_served_without_a_name)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");

    ck_assert(!has(gateway, "greet"));
    serve_as(etcd, "hello", HELLO, "method greet;");
    serve_as(etcd, "ping", "", "method ping;");
    wait_for(gateway, "greet", true);
    wait_for(gateway, "ping", true);
    expect_text(ask(gateway, GREET), "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
    expect_text(ask(gateway, "{\"in\":\"ping\",\"params\":7}"), "{\"out\":\"pong\",\"result\":7}");
    /* By the schema that the service has declared. */
    expect_part(ask(gateway, "{\"in\":\"greet\",\"params\":{\"name\":5}}"), "invalid_params");
    expect_part(ask(gateway, "{\"in\":\"rpc.describe\",\"params\":{\"method\":\"greet\"}}"),
                "\"params\":{\"type\":\"object\"");
    expect_part(ask(gateway, "{\"in\":\"rpc.discover\"}"), "\"name\":\"greet\"");
    if (!command_exists("curl"))
        return;
    const char *url = keep_printf("http://127.0.0.1:%d/mcp", gateway->port);
    struct run run = run_command(
        (const char *const[]){"/usr/bin/curl", "-s", "-d",
                              "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":"
                              "{\"name\":\"greet\",\"arguments\":{\"name\":\"Ada\"}}}",
                              url, NULL},
        NULL, PATIENCE_MS);
    expect_part(run.out, "Hi, Ada!");
    run = run_command((const char *const[]){"/usr/bin/curl", "-s", "-d",
                                            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                            "\"tools/list\"}",
                                            url, NULL},
                      NULL, PATIENCE_MS);
    expect_part(run.out, "\"name\":\"greet\"");
}
END_TEST

START_TEST(methods_come_and_go_and_no_client_notices)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/; method ping;");
    int client = client_connect(gateway);

    struct server *hello = serve_as(etcd, "hello", HELLO, "method greet;");
    wait_for(gateway, "greet", true);
    client_send_frame(client, GREET);
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
    server_signal(hello, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(hello, PATIENCE_MS), 0);
    wait_for(gateway, "greet", false);
    client_send_frame(client, GREET);
    client_expect_error(client, "method_not_found");
    client_expect_alive(client); /* its own ping: the connection is still the first */
}
END_TEST

/* What is on disk is put to use by those who order it. */
START_TEST(a_reload_of_its_own_reads_no_file)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/; method ping;");

    server_write(gateway, "conf/pillion.conf", "half { edited");
    unlink(server_path(gateway, "modules/ping.so"));
    serve_as(etcd, "hello", HELLO, "method greet;");
    wait_for(gateway, "greet", true);
    expect_text(ask(gateway, "{\"in\":\"ping\"}"), "{\"out\":\"pong\",\"result\":null}");
    server_reload_refused(gateway, "pillion.conf");
    expect_text(ask(gateway, GREET), "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
}
END_TEST

START_TEST(methods_of_its_own_come_first_and_upgrades_keep_the_found_ones)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = server_new();

    gateway_conf(gateway, etcd, INTERVAL HELLO,
                 "proxy_all registry:/pillion/; method ping { handler hello.greet; }");
    server_start(gateway);
    serve_as(etcd, "hello", HELLO, "method greet; method ping;");
    wait_for(gateway, "greet", true);
    expect_text(ask(gateway, "{\"in\":\"ping\",\"params\":{\"name\":\"Own\"}}"),
                "{\"out\":\"greet\",\"result\":\"Hi, Own!\"}");
    const struct run run = server_ask(gateway, "upgrade");
    expect_status(&run, 0);
    expect_text(ask(gateway, GREET), "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
    serve_as(etcd, "more", "", "method more { handler ping.ping; }");
    wait_for(gateway, "more", true);
}
END_TEST

/* What others write into the registry is no error of this configuration. */
START_TEST(what_services_declare_wrongly_is_left_out)
{
    static const char value[] =
        "{\"address\":\"127.0.0.1:1\",\"methods\":[{\"name\":\"good\",\"summary\":\"Good.\","
        "\"params\":{\"type\":\"objekt\"}},{\"name\":\"rpc.list\"},{\"name\":\"bad\\u0001\"}]}";
    if (!command_exists("etcd") || !command_exists("etcdctl"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");

    const struct run run =
        run_command((const char *const[]){"/usr/bin/etcdctl", "--endpoints", etcd->urls[0], "put",
                                          "/pillion/odd/127.0.0.1:1", value, NULL},
                    NULL, PATIENCE_MS);
    expect_status(&run, 0);
    wait_for(gateway, "good", true);
    expect_part(ask(gateway, "{\"in\":\"rpc.list\"}"), "Good.");
    server_wait_log(gateway, "\"params\" is no schema that can be enforced");
    /* Nor is a key that no configuration can name. */
    const struct run key =
        run_command((const char *const[]){"/usr/bin/etcdctl", "--endpoints", etcd->urls[0], "put",
                                          "/pillion/o;dd/127.0.0.1:1", value, NULL},
                    NULL, PATIENCE_MS);
    expect_status(&key, 0);
    server_wait_log(gateway, "/pillion/o;dd/127.0.0.1:1 is left out");
    server_reload(gateway);
    expect_part(ask(gateway, "{\"in\":\"rpc.list\"}"), "Lists the methods of this server.");
}
END_TEST

START_TEST(a_reload_of_its_own_that_fails_changes_nothing_and_is_tried_again)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateway = server_new();
    const char *tokens = server_path(gateway, "conf/tokens");

    server_write(gateway, "conf/tokens", "first\n");
    chmod(tokens, 0644);
    gateway_conf(gateway, etcd, "load_module modules/auth.so;" INTERVAL,
                 "proxy_all registry:/pillion/; "
                 "method ping { filter auth { token_file conf/tokens; } }");
    server_start(gateway);
    rename(tokens, server_path(gateway, "conf/away"));
    serve_as(etcd, "hello", HELLO, "method greet;");
    server_wait_log(gateway, "reload failed: generation 2 was not put to use");
    expect_text(ask(gateway, "{\"in\":\"ping\",\"token\":\"first\"}"),
                "{\"out\":\"pong\",\"result\":null}");
    ck_assert(!has(gateway, "greet"));
    rename(server_path(gateway, "conf/away"), tokens);
    wait_for(gateway, "greet", true);
}
END_TEST

/* Each would forward to the other what it has found there. */
START_TEST(gateways_do_not_call_each_other_in_a_circle)
{
    if (!command_exists("etcd"))
        return;
    struct etcd_cluster *etcd = etcd_new();
    struct server *gateways[2];

    for (int i = 0; i < 2; i++) {
        gateways[i] = server_new();
        server_conf(gateways[i],
                    keep_printf("registry etcd %s { prefix /pillion/a%d; ttl 2s; } "
                                "load_module modules/proxy.so; " INTERVAL,
                                etcd->urls[0], i),
                    keep_printf("register 127.0.0.1:%d; proxy_all registry:/pillion/; "
                                "method rpc.list; method rpc.describe; method own%d { handler "
                                "ping.ping; }",
                                gateways[i]->port, i));
        server_start(gateways[i]);
    }
    wait_for(gateways[0], "own1", true);
    wait_for(gateways[1], "own0", true);
    struct server *hello = serve_as(etcd, "hello", HELLO, "method greet;");
    for (int i = 0; i < 2; i++) {
        wait_for(gateways[i], "greet", true);
        expect_text(ask(gateways[i], GREET), "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
    }
    server_signal(hello, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(hello, PATIENCE_MS), 0);
    wait_for(gateways[0], "greet", false); /* nobody keeps it up for the other */
    wait_for(gateways[1], "greet", false);
}
END_TEST

/* Not only once methods are found: until then a gateway would serve without them, and every reload
 * of its own fail. */
START_TEST(mistakes_in_its_block_are_said_before_methods_are_found)
{
    struct server *server = server_serve("", "method ping;");
    static const struct {
        const char *block, *message;
        bool is_read_at_start; /* a worker reads it; -t tries that, and a reload does not */
    } texts[] = {
        {"bogus 1;", "unknown directive \"bogus\"", false},
        {"filter bogus;", "provides a filter \"bogus\"", false},
        {"hash user;", "\"user\" names no param", true},
        {"pass params;", "\"params\" cannot be passed", true},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        server_conf(
            server, "registry etcd http://127.0.0.1:1; load_module modules/proxy.so;",
            keep_printf("proxy_all registry:/pillion/ { %s } method ping;", texts[i].block));
        const struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_part(run.err, texts[i].message);
        if (!texts[i].is_read_at_start)
            server_reload_refused(server, texts[i].message);
    }
    server_conf(
        server, "registry etcd http://127.0.0.1:1; load_module modules/proxy.so;",
        "proxy_all registry:/pillion/ { timeout 2s; hash $user; pass token; } method ping;");
    server_reload(server);
    /* The service is wanted before the generation that names the registry is in use. */
    ck_assert(!server_logged(server, "is wanted, and there is no"));
}
END_TEST

/* The declared things of a method that another server answers. */
START_TEST(declares_is_there_for_any_method)
{
    struct server *behind = server_serve("", "method ping;");
    struct server *server = server_serve(
        keep_printf("load_module modules/proxy.so { upstream 127.0.0.1:%d; }", behind->port),
        "method rpc.describe; method ping { handler proxy.forward; declares '{\"summary\":\"Gives "
        "it back.\",\"params\":{\"type\":\"integer\"},\"idempotent\":true}'; }");

    expect_text(ask(server, "{\"in\":\"ping\",\"params\":7}"), "{\"out\":\"pong\",\"result\":7}");
    expect_part(ask(server, "{\"in\":\"ping\",\"params\":\"x\"}"), "invalid_params");
    const char *told = ask(server, "{\"in\":\"rpc.describe\",\"params\":{\"method\":\"ping\"}}");
    expect_part(told, "\"summary\":\"Gives it back.\"");
    expect_part(told, "\"idempotent\":true");
    server_conf(server, "load_module modules/proxy.so { upstream 127.0.0.1:1; }",
                "method ping { handler proxy.forward; declares '{\"params\":7}'; }");
    server_reload_refused(server, "\"params\" is no schema that can be enforced");
    server_conf(server, "registry etcd http://127.0.0.1:1;", "proxy_all registry:/pillion/;");
    server_reload_refused(server, "\"proxy_all\" needs the module proxy");
    server_conf(server, "registry etcd http://127.0.0.1:1; load_module modules/proxy.so;",
                "proxy_all registry:/pillion/ { pass token; reply_timeout never; }");
    server_reload_refused(server, "\"reply_timeout\" must be");
    server_conf(server, "registry etcd http://127.0.0.1:1; load_module modules/proxy.so;",
                "proxy_all registry:/pillion/ { replytimeout 1s; }");
    server_reload_refused(server, "did you mean \"reply_timeout\"?");
}
END_TEST

/* The status of GET /readyz, and what the same worker lists in the same moment. */
static int readiness_of(const struct server *server, const char **list)
{
    static const char requests[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                   "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n"
                                   "Connection: close\r\n\r\n{\"in\":\"rpc.list\"}";
    int client = client_connect(server), status = 0;

    client_send(client, requests, sizeof(requests) - 1);
    *list = client_receive_rest(client);
    sscanf(*list, "HTTP/1.1 %d", &status);
    close(client);
    return status;
}

START_TEST(a_gateway_is_ready_once_it_knows_what_it_serves)
{
    struct etcd_cluster *etcd = etcd_new();
    serve_as(etcd, "shop", HELLO, "method greet;");
    wait_for(gateway_of(etcd, "proxy_all registry:/pillion/;"), "greet", true);
    etcd_member_kill(etcd, 0);
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");
    const char *list;

    ck_assert_int_eq(readiness_of(gateway, &list), 503);
    expect_part(list, "rpc.list"); /* what it has is served */
    etcd_member_start(etcd, 0);
    wait_until(readiness_of(gateway, &list) == 200, "the gateway does not become ready");
    expect_part(list, "\"greet\"");
}
END_TEST

static int readiness(const struct server *server)
{
    const char *list;

    return readiness_of(server, &list);
}

/* As where all of a site starts: its services come a moment later. */
START_TEST(a_gateway_that_finds_nothing_waits_before_it_is_ready)
{
    struct etcd_cluster *etcd = etcd_new();
    struct server *waits = server_new(), *gateway;

    gateway_conf(waits, etcd, "", "proxy_all registry:/pillion/;");
    server_start(waits);
    server_wait_log(waits, "the registry answers");
    gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");
    wait_until(readiness(gateway) == 200, "nothing is not believed after proxy_all_keep");
    ck_assert_int_eq(readiness(waits), 503); /* for a minute */
    server_reload(gateway);
    wait_until(readiness(gateway) == 200, "a reload makes a gateway unready");
    server_reload(gateway); /* by now the server has waited as long as its first worker */
    ck_assert_int_eq(readiness(gateway), 200);
    serve_as(etcd, "shop", HELLO, "method greet;");
    wait_until(readiness(waits) == 200, "the gateway does not become ready");
    ck_assert(has(waits, "greet"));
}
END_TEST

/* Registers services below /pillion/, of a method each: "m000" and so on, which `server` has. */
static void register_many(const struct etcd_cluster *etcd, const struct server *server, int first,
                          int count)
{
    const char *text = "\n";

    for (int i = first; i < first + count; i++)
        text = keep_printf("%sput /pillion/s%03d/127.0.0.1:%d \"{\\\"address\\\":"
                           "\\\"127.0.0.1:%d\\\",\\\"methods\\\":[{\\\"name\\\":"
                           "\\\"m%03d\\\"}]}\"\n",
                           text, i, server->port, server->port, i);
    const struct run run = run_command(
        (const char *const[]){"/usr/bin/etcdctl", "--endpoints", etcd->urls[0], "txn", NULL},
        keep_printf("%s\n\n", text), PATIENCE_MS);
    expect_status(&run, 0);
}

START_TEST(of_more_services_than_there_may_be_the_rest_is_not_listed)
{
    if (!command_exists("etcd") || !command_exists("etcdctl"))
        return;
    const char *methods = "";
    for (int i = 0; i < 140; i++)
        methods = keep_printf("%s method m%03d { handler ping.ping; }", methods, i);
    struct server *server = server_serve("", methods);
    struct etcd_cluster *etcd = etcd_new();
    register_many(etcd, server, 0, 70);
    register_many(etcd, server, 70, 70);
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");

    wait_for(gateway, "m126", true); /* the path is a service, too */
    ck_assert(!has(gateway, "m127"));
    expect_text(ask(gateway, "{\"in\":\"m126\"}"), "{\"out\":\"pong\",\"result\":null}");
    expect_part(ask(gateway, "{\"in\":\"m127\"}"), "method_not_found");
    server_wait_log(gateway, "13 are left out with their methods, from /pillion/s127 on");
}
END_TEST

/* ---- An etcd that is away ---- */

static bool registry_says(const struct server *server, const char *name, double least)
{
    cJSON *reply = cJSON_Parse(ask(server, "{\"in\":\"rpc.stats\"}"));
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    const cJSON *registry = cJSON_GetObjectItem(result, "registry");
    bool says = cJSON_GetNumberValue(cJSON_GetObjectItem(registry, name)) >= least;

    cJSON_Delete(reply);
    return says;
}

static bool etcd_has_servers(const struct etcd_cluster *etcd)
{
    return strstr(etcd_request(etcd, 0, "/v3/kv/range",
                               "{\"key\":\"L3BpbGxpb24v\",\"range_end\":\"L3BpbGxpb24w\"}"),
                  "\"count\"") != NULL;
}

/* A server's lease ends while nobody reaches etcd, and its caller is back before it is. */
START_TEST(servers_that_etcd_has_lost_while_it_was_away_are_asked_all_the_same)
{
    struct etcd_cluster *etcd = etcd_new(), way = *etcd;
    struct relay *relay = relay_start(etcd->members[0].client_port);

    way.urls[0] = keep_printf("http://127.0.0.1:%d", relay->port);
    struct server *shop = serve_as(&way, "shop", HELLO, "method greet;");
    struct server *gateway = gateway_of(etcd, "proxy_all registry:/pillion/;");
    wait_for(gateway, "greet", true);

    kill(etcd->members[0].pid, SIGSTOP);
    relay->way = RELAY_CLOSES;
    relay->muted++;
    wait_until(registry_says(gateway, "away_seconds", 2), "it is not noticed that etcd is away");
    kill(etcd->members[0].pid, SIGCONT);
    wait_until(!etcd_has_servers(etcd), "the lease does not end");
    wait_until(registry_says(gateway, "events", 1) || registry_says(gateway, "snapshots", 2),
               "the gateway is not told that it is gone");
    for (int i = 0; i < 50; i++)
        expect_part(ask(gateway, GREET), "Ada");

    relay->way = RELAY_PASSES;
    wait_until(etcd_has_servers(etcd), "the server is not registered anew");
    expect_part(ask(gateway, GREET), "Ada");
    server_kill_all(shop, SIGKILL);
    wait_for(gateway, "greet", false);
}
END_TEST

E2E_MAIN("gateway", methods_of_every_service_are_served_without_a_name,
         methods_come_and_go_and_no_client_notices, a_reload_of_its_own_reads_no_file,
         methods_of_its_own_come_first_and_upgrades_keep_the_found_ones,
         what_services_declare_wrongly_is_left_out,
         a_reload_of_its_own_that_fails_changes_nothing_and_is_tried_again,
         gateways_do_not_call_each_other_in_a_circle, declares_is_there_for_any_method,
         mistakes_in_its_block_are_said_before_methods_are_found,
         a_gateway_is_ready_once_it_knows_what_it_serves,
         a_gateway_that_finds_nothing_waits_before_it_is_ready,
         of_more_services_than_there_may_be_the_rest_is_not_listed,
         servers_that_etcd_has_lost_while_it_was_away_are_asked_all_the_same)
