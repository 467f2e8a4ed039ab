/* Several servers as one service: registered in a real etcd, called by a gateway that serves
 * whatever they offer, while one dies, another comes and a third leaves. Every answer is checked,
 * and what each server has carried out is counted afterwards. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "etcd_server.h"
#include "harness.h"

#define SERVICE "/pillion/fleet"
#define CLIENTS 16
#define HOSTS   3
#define WORK_MS 20 /* how long a request takes */

struct host {
    struct server *server;
    const char *name;
};

struct fleet {
    struct etcd_cluster *etcd;
    struct host hosts[HOSTS];
    struct server *gateway;
    int clients[CLIENTS];
    unsigned serial;          /* of the last request */
    unsigned errors;          /* that were answered so far */
    unsigned answered[HOSTS]; /* by which host */
    char carried[1 << 16];    /* by serial: 'y' answered well, 'e' with an error */
};

static void etcd_open(struct fleet *fleet)
{
    fleet->etcd = keep(calloc(1, sizeof(*fleet->etcd)));
    setenv("TMPDIR", server_new()->prefix, 1);
    etcd_cluster_start(fleet->etcd);
    unsetenv("TMPDIR");
    etcd_cluster_wait(fleet->etcd);
}

static void host_start(struct fleet *fleet, int at)
{
    static const char *const names[HOSTS] = {"one", "two", "three"};
    struct host *host = &fleet->hosts[at];

    *host = (struct host){server_new(), names[at]};
    server_conf(
        host->server,
        keep_printf("registry etcd %s { prefix " SERVICE "; ttl 2s; }\n"
                    "quit_delay 300ms;\n"
                    "load_module modules/ledger.so { host %s; file run/journal; }\n",
                    fleet->etcd->urls[0], host->name),
        keep_printf("register 127.0.0.1:%d; method fetch; method record;", host->server->port));
    server_write(host->server, "run/journal", "%s", "");
    chmod(server_path(host->server, "run/journal"), 0666); /* for workers, as nobody */
    server_start(host->server);
}

/* It names no method and no address. */
static void gateway_start(struct fleet *fleet)
{
    fleet->gateway = server_new();
    server_conf(
        fleet->gateway,
        keep_printf("registry etcd %s;\nload_module modules/proxy.so;\n", fleet->etcd->urls[0]),
        "proxy_all registry:/pillion/;");
    server_start(fleet->gateway);
    for (int i = 0; i < CLIENTS; i++)
        fleet->clients[i] = client_connect(fleet->gateway);
}

static struct fleet *fleet_open(void)
{
    struct fleet *fleet = keep(calloc(1, sizeof(*fleet)));

    etcd_open(fleet);
    host_start(fleet, 0);
    host_start(fleet, 1);
    gateway_start(fleet);
    wait_until(strstr(client_call(fleet->clients[0], "fetch", "{\"n\":1}"), "\"sum\"") != NULL,
               "the gateway finds no server");
    return fleet;
}

/* ---- Load ---- */

/* Each client asks: every second one for what must not be done twice. */
static void ask_all(struct fleet *fleet)
{
    for (int i = 0; i < CLIENTS; i++) {
        unsigned serial = ++fleet->serial;
        ck_assert_uint_lt(serial, sizeof(fleet->carried));
        client_send_frame(fleet->clients[i],
                          i % 2 ? keep_printf("{\"in\":\"record\",\"params\":{\"serial\":\"%u\","
                                              "\"ms\":%d}}",
                                              serial, WORK_MS)
                                : keep_printf("{\"in\":\"fetch\",\"params\":{\"n\":%u,\"ms\":%d}}",
                                              serial, WORK_MS));
    }
}

static void check_host(struct fleet *fleet, const cJSON *result)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(result, "host"));

    ck_assert_ptr_nonnull(name);
    for (int h = 0; h < HOSTS; h++)
        fleet->answered[h] +=
            fleet->hosts[h].name != NULL && strcmp(name, fleet->hosts[h].name) == 0;
}

/* Every reply is the right one, or an error of `record` that says that it may have been done. */
static void check_reply(struct fleet *fleet, int i, unsigned serial)
{
    const cJSON *reply = client_receive_json(fleet->clients[i]);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    const char *out = cJSON_GetStringValue(cJSON_GetObjectItem(reply, "out"));
    const char *said = keep(cJSON_PrintUnformatted(reply));

    if (strcmp(out, "error") == 0) {
        const char *code = cJSON_GetStringValue(cJSON_GetObjectItem(result, "code"));
        ck_assert_msg(i % 2 == 1 && strcmp(code, "upstream_unavailable") == 0, "%s", said);
        fleet->carried[serial] = 'e';
        fleet->errors++;
        return;
    }
    fleet->carried[serial] = 'y';
    if (i % 2 == 0) {
        double sum = (double)((uint64_t)serial * 2654435761u % 4294967291u);
        ck_assert_msg(cJSON_GetObjectItem(result, "n")->valuedouble == (double)serial &&
                          cJSON_GetObjectItem(result, "sum")->valuedouble == sum,
                      "%s", said);
    } else {
        ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(result, "serial")),
                         keep_printf("%u", serial));
    }
    check_host(fleet, result);
}

static void check_all(struct fleet *fleet)
{
    for (int i = 0; i < CLIENTS; i++)
        check_reply(fleet, i, fleet->serial - CLIENTS + 1 + (unsigned)i);
}

static void round_of_calls(struct fleet *fleet)
{
    ask_all(fleet);
    check_all(fleet);
}

/* Rounds until this host has answered `more` requests. */
static void rounds_until_host(struct fleet *fleet, int host, unsigned more)
{
    unsigned before = fleet->answered[host];

    wait_until((round_of_calls(fleet), fleet->answered[host] - before >= more), "%s is not called",
               fleet->hosts[host].name);
}

/* ---- What was carried out ---- */

/* Counts the lines of all journals by their serials. Each answer is one line, each error one at
 * most, and nothing else is there. */
static void check_journals(const struct fleet *fleet)
{
    static unsigned char lines[sizeof(fleet->carried)];

    memset(lines, 0, sizeof(lines));
    for (int h = 0; h < HOSTS; h++) {
        const char *path = fleet->hosts[h].server == NULL
                               ? NULL
                               : server_path(fleet->hosts[h].server, "run/journal");
        for (char *at = path == NULL || access(path, R_OK) != 0 ? "" : file_read(path, NULL);
             *at != '\0'; at = strchr(at, '\n') + 1)
            lines[strtoul(at, NULL, 10)]++;
    }
    for (unsigned serial = 1; serial <= fleet->serial; serial++) {
        bool records = serial % CLIENTS % 2 == 0; /* the odd clients, from 0 on */
        unsigned least = records && fleet->carried[serial] == 'y', most = records;
        ck_assert_msg(lines[serial] >= least && lines[serial] <= most,
                      "%u was carried out %u times, and answered with %c", serial, lines[serial],
                      fleet->carried[serial]);
    }
}

/* ---- Ends ---- */

/* As when a machine is lost: all of its processes at once, while they have requests. */
static void kill_host(struct fleet *fleet, int at)
{
    struct server *server = fleet->hosts[at].server;
    pid_t processes[64];
    size_t count = children_of(server->pid, processes, 64);

    server_kill_all(server, SIGKILL);
    server_wait_exit(server, PATIENCE_MS);
    for (size_t i = 0; i < count; i++)
        wait_until(!process_lives(processes[i]), "a killed process lives");
}

static bool is_registered(const struct fleet *fleet, int at)
{
    struct run run = run_command(
        (const char *const[]){
            "/usr/bin/etcdctl", "--endpoints", fleet->etcd->urls[0], "get", "--keys-only",
            keep_printf(SERVICE "/127.0.0.1:%d", fleet->hosts[at].server->port), NULL},
        NULL, PATIENCE_MS);

    expect_status(&run, 0);
    return run.out[0] == '/';
}

START_TEST(a_host_that_dies_costs_what_was_on_it_and_cannot_be_done_twice)
{
    struct fleet *fleet = fleet_open();

    rounds_until_host(fleet, 0, 20);
    rounds_until_host(fleet, 1, 20);
    ck_assert_uint_eq(fleet->errors, 0);
    /* Some of these requests are on the host that dies. */
    ask_all(fleet);
    wait_until(server_stat(fleet->hosts[0].server, "connections.deferred") > 0,
               "no request is on the host");
    kill_host(fleet, 0);
    check_all(fleet);
    unsigned errors = fleet->errors;
    ck_assert_uint_le(errors, CLIENTS / 2);
    /* Requests after that cost nothing, whether etcd knows it already or not. */
    wait_until((round_of_calls(fleet), !is_registered(fleet, 0)), "the dead host stays registered");
    rounds_until_host(fleet, 1, 100);
    ck_assert_uint_eq(fleet->errors, errors);
    check_journals(fleet);
    etcd_cluster_end(fleet->etcd);
}
END_TEST

START_TEST(hosts_come_and_leave_under_load_without_an_error)
{
    struct fleet *fleet = fleet_open();

    rounds_until_host(fleet, 0, 20);
    host_start(fleet, 2);
    rounds_until_host(fleet, 2, 20);
    server_signal(fleet->hosts[0].server, SIGQUIT);
    wait_until((round_of_calls(fleet), !is_registered(fleet, 0)),
               "a host that quits stays registered");
    wait_until((round_of_calls(fleet), !process_lives(fleet->hosts[0].server->pid)),
               "a host that quits does not end");
    rounds_until_host(fleet, 1, 20);
    rounds_until_host(fleet, 2, 20);
    /* Without etcd, a host that dies is left out all the same. */
    etcd_member_kill(fleet->etcd, 0);
    rounds_until_host(fleet, 1, 20);
    ck_assert_uint_eq(fleet->errors, 0);
    kill_host(fleet, 2);
    rounds_until_host(fleet, 1, 100);
    ck_assert_uint_eq(fleet->errors, 0);
    check_journals(fleet);
    etcd_cluster_end(fleet->etcd);
}
END_TEST

/* ---- Readiness ---- */

#define READYZ "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

START_TEST(the_registry_readyz_and_the_agent_say_the_same)
{
    struct fleet *fleet = keep(calloc(1, sizeof(*fleet)));
    struct server *server = server_new();
    int agent = free_port();

    etcd_open(fleet);
    fleet->hosts[0] = (struct host){server, "one"};
    server_conf(server,
                keep_printf("registry etcd %s { prefix " SERVICE "; ttl 2s; }\nquit_delay 1h;\n",
                            fleet->etcd->urls[0]),
                keep_printf("register 127.0.0.1:%d; method ping; listen 127.0.0.1:%d "
                            "protocol=agent;",
                            server->port, agent));
    server_start(server);
    wait_until(is_registered(fleet, 0), "it is not registered");
    expect_part(client_round(server->port, READYZ), " 200 ");
    expect_part(client_round(agent, ""), "up ready ");
    server_signal(server, SIGQUIT);
    wait_until(!is_registered(fleet, 0), "it stays registered");
    wait_until(strstr(client_round(server->port, READYZ), " 503 ") != NULL, "/readyz stays well");
    wait_until(strcmp(client_round(agent, ""), "drain\n") == 0, "the agent is not told");
    client_expect_alive(client_connect(server));
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    etcd_cluster_end(fleet->etcd);
}
END_TEST

E2E_MAIN("fleet", a_host_that_dies_costs_what_was_on_it_and_cannot_be_done_twice,
         hosts_come_and_leave_under_load_without_an_error,
         the_registry_readyz_and_the_agent_say_the_same)
