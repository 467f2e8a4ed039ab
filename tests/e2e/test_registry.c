/* The registry process, with a real etcd: what is registered outlives it, workers, reloads and
 * upgrades; what is known outlives etcd; and a server that quits takes its addresses back first. */
#include "etcd_server.h"

#include <sys/stat.h>

#include "certificates.h"
#include "harness.h"

#define KEY_OF(port) keep_printf("/pillion/shop/127.0.0.1:%d", port)

/* ---- etcd ---- */

struct etcd {
    struct etcd_cluster cluster;
    const char *user; /* NAME:PASSWORD for etcd_ctl, or NULL */
};

/* Its folder goes with that of a server. */
static struct etcd *etcd_new(void)
{
    struct etcd *etcd = keep(calloc(1, sizeof(*etcd)));

    etcd->cluster.parent = server_new()->prefix;
    etcd_cluster_start(&etcd->cluster);
    etcd_cluster_wait(&etcd->cluster);
    return etcd;
}

static const char *etcd_url(const struct etcd *etcd)
{
    return etcd->cluster.urls[0];
}

static void etcd_stop(struct etcd *etcd)
{
    etcd_member_kill(&etcd->cluster, 0);
}

static void etcd_go_on(struct etcd *etcd)
{
    etcd_member_start(&etcd->cluster, 0);
    etcd_member_wait(&etcd->cluster, 0);
}

static const char *good(struct run run)
{
    expect_status(&run, 0);
    return run.out;
}

/* `etcdctl ARGUMENTS…`, which must succeed; what it has printed. */
#define etcd_ctl(etcd, ...)                                                                       \
    good(run_command((const char *const[]){"/usr/bin/etcdctl", "--endpoints", etcd_url(etcd),     \
                                           "--command-timeout=5s", "--user",                      \
                                           (etcd)->user == NULL ? "" : (etcd)->user, __VA_ARGS__, \
                                           NULL},                                                 \
                     NULL, PATIENCE_MS))

/* The revision in which the key was written last; 0: it is not there. */
static int64_t etcd_revision(const struct etcd *etcd, const char *key)
{
    static const char name[] = "\"ModRevision\" : ";
    const char *at = strstr(etcd_ctl(etcd, "get", key, "--write-out=fields"), name);

    return at == NULL ? 0 : atoll(at + sizeof(name) - 1);
}

static const char *etcd_value(const struct etcd *etcd, const char *key)
{
    return etcd_ctl(etcd, "get", key, "--print-value-only");
}

/* ---- Servers ---- */

/* A server in front of the etcd, with `more` in the block of `registry` and `register` in that of
 * the server. */
static void registry_conf(const struct server *server, const struct etcd *etcd, const char *more,
                          const char *registers)
{
    server_conf(server,
                keep_printf("registry etcd %s { prefix /pillion/shop; ttl 2s; %s }\n"
                            "load_module modules/services.so { services registry:/pillion/shop "
                            "registry:/pillion/; }\n"
                            "load_module modules/crash.so;\n",
                            etcd_url(etcd), more),
                keep_printf("method ping; method servers; method known; method crash { handler "
                            "crash.null; } %s",
                            registers));
}

static const char *own(const struct server *server)
{
    return keep_printf("register 127.0.0.1:%d;", server->port);
}

static struct server *serve(const struct etcd *etcd, const char *more)
{
    struct server *server = server_new();

    registry_conf(server, etcd, more, own(server));
    server_start(server);
    return server;
}

static pid_t registry_of(const struct server *server)
{
    return server_child(server, "pillion: registry");
}

static const cJSON *stats_of(const struct server *server)
{
    return cJSON_GetObjectItem(server_stats(server), "registry");
}

static int figure(const struct server *server, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(stats_of(server), name);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : cJSON_IsNumber(item) ? item->valueint : -1;
}

static const char *lease_of(const struct server *server)
{
    const cJSON *lease = cJSON_GetObjectItem(stats_of(server), "lease");

    return cJSON_IsString(lease) ? keep_printf("%s", lease->valuestring) : "";
}

static void wait_registered(const struct server *server)
{
    wait_until(figure(server, "registered") == 1, "the server is not registered");
}

/* How many servers a worker of this server sees of /pillion/shop; -1: it does not know. */
static int seen(const struct server *server)
{
    int client = client_connect(server), count = -1;
    cJSON *known = cJSON_Parse(client_call(client, "known", "{\"index\":0}"));
    cJSON *list = cJSON_Parse(client_call(client, "servers", "{\"index\":0}"));
    const cJSON *result = cJSON_GetObjectItem(known, "result");

    if (cJSON_IsTrue(cJSON_GetArrayItem(result, 0)))
        count = cJSON_GetArraySize(cJSON_GetObjectItem(list, "result"));
    cJSON_Delete(known);
    cJSON_Delete(list);
    close(client);
    return count;
}

static void wait_seen(const struct server *server)
{
    wait_until(seen(server) == 1, "a worker does not see its own server");
}

static struct server *serve_registered(const struct etcd *etcd)
{
    struct server *server = serve(etcd, "");

    wait_registered(server);
    return server;
}

/* There is a registry process that is not `former`. */
static void wait_another(const struct server *server, pid_t former)
{
    wait_until(registry_of(server) != former && registry_of(server) != 0,
               "the registry process is not started again");
}

static void wait_restarted(const struct server *server, int times)
{
    wait_until(figure(server, "restarts") == times && figure(server, "connected") == 1,
               "the registry process has no contact");
}

/* Valid until the next one is asked for. */
static const cJSON *record_of(const struct etcd *etcd, const char *key)
{
    static cJSON *record;
    const char *value = etcd_value(etcd, key);

    cJSON_Delete(record);
    record = cJSON_Parse(value);
    ck_assert_msg(record != NULL, "%s has the value %s", key, value);
    return record;
}

/* ---- Registering ---- */

START_TEST(a_server_is_registered_with_what_it_offers)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);
    const char *key = KEY_OF(server->port);

    const cJSON *record = record_of(etcd, key);
    ck_assert_str_eq(cJSON_GetObjectItem(record, "address")->valuestring, strrchr(key, '/') + 1);
    ck_assert_int_eq(cJSON_GetObjectItem(record, "weight")->valueint, 100);
    ck_assert_int_eq(cJSON_GetObjectItem(record, "generation")->valueint, 1);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(record, "version"));
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(record, "started"));
    const cJSON *method, *found = NULL;
    cJSON_ArrayForEach(method, cJSON_GetObjectItem(record, "methods"))
    {
        if (strcmp(cJSON_GetObjectItem(method, "name")->valuestring, "servers") == 0)
            found = method;
    }
    ck_assert_ptr_nonnull(found);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(cJSON_GetObjectItem(found, "params"), "properties"));
    wait_seen(server);
    ck_assert_str_ne(lease_of(server), "");
    ck_assert_int_eq(figure(server, "connected"), 1);
}
END_TEST

START_TEST(servers_see_each_other_come_and_go)
{
    struct etcd *etcd = etcd_new();
    struct server *one = serve(etcd, ""), *other = serve(etcd, "");

    wait_until(seen(one) == 2 && seen(other) == 2, "the servers do not see each other");
    server_order(other, "quit");
    server_wait_exit(other, PATIENCE_MS);
    wait_until(seen(one) == 1, "a server that has quit is still there");
    server_start(other);
    wait_until(seen(one) == 2, "a server that has come back is not there");
    server_kill_all(other, SIGKILL);
    server_wait_exit(other, PATIENCE_MS);
    wait_until(seen(one) == 1, "a server that is dead is still there after its lease");
}
END_TEST

START_TEST(a_killed_registry_is_back_with_its_lease)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);
    const char *key = KEY_OF(server->port);

    wait_seen(server);
    const char *lease = lease_of(server);
    int64_t revision = etcd_revision(etcd, key);
    for (int i = 0; i < 3; i++) {
        pid_t pid = registry_of(server);
        ck_assert_int_ne(pid, 0);
        kill(pid, SIGKILL);
        wait_another(server, pid);
        ck_assert_int_eq(seen(server), 1);
        wait_restarted(server, i + 1);
        wait_registered(server);
    }
    /* Longer than the lease: the new process keeps it alive. */
    int64_t until = now_ms() + 4000;
    while (now_ms() < until) {
        ck_assert_int_eq(etcd_revision(etcd, key), revision);
        ck_assert_int_eq(seen(server), 1);
        usleep(100000);
    }
    ck_assert_str_eq(lease_of(server), lease);
    server_wait_log(server, "the registry process (pid");
}
END_TEST

START_TEST(workers_reloads_and_upgrades_do_not_touch_the_key)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);
    const char *key = KEY_OF(server->port);

    const char *lease = lease_of(server);
    int64_t revision = etcd_revision(etcd, key);
    int client = client_connect(server);
    server->reports_allowed = true;
    client_call(client, "crash", "{}");
    client_expect_alive(client);
    ck_assert_int_eq(etcd_revision(etcd, key), revision);
    pid_t pid = registry_of(server);
    server_reload(server);
    server_reload(server);
    ck_assert_int_eq(registry_of(server), pid);
    ck_assert_int_eq(etcd_revision(etcd, key), revision);
    server_order(server, "upgrade");
    wait_another(server, pid);
    wait_registered(server);
    wait_until(seen(server) == 1, "the new workers do not see the server");
    ck_assert_int_eq(etcd_revision(etcd, key), revision);
    ck_assert_str_eq(lease_of(server), lease);
    client_expect_alive(client);
}
END_TEST

START_TEST(a_reload_changes_what_has_changed_and_nothing_else)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();
    const char *kept = "/pillion/shop/10.0.0.1:1", *changed = "/pillion/shop/10.0.0.2:2",
               *removed = "/pillion/shop/10.0.0.3:3", *added = "/pillion/shop/10.0.0.4:4";

    registry_conf(server, etcd, "",
                  "register 10.0.0.1:1; register 10.0.0.2:2; register 10.0.0.3:3;");
    server_start(server);
    wait_until(figure(server, "registered") == 3, "three addresses are not registered");
    int64_t revision = etcd_revision(etcd, kept);
    registry_conf(server, etcd, "",
                  "register 10.0.0.1:1; register 10.0.0.2:2 weight=7; register 10.0.0.4:4;");
    server_reload(server);
    wait_until(etcd_revision(etcd, removed) == 0, "a removed address is still registered");
    wait_until(etcd_revision(etcd, added) != 0, "an added address is not registered");
    wait_until(cJSON_GetObjectItem(record_of(etcd, changed), "weight")->valueint == 7,
               "a changed weight is not registered");
    ck_assert_int_eq(etcd_revision(etcd, kept), revision);
    wait_until(figure(server, "registered") == 3 && figure(server, "addresses") == 3,
               "three addresses are not registered");
    registry_conf(server, etcd, "", "");
    server_reload(server);
    wait_until(etcd_revision(etcd, kept) == 0, "addresses are registered that nobody registers");
    wait_until(strcmp(lease_of(server), "") == 0, "there is a lease, and nothing is registered");
    wait_until(seen(server) == 0, "a worker sees servers that there are not");
}
END_TEST

START_TEST(another_prefix_moves_the_key)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    char *text = file_read(server->conf, NULL), *at = strstr(text, "prefix /pillion/shop");
    memcpy(at, "prefix /pillion/bank", strlen("prefix /pillion/bank"));
    file_write(server->conf, text, strlen(text));
    server_reload(server);
    wait_until(etcd_revision(etcd, KEY_OF(server->port)) == 0, "the former key is still there");
    wait_until(etcd_revision(etcd, keep_printf("/pillion/bank/127.0.0.1:%d", server->port)) != 0,
               "the new key is not there");
}
END_TEST

/* ---- Trouble ---- */

static void configure_long(const struct server *server, const struct etcd *etcd)
{
    server_conf(server,
                keep_printf("registry etcd %s { prefix /pillion/shop; ttl 10m; }", etcd_url(etcd)),
                keep_printf("method ping; %s", own(server)));
}

START_TEST(a_server_that_goes_to_another_registry_takes_its_address_back_from_the_former)
{
    struct etcd *former = etcd_new(), *next = etcd_new();
    struct server *server = server_new();
    const char *key = KEY_OF(server->port);

    configure_long(server, former);
    server_start(server);
    wait_until(etcd_revision(former, key) != 0, "it is not registered");
    configure_long(server, next);
    server_reload(server);
    wait_until(etcd_revision(next, key) != 0, "it is not registered with the other");
    ck_assert_int_eq(etcd_revision(former, key), 0);
    /* One that does not answer is not waited for. */
    etcd_stop(next);
    configure_long(server, former);
    server_reload(server);
    wait_until(etcd_revision(former, key) != 0, "it waits for the former registry");
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(while_etcd_is_away_the_last_known_servers_stay)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    wait_seen(server);
    etcd_stop(etcd);
    wait_until(figure(server, "connected") == 0, "it is not noticed that etcd is away");
    wait_until(figure(server, "away_seconds") >= 12, "the time without etcd is not told");
    server_wait_log(server, "the registry does not answer");
    server_wait_log(server, "the registry has been away for 1");
    ck_assert_int_eq(seen(server), 1);
    struct run run = pillion("status", "-p", server->prefix);
    expect_part(run.out, "registry: away for ");
    pid_t pid = registry_of(server);
    kill(pid, SIGKILL); /* what is known is in nobody's memory alone */
    wait_another(server, pid);
    ck_assert_int_eq(seen(server), 1);
    static const char again[] = "the registry answers again, after ";
    etcd_go_on(etcd);
    const char *told = strstr(server_wait_log(server, again), again) + strlen(again);
    ck_assert_int_ge(atoi(told), 10); /* the next process counts on */
    wait_until(figure(server, "connected") == 1, "etcd is back, and it is not noticed");
    wait_until(etcd_revision(etcd, KEY_OF(server->port)) != 0, "the server is not registered anew");
    wait_registered(server);
    ck_assert_int_eq(seen(server), 1);
}
END_TEST

START_TEST(a_lost_lease_is_taken_anew)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);
    const char *key = KEY_OF(server->port);

    const char *lease = lease_of(server);
    etcd_ctl(etcd, "lease", "revoke", lease);
    wait_until(etcd_revision(etcd, key) != 0 && strcmp(lease_of(server), lease) != 0,
               "a revoked lease is not replaced");
    server_wait_log(server, "the registry has ended this server's lease");
    wait_registered(server);
    wait_until(seen(server) == 1, "the server is not seen any more");
}
END_TEST

START_TEST(a_server_starts_without_its_registry)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();

    etcd_stop(etcd);
    registry_conf(server, etcd, "timeout 500ms;", own(server));
    server_start(server);
    client_expect_alive(client_connect(server));
    server_wait_log(server, "the registry does not answer");
    ck_assert_int_eq(figure(server, "connected"), 0);
    ck_assert_int_eq(seen(server), -1);
    etcd_go_on(etcd);
    wait_until(etcd_revision(etcd, KEY_OF(server->port)) != 0, "the server is not registered");
    wait_seen(server);
}
END_TEST

START_TEST(a_wrong_password_is_told_and_a_right_one_put_to_use)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();

    etcd_ctl(etcd, "user", "add", "root:pw");
    etcd_ctl(etcd, "auth", "enable");
    etcd->user = "root:pw";
    server_write(server, "conf/password", "wrong\n");
    registry_conf(server, etcd, "user root conf/password;", own(server));
    server_start(server);
    client_expect_alive(client_connect(server));
    server_wait_log(server, "can be read by others");
    server_wait_log(server, "[error]");
    wait_until(figure(server, "registered") == 0, "a wrong password registers");
    server_write(server, "conf/password", "pw\n");
    chmod(server_path(server, "conf/password"), 0600);
    server_reload(server);
    wait_registered(server);
}
END_TEST

START_TEST(files_that_cannot_be_read_fail_the_test_and_the_reload)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    registry_conf(server, etcd, "user root conf/missing;", own(server));
    server_reload_refused(server, "cannot read the password file");
    struct run run = pillion("-t", "-p", server->prefix);
    ck_assert_int_ne(run.status, 0);
    expect_part(run.err, "cannot read the password file");
    server_write(server, "conf/empty", "\n");
    registry_conf(server, etcd, "user root conf/empty;", own(server));
    run = pillion("-t", "-p", server->prefix);
    expect_part(run.err, "begins with no password");
    registry_conf(server, etcd, "\nuser root conf/empty;", own(server));
    run = pillion("-t", "-p", server->prefix);
    expect_part(run.err, "| user root conf/empty;"); /* not the block's first line */
    ck_assert_int_eq(figure(server, "registered"), 1);
}
END_TEST

START_TEST(a_stopped_registry_process_is_replaced)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();

    registry_conf(server, etcd, "", own(server));
    server_start_with(server, (const char *const[]){"-g", "heartbeat_timeout 500ms;", NULL});
    wait_registered(server);
    int64_t revision = etcd_revision(etcd, KEY_OF(server->port));
    pid_t pid = registry_of(server);
    kill(pid, SIGSTOP);
    server_wait_log(server, "gives no sign of life");
    wait_another(server, pid);
    wait_restarted(server, 1);
    ck_assert_int_eq(etcd_revision(etcd, KEY_OF(server->port)), revision);
}
END_TEST

static int weight_of(const struct etcd *etcd, const char *key)
{
    return cJSON_GetObjectItem(record_of(etcd, key), "weight")->valueint;
}

START_TEST(a_full_server_has_the_least_weight)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();
    const char *key = KEY_OF(server->port);
    int clients[12];

    registry_conf(server, etcd, "", own(server));
    server_start_with(server, (const char *const[]){"-g", "worker_connections 4;", NULL});
    wait_until(etcd_revision(etcd, key) != 0 && weight_of(etcd, key) == 100,
               "the server is not registered");
    for (int i = 0; i < 12; i++)
        clients[i] = client_connect(server);
    wait_until(weight_of(etcd, key) == 1, "a full server has its whole weight");
    for (int i = 0; i < 12; i++)
        close(clients[i]);
    wait_until(weight_of(etcd, key) == 100, "a server that has room again has little weight");
}
END_TEST

/* ---- Draining ---- */

START_TEST(a_server_that_quits_takes_its_address_back_before_it_stops_accepting)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);
    const char *key = KEY_OF(server->port);

    server_signal(server, SIGQUIT);
    wait_until(etcd_revision(etcd, key) == 0, "a server that quits is registered");
    expect_part(client_round(server->port, "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                           "Connection: close\r\n\r\n"),
                " 503 ");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(a_server_quits_while_its_registry_process_is_killed)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    server_signal(server, SIGSTOP); /* it learns of both at once */
    kill(registry_of(server), SIGKILL);
    server_signal(server, SIGQUIT);
    server_signal(server, SIGCONT);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    ck_assert_int_eq(etcd_revision(etcd, KEY_OF(server->port)), 0);
    ck_assert(!server_logged(server, "has not said that this server's addresses are gone"));
}
END_TEST

START_TEST(a_server_that_stops_takes_its_address_back)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    server_order(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_eq(etcd_revision(etcd, KEY_OF(server->port)), 0);
}
END_TEST

START_TEST(a_server_quits_while_etcd_is_away)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    etcd_stop(etcd);
    int64_t until = deadline_in(15000);
    server_order(server, "quit");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    ck_assert(!deadline_over(until));
    server_wait_log(server, "the registry has not said that this server's addresses are gone");
}
END_TEST

/* Servers are called by way of the registry, one of them quits, and the registry process of their
 * caller is killed at the same time. */
START_TEST(a_drained_server_costs_no_caller_an_error)
{
    struct etcd *etcd = etcd_new();
    struct server *one = serve(etcd, ""), *other = serve(etcd, ""), *caller = server_new();
    int client, calls = 0;

    server_conf(caller,
                keep_printf("registry etcd %s; load_module modules/proxy.so;\n", etcd_url(etcd)),
                "method ping { handler proxy.forward; upstream registry:/pillion/shop; }");
    server_start(caller);
    client = client_connect(caller);
    wait_until(strstr(client_call(client, "ping", "1"), "result") != NULL, "nobody is called");
    wait_until(seen(one) == 2, "the servers do not see each other");
    double first = server_calls(one, "ping", "calls"),
           second = server_calls(other, "ping", "calls");
    wait_until((client_call(client, "ping", "1"), server_calls(one, "ping", "calls") > first) &&
                   server_calls(other, "ping", "calls") > second,
               "only one server is called");
    kill(registry_of(caller), SIGKILL);
    server_signal(one, SIGQUIT);
    while (calls < 100 || process_lives(one->pid)) {
        const char *reply = client_call(client, "ping", keep_printf("%d", calls++));
        ck_assert_msg(strstr(reply, "\"result\"") != NULL, "%s", reply);
    }
    ck_assert_int_eq(server_wait_exit(one, PATIENCE_MS), 0);
}
END_TEST

/* ---- Watching ---- */

START_TEST(metrics_and_events_tell_of_the_registry)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    wait_seen(server);
    kill(registry_of(server), SIGKILL);
    wait_until(figure(server, "restarts") == 1 && figure(server, "connected") == 1 &&
                   figure(server, "registered") == 1,
               "the registry process is not started again");
    struct run run = pillion("status", "--prometheus", "-p", server->prefix);
    expect_part(run.out, "\npillion_registry_connected 1\n");
    expect_part(run.out, "\npillion_registry_last_contact_age_seconds 0\n");
    expect_part(run.out, "\npillion_registry_registered 1\n");
    expect_part(run.out, "\npillion_registry_instances{service=\"registry:/pillion/shop\"} 1\n");
    expect_part(run.out, "\npillion_registry_restarts_total 1\n");
    run = pillion("events", "-p", server->prefix);
    expect_part(run.out, "the registry process (pid");
    run = pillion("status", "-p", server->prefix);
    expect_part(run.out,
                "registry: connected; 1 of 1 addresses registered; 1 service with 1 server\n");
}
END_TEST

START_TEST(records_of_others_that_make_no_sense_are_left_out)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    etcd_ctl(etcd, "put", "/pillion/shop/10.0.0.9:1", "nonsense");
    etcd_ctl(etcd, "put", "/pillion/shop/10.0.0.8:1", "{\"address\":\"10.0.0.7:1\"}");
    etcd_ctl(etcd, "put", "/pillion/shop/10.0.0.6:1", "{\"address\":\"10.0.0.6:1\"}");
    wait_until(seen(server) == 2, "a good record beside bad ones is not seen");
    server_wait_log(server, "the registry's record /pillion/shop/10.0.0.9:1 is left out");
    ck_assert_int_eq(seen(server), 2);
}
END_TEST

/* ---- Secrets ---- */

#define PASSWORD "a password that is nowhere else"

START_TEST(no_process_but_the_registrys_has_the_password)
{
    struct etcd *etcd = etcd_new();
    struct server *server = server_new();
    pid_t children[64];

    if (getuid() != 0) {
        printf("skipped: only root may look into the processes\n");
        return;
    }
    etcd_ctl(etcd, "user", "add", "root:" PASSWORD);
    etcd_ctl(etcd, "auth", "enable");
    etcd->user = "root:" PASSWORD;
    server_write(server, "conf/password", "%s\n", PASSWORD);
    chmod(server_path(server, "conf/password"), 0600);
    registry_conf(server, etcd, "user root conf/password;", own(server));
    server_start(server);
    wait_registered(server);
    kill(registry_of(server), SIGKILL);
    wait_restarted(server, 1);
    server_reload(server);
    wait_registered(server);
    size_t count = children_of(server->pid, children, 64);
    for (size_t i = 0; i < count; i++)
        ck_assert(process_has(children[i], PASSWORD, strlen(PASSWORD)) ==
                  (children[i] == registry_of(server)));
    ck_assert(!process_has(server->pid, PASSWORD, strlen(PASSWORD)));
}
END_TEST

/* An etcd whose certificate one authority has signed, which asks for another by the same. */
static struct etcd *etcd_with_tls(const struct server *server)
{
    struct etcd *etcd = keep(calloc(1, sizeof(*etcd)));

    tls_make(server, "ca", "DNS:ca", NULL);
    tls_make(server, "other", "DNS:other", NULL);
    tls_make(server, "me", "IP:127.0.0.1", "ca");
    chmod(server_path(server, "tls/me.key"), 0600);
    etcd->cluster.ca = server_path(server, "tls/ca.pem");
    etcd->cluster.cert = server_path(server, "tls/me.pem");
    etcd->cluster.key = server_path(server, "tls/me.key");
    etcd->cluster.parent = server->prefix;
    etcd_cluster_start(&etcd->cluster);
    wait_until(run_command((const char *const[]){"/usr/bin/etcdctl", "--endpoints", etcd_url(etcd),
                                                 "--cacert", etcd->cluster.ca, "--cert",
                                                 etcd->cluster.cert, "--key", etcd->cluster.key,
                                                 "endpoint", "health", NULL},
                           NULL, PATIENCE_MS)
                       .status == 0,
               "etcd does not come");
    return etcd;
}

START_TEST(a_registry_is_verified_and_one_of_another_authority_told)
{
    struct server *server = server_new();
    struct etcd *etcd = etcd_with_tls(server);

    registry_conf(server, etcd, "timeout 500ms; ca tls/other.pem; cert tls/me.pem; key tls/me.key;",
                  own(server));
    server_start(server);
    client_expect_alive(client_connect(server));
    server_wait_log(server, "the registry does not answer");
    server_wait_log(server, "certificate");
    ck_assert_int_eq(figure(server, "connected"), 0);
    registry_conf(server, etcd, "ca tls/ca.pem; cert tls/me.pem; key tls/me.key;", own(server));
    server_reload(server);
    wait_registered(server);
    wait_seen(server);
    registry_conf(server, etcd, "ca tls/missing.pem; cert tls/me.pem; key tls/me.key;",
                  own(server));
    server_reload_refused(server, "tls/missing.pem");
    if (access(keep_printf("%s/tls.so", getenv("PILLION_BUILD")), R_OK) == 0) {
        registry_conf(server, etcd, "ca tls/ca.pem; cert tls/me.pem;\nkey tls/other.key;",
                      own(server));
        server_reload_refused(server, "tls/other.key does not belong to the certificate");
        registry_conf(server, etcd, "ca tls/me.key; cert tls/me.pem; key tls/me.key;", own(server));
        server_reload_refused(server, "tls/me.key");
    }
    ck_assert_int_eq(figure(server, "registered"), 1);
}
END_TEST

/* The binary stands alone in a folder: no registry.so is beside it. */
START_TEST(a_missing_plugin_is_told_by_the_test)
{
    struct server *server = server_new();
    const char *alone = binary_alone(server, "registry.so");

    if (alone == NULL)
        return; /* an installed one is found */
    server_conf(server, "registry etcd http://127.0.0.1:1 { prefix /pillion/shop; }\n",
                own(server));
    struct run run = run_command((const char *const[]){alone, "-t", "-p", server->prefix, NULL},
                                 NULL, PATIENCE_MS);
    ck_assert_int_ne(run.status, 0);
    expect_part(run.err, "pillion.conf:");
    expect_part(run.err, "registry.so, which cannot be loaded");
    server_conf(server, "", "method ping;");
    run = run_command((const char *const[]){alone, "-t", "-p", server->prefix, NULL}, NULL,
                      PATIENCE_MS);
    expect_status(&run, 0);
}
END_TEST

START_TEST(the_registry_process_cannot_be_traced)
{
    struct etcd *etcd = etcd_new();
    struct server *server = serve_registered(etcd);

    const char *path = keep_printf("/proc/%d/status", (int)registry_of(server));
    const char *status = file_read(path, NULL);
    expect_part(status, "\nNoNewPrivs:\t1\n");
    expect_part(status, "\nSeccomp:\t2\n");
}
END_TEST

#define main all_tests
int main(void);
E2E_MAIN("registry", a_server_is_registered_with_what_it_offers, servers_see_each_other_come_and_go,
         a_killed_registry_is_back_with_its_lease,
         workers_reloads_and_upgrades_do_not_touch_the_key,
         a_reload_changes_what_has_changed_and_nothing_else, another_prefix_moves_the_key,
         a_server_that_goes_to_another_registry_takes_its_address_back_from_the_former,
         while_etcd_is_away_the_last_known_servers_stay, a_lost_lease_is_taken_anew,
         a_server_starts_without_its_registry, a_stopped_registry_process_is_replaced,
         a_full_server_has_the_least_weight, a_wrong_password_is_told_and_a_right_one_put_to_use,
         files_that_cannot_be_read_fail_the_test_and_the_reload,
         a_server_that_quits_takes_its_address_back_before_it_stops_accepting,
         a_server_quits_while_its_registry_process_is_killed,
         a_server_that_stops_takes_its_address_back, a_server_quits_while_etcd_is_away,
         a_drained_server_costs_no_caller_an_error, no_process_but_the_registrys_has_the_password,
         a_registry_is_verified_and_one_of_another_authority_told,
         a_missing_plugin_is_told_by_the_test, metrics_and_events_tell_of_the_registry,
         records_of_others_that_make_no_sense_are_left_out, the_registry_process_cannot_be_traced)
#undef main

int main(void)
{
    bool there = command_exists("etcd") && command_exists("etcdctl");

    return there ? all_tests() : EXIT_SUCCESS;
}
