/* HAProxy in front of several servers: its agent-check, its runtime socket and its answers of DNS
 * decide which of them gets clients. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dns_server.h"
#include "haproxy_server.h"

#define BACKEND "b"

/* A server with a port for HAProxy's agent. */
struct pillion {
    struct server *server;
    int agent;
};

/* Workers answer the master about once a second, and what they answer changes the weight. */
static struct pillion serve(const char *main_text, const char *server_text)
{
    struct pillion one = {.agent = free_port()};

    one.server = server_serve_alone(
        main_text,
        keep_printf("listen 127.0.0.1:%d protocol=agent; method ping; %s", one.agent, server_text));
    return one;
}

/* All that the agent says on a new connection. */
static const char *agent_says(int port)
{
    return client_round(port, "");
}

static bool is_up(const char *said)
{
    int percent = 0, end = 0;

    return sscanf(said, "up ready %d%%%n", &percent, &end) == 1 && percent > 0 && percent <= 100 &&
           strcmp(said + end, "\n") == 0;
}

/* ---- The agent's answer ---- */

START_TEST(an_agent_is_told_one_line_whatever_it_sends)
{
    struct pillion one = serve("", "");
    static const char *const sent[] = {"", "hello\n", "GET / HTTP/1.1\r\n\r\n",
                                       "{\"in\":\"ping\"}"};

    for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
        int client = client_try_connect(one.agent);
        ck_assert_int_ge(client, 0);
        client_send(client, sent[i], strlen(sent[i]));
        client_finish(client);
        const char *said = client_receive_rest(client);
        ck_assert_msg(is_up(said), "%s", said);
    }
    ck_assert_int_eq((int)server_calls(one.server, "ping", "calls"), 0);
    wait_until(server_stat(one.server, "connections.open") == 1, "agents' connections stay");
}
END_TEST

START_TEST(an_agent_is_told_what_readyz_tells)
{
    struct pillion one = serve("quit_delay 1h;", "");

    pid_t former, worker;
    ck_assert_uint_eq(server_workers(one.server, &former, 1), 1);
    ck_assert(is_up(agent_says(one.agent)));
    server_reload(one.server);
    ck_assert(is_up(agent_says(one.agent)));
    wait_until(!process_lives(former), "the former worker does not end");
    server_signal(one.server, SIGQUIT);
    wait_until(strcmp(agent_says(one.agent), "drain\n") == 0, "the agent is not told to drain");
    ck_assert_uint_eq(server_workers(one.server, &worker, 1), 1);
    kill(worker, SIGKILL);
    wait_until(server_stat(one.server, "crashes") == 1, "no worker was replaced");
    ck_assert_str_eq(agent_says(one.agent), "drain\n");
    server_signal(one.server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(one.server, PATIENCE_MS), 0);
}
END_TEST

/* What holds for other connections holds for an agent's. */
START_TEST(an_agents_connection_is_like_any_other)
{
    int behind = free_port(), few = free_port();
    const char *path = "run/agent.sock";
    struct server *server = server_serve_alone(
        "", keep_printf("} server { listen 127.0.0.1:%d protocol=agent proxy_protocol; "
                        "listen unix:%s protocol=agent; proxy_from 127.0.0.1; "
                        "} server { listen 127.0.0.1:%d protocol=agent; deny 127.0.0.1; ",
                        behind, path, few));

    int client = client_try_connect(behind);
    ck_assert_int_ge(client, 0);
    static const char header[] = "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n";
    client_send(client, header, 10);
    look_again();
    ck_assert(client_is_silent(client));
    client_send(client, header + 10, sizeof(header) - 11);
    ck_assert(is_up(client_receive_rest(client)));
    ck_assert(is_up(client_receive_rest(client_connect_unix(server_path(server, path)))));
    client = client_try_connect(few);
    wait_until(client_is_closed(client), "an agent that may not connect is served");
    ck_assert_str_eq(keep_printf("%s", agent_says(few)), "");
}
END_TEST

START_TEST(an_agent_whose_worker_dies_is_told_by_the_next)
{
    int behind = free_port();
    struct server *server = server_serve_alone(
        "", keep_printf("} server { listen 127.0.0.1:%d protocol=agent proxy_protocol; "
                        "proxy_from 127.0.0.1; ",
                        behind));
    int client = client_try_connect(behind);
    pid_t worker;

    ck_assert_int_ge(client, 0);
    wait_until(server_stat(server, "connections.open") == 2, "the agent is not there");
    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    kill(worker, SIGKILL);
    wait_until(server_stat(server, "crashes") == 1, "no worker was replaced");
    client_send(client, "PROXY UNKNOWN\r\n", 15);
    ck_assert(is_up(client_receive_rest(client)));
}
END_TEST

START_TEST(a_server_without_room_is_worth_less)
{
    enum { ROOM = 40, TAKEN = 30 };
    struct pillion one = serve(keep_printf("worker_connections %d;", ROOM), "");
    int clients[TAKEN], percent = 0;

    for (int i = 0; i < TAKEN; i++) {
        clients[i] = client_connect(one.server);
        client_expect_alive(clients[i]);
    }
    wait_until(sscanf(agent_says(one.agent), "up ready %d%%", &percent) == 1 && percent > 0 &&
                   percent <= 50,
               "a server that is three quarters full is worth %d%%", percent);
    for (int i = 0; i < TAKEN; i++)
        close(clients[i]);
    wait_until(sscanf(agent_says(one.agent), "up ready %d%%", &percent) == 1 && percent > 50,
               "a server that has room again is worth %d%%", percent);
}
END_TEST

START_TEST(a_protocol_that_is_none_is_refused_with_the_list)
{
    struct server *server = server_new();

    server_conf(server, "", "listen 127.0.0.1:1 protocol=agents;");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "must be auto, frame, line, lsp, http or agent, not \"agents\"");
    run = pillion("call", "--protocol", "agent", "ping");
    expect_status(&run, 64);
    expect_part(run.err, "--protocol takes frame, line, lsp or http");
}
END_TEST

/* ---- HAProxy asks it ---- */

/* A line of a backend. Health is checked by connecting. */
static const char *line_of(const char *name, const struct pillion *one, const char *more)
{
    return keep_printf("  server %s 127.0.0.1:%d check inter 200 agent-check agent-port %d "
                       "agent-inter 200 weight 100 %s\n",
                       name, one->server->port, one->agent, more);
}

static const char *listen_on(int port, const char *mode, const char *servers)
{
    return keep_printf("listen " BACKEND "\n  bind 127.0.0.1:%d\n  mode %s\n  balance roundrobin\n"
                       "%s",
                       port, mode, servers);
}

static bool has_status(const struct server *home, const char *name, const char *status)
{
    return strncmp(haproxy_stat(home, BACKEND, name, "status"), status, strlen(status)) == 0;
}

static long sessions_of(const struct server *home, const char *name)
{
    return atol(haproxy_stat(home, BACKEND, name, "stot"));
}

/* So many clients come, and each is answered. */
static void clients_come(int port, int count)
{
    for (int i = 0; i < count; i++) {
        int client = client_try_connect(port);
        ck_assert_int_ge(client, 0);
        client_expect_alive(client);
        close(client);
    }
}

START_TEST(haproxy_sends_no_new_client_to_a_server_that_quits)
{
    struct pillion one = serve("quit_delay 1h;", ""), two = serve("", "");
    int port = free_port(), old[2];
    pid_t haproxy = haproxy_start(
        one.server,
        listen_on(port, "tcp",
                  keep_printf("%s%s", line_of("one", &one, ""), line_of("two", &two, ""))));

    close(connect_when_there(port));
    wait_until(has_status(one.server, "one", "UP") && has_status(one.server, "two", "UP"),
               "the servers do not come up");
    for (int i = 0; i < 2; i++) {
        old[i] = client_try_connect(port);
        client_expect_alive(old[i]);
    }
    server_signal(one.server, SIGQUIT);
    wait_until(has_status(one.server, "one", "DRAIN"), "HAProxy shows %s",
               haproxy_stat(one.server, BACKEND, "one", "status"));
    long before = sessions_of(one.server, "one"), others = sessions_of(one.server, "two");
    clients_come(port, 10);
    ck_assert_int_eq(sessions_of(one.server, "one"), before);
    ck_assert_int_eq(sessions_of(one.server, "two"), others + 10);
    for (int i = 0; i < 2; i++)
        client_expect_alive(old[i]);
    server_signal(one.server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(one.server, PATIENCE_MS), 0);
    clients_come(port, 2);
    daemon_end(haproxy);
}
END_TEST

START_TEST(haproxy_gives_a_fuller_server_less)
{
    enum { ROOM = 40, TAKEN = 30 };
    struct pillion one = serve(keep_printf("worker_connections %d;", ROOM), "");
    int port = free_port(), clients[TAKEN];
    pid_t haproxy = haproxy_start(one.server, listen_on(port, "tcp", line_of("one", &one, "")));

    close(connect_when_there(port));
    wait_until(has_status(one.server, "one", "UP"), "the server does not come up");
    wait_until(atoi(haproxy_stat(one.server, BACKEND, "one", "weight")) > 50, "it has no weight");
    for (int i = 0; i < TAKEN; i++) {
        clients[i] = client_connect(one.server);
        client_expect_alive(clients[i]);
    }
    wait_until(atoi(haproxy_stat(one.server, BACKEND, "one", "weight")) <= 50,
               "it keeps its weight");
    ck_assert(has_status(one.server, "one", "UP"));
    for (int i = 0; i < TAKEN; i++)
        close(clients[i]);
    wait_until(atoi(haproxy_stat(one.server, BACKEND, "one", "weight")) > 50,
               "it does not get its weight back");
    daemon_end(haproxy);
}
END_TEST

START_TEST(the_example_for_haproxy_is_good)
{
    const char *example = keep_printf("%s/conf/examples/haproxy.cfg", getenv("PILLION_BUILD"));
    struct run run =
        run_command((const char *const[]){HAPROXY, "-c", "-f", example, NULL}, NULL, PATIENCE_MS);

    expect_status(&run, 0);
}
END_TEST

/* ---- Load ---- */

/* `pillion bench` over HTTP, in a process of its own. */
static pid_t load_start(const struct server *home, int port, const char *seconds)
{
    return daemon_start((const char *const[]){pillion_binary(), "bench", "--http",
                                              keep_printf("http://127.0.0.1:%d", port), "-c", "8",
                                              "-d", seconds, "--rate", "400", "--json", "ping",
                                              NULL},
                        server_path(home, "load"));
}

static void load_end(const struct server *home, pid_t pid)
{
    int status = 0;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    const char *report = file_read(server_path(home, "load"), NULL);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d: %s", status, report);
    cJSON *json = cJSON_Parse(report);
    const cJSON *errors = cJSON_GetObjectItem(json, "errors");
    ck_assert_msg(errors != NULL && errors->valuedouble == 0, "%s", report);
    cJSON_Delete(json);
}

START_TEST(under_load_no_request_is_lost_to_a_server_that_quits)
{
    struct pillion one = serve("", ""), two = serve("quit_delay 2s;", "");
    int port = free_port();
    pid_t haproxy = haproxy_start(
        one.server,
        listen_on(port, "http",
                  keep_printf("%s%s", line_of("one", &one, ""), line_of("two", &two, ""))));

    close(connect_when_there(port));
    wait_until(has_status(one.server, "one", "UP") && has_status(one.server, "two", "UP"),
               "the servers do not come up");
    pid_t load = load_start(one.server, port, "6");
    wait_until(server_calls(two.server, "ping", "calls") > 20, "the load does not come");
    struct run quit = server_ask(two.server, "quit");
    expect_status(&quit, 0);
    ck_assert_int_eq(server_wait_exit(two.server, PATIENCE_MS), 0);
    load_end(one.server, load);
    daemon_end(haproxy);
}
END_TEST

/* ---- Servers come and go ---- */

/* What the runtime socket says to an order that is carried out. */
static void order(const struct server *home, const char *command, const char *said)
{
    const char *answer = haproxy_ask(home, command);

    ck_assert_msg(strstr(answer, said) != NULL, "%s: %s", command, answer);
}

START_TEST(servers_are_added_and_taken_away_at_the_runtime_socket)
{
    struct pillion one = serve("quit_delay 1h;", ""), two;
    int port = free_port();
    pid_t haproxy = haproxy_start(one.server, listen_on(port, "tcp", line_of("one", &one, "")));

    close(connect_when_there(port));
    wait_until(has_status(one.server, "one", "UP"), "the server does not come up");
    two = serve("", "");
    const char *line = line_of("two", &two, "") + strlen("  server two ");
    order(one.server,
          keep_printf("add server " BACKEND "/two %.*s", (int)strcspn(line, "\n"), line),
          "New server registered.");
    order(one.server, "enable health " BACKEND "/two; enable agent " BACKEND "/two", "");
    order(one.server, "enable server " BACKEND "/two", "");
    wait_until(has_status(one.server, "two", "UP"), "the new server does not come up");
    wait_until((clients_come(port, 2), sessions_of(one.server, "two") > 0), "it has no clients");

    /* The first one goes: it drains by its own word, and then its row is taken away. */
    server_signal(one.server, SIGQUIT);
    wait_until(has_status(one.server, "one", "DRAIN"), "the first server does not drain");
    clients_come(port, 4);
    server_signal(one.server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(one.server, PATIENCE_MS), 0);
    clients_come(port, 4);
    order(one.server, "set server " BACKEND "/one state maint", "");
    wait_until(strstr(haproxy_ask(one.server, "del server " BACKEND "/one"), "Server deleted") !=
                   NULL,
               "the row of a server that is gone stays");
    ck_assert_str_eq(haproxy_stat(one.server, BACKEND, "one", "status"), "");
    clients_come(port, 4);
    daemon_end(haproxy);
}
END_TEST

/* Records of dnsmasq's: _pillion._tcp.shop.test is at these servers. */
static const char *records(const struct pillion *one, const struct pillion *two)
{
    struct server *const servers[] = {one == NULL ? NULL : one->server,
                                      two == NULL ? NULL : two->server};
    const char *text = "host-record=here.shop.test,127.0.0.1\n";

    for (int i = 0; i < 2; i++) {
        if (servers[i] != NULL)
            text = keep_printf("%ssrv-host=_pillion._tcp.shop.test,here.shop.test,%d,1,10\n", text,
                               servers[i]->port);
    }
    return text;
}

/* How many servers of the template are up. */
static int servers_up(const struct server *home)
{
    int up = 0;

    for (int i = 1; i <= 4; i++)
        up += has_status(home, keep_printf("p%d", i), "UP");
    return up;
}

START_TEST(haproxy_finds_servers_by_srv_records)
{
    struct pillion one = serve("", ""), two = serve("", "");
    struct dns dns = {.server = one.server, .port = free_port()};
    int port = free_port();

    dns_serve(&dns, "shop.test", records(&one, NULL));
    pid_t haproxy = haproxy_start(
        one.server,
        keep_printf("resolvers r\n  nameserver n " DNS_HOST ":%d\n  hold valid 500ms\n"
                    "  hold obsolete 500ms\n  timeout resolve 500ms\n  timeout retry 500ms\n%s",
                    dns.port,
                    listen_on(port, "tcp",
                              "  option httpchk GET /readyz\n"
                              "  server-template p 4 _pillion._tcp.shop.test resolvers r "
                              "resolve-prefer ipv4 check inter 200 init-addr none\n")));
    close(connect_when_there(port));
    wait_until(servers_up(one.server) == 1, "the first server does not come up");
    clients_come(port, 2);
    dns_serve(&dns, "shop.test", records(&one, &two));
    wait_until(servers_up(one.server) == 2, "the second server does not come up");
    double before = server_calls(two.server, "ping", "calls");
    wait_until((clients_come(port, 2), server_calls(two.server, "ping", "calls") > before),
               "the second server has no clients");
    dns_serve(&dns, "shop.test", records(NULL, &two));
    wait_until(servers_up(one.server) == 1, "the first server does not leave");
    before = server_calls(one.server, "ping", "calls");
    clients_come(port, 6);
    ck_assert_int_eq((int)server_calls(one.server, "ping", "calls"), (int)before);
    daemon_end(haproxy);
    dns_end(&dns);
}
END_TEST

E2E_MAIN("haproxy", an_agent_is_told_one_line_whatever_it_sends, an_agent_is_told_what_readyz_tells,
         an_agents_connection_is_like_any_other, an_agent_whose_worker_dies_is_told_by_the_next,
         a_server_without_room_is_worth_less, a_protocol_that_is_none_is_refused_with_the_list,
         haproxy_sends_no_new_client_to_a_server_that_quits, haproxy_gives_a_fuller_server_less,
         the_example_for_haproxy_is_good, under_load_no_request_is_lost_to_a_server_that_quits,
         servers_are_added_and_taken_away_at_the_runtime_socket,
         haproxy_finds_servers_by_srv_records)
