/* Reloads: no client notices one, and a reload that fails changes nothing. */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* cp, over the file that is in use. */
static void put_version(const struct server *server, int version)
{
    file_copy(server_path(server, keep_printf("modules/version_v%d.so", version)),
              server_path(server, "modules/version.so"));
}

static struct server *serve_version(void)
{
    struct server *server = server_new();

    put_version(server, 1);
    server_conf(server, "load_module modules/version.so;", "method ping; method version;");
    server_start(server);
    return server;
}

/* ---- under load ---- */

struct busy {
    pthread_t thread;
    int client;
    _Atomic bool *stop;
    int v1, v2, wrong;
    _Atomic int asked;
};

/* One call, on a thread that shares nothing with the test's. "" when anything went wrong. */
static void call_version(int client, char *reply, size_t capacity)
{
    static const char request[] = "\x17\0\0\0{\"in\":\"version\",\"id\":1}";
    size_t got = 0, wanted = 4;
    uint32_t size;

    reply[0] = '\0';
    if (send(client, request, 27, MSG_NOSIGNAL) != 27)
        return;
    while (got < wanted) {
        struct pollfd readable = {.fd = client, .events = POLLIN};
        if (poll(&readable, 1, PATIENCE_MS) != 1)
            return;
        ssize_t more = recv(client, reply + got, capacity - 1 - got, 0);
        if (more <= 0)
            return;
        got += (size_t)more;
        if (got >= 4) {
            memcpy(&size, reply, 4);
            wanted = 4 + size < capacity ? 4 + size : 4;
        }
    }
    memmove(reply, reply + 4, got - 4);
    reply[got - 4] = '\0';
}

/* Asks and asks; a reply that is neither is wrong, and so is a connection that ends. */
static void *stay_busy(void *argument)
{
    struct busy *busy = argument;

    while (!atomic_load(busy->stop) && busy->wrong == 0) {
        char reply[256];
        call_version(busy->client, reply, sizeof(reply));
        busy->v1 += strcmp(reply, "{\"out\":\"version\",\"result\":\"v1\",\"id\":1}") == 0;
        busy->v2 += strcmp(reply, "{\"out\":\"version\",\"result\":\"v2\",\"id\":1}") == 0;
        busy->wrong = ++busy->asked - busy->v1 - busy->v2;
    }
    return NULL;
}

START_TEST(a_module_is_replaced_under_load_by_plain_cp)
{
    struct server *server = serve_version();
    _Atomic bool stop = false;
    struct busy busy = {.client = client_connect(server), .stop = &stop};

    ck_assert_int_eq(pthread_create(&busy.thread, NULL, stay_busy, &busy), 0);
    int after = client_connect(server);
    for (int round = 0; round < 10; round++) {
        int version = round % 2 == 0 ? 2 : 1;
        put_version(server, version);
        server_reload(server);
        client_send_frame(after, "{\"in\":\"version\"}");
        client_expect(after, keep_printf("{\"out\":\"version\",\"result\":\"v%d\"}", version));
        /* One may have been asked for before that, the next one was not. */
        int asked = atomic_load(&busy.asked);
        wait_until(atomic_load(&busy.asked) > asked + 1, "it is not busy any more");
    }
    atomic_store(&stop, true);
    pthread_join(busy.thread, NULL);
    ck_assert_msg(busy.wrong == 0 && busy.v1 > 0 && busy.v2 > 0, "v1 %d, v2 %d, wrong %d", busy.v1,
                  busy.v2, busy.wrong);
}
END_TEST

START_TEST(the_number_of_workers_changes_and_nobody_notices)
{
    static const int numbers[] = {4, 2, 3, 1, 4};
    struct server *server = serve_version();
    int clients[300];
    pid_t workers[8];

    for (int i = 0; i < 300; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], "\x18\0\0\0{\"in\":\"pi", 13);
    }
    for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
        char *text = file_read(server->conf, NULL);
        char *rest = strchr(text, '\n');
        server_write(server, "conf/pillion.conf", "worker_processes %d;%s", numbers[n], rest);
        server_reload(server);
        for (int i = 0; i < 300; i++) {
            client_send(clients[i], "ng\",\"params\":1}\x18\0\0\0{\"in\":\"pi", 28);
            client_expect(clients[i], "{\"out\":\"pong\",\"result\":1}");
        }
        wait_until(server_workers(server, workers, 8) == (size_t)numbers[n],
                   "there are not %d workers", numbers[n]);
    }
}
END_TEST

/* ---- connections in every state ---- */

START_TEST(clients_that_do_not_read_keep_their_replies)
{
    struct server *server = serve_version();
    int client = client_connect(server);
    struct buffer requests = {0}, replies = {0};
    char *text = keep(malloc(50001));

    memset(text, 'x', 50000);
    text[50000] = '\0';
    for (int i = 0; i < 40; i++) {
        buffer_add_frame(&requests, "{\"in\":\"ping\",\"params\":\"%s\",\"id\":%d}", text, i);
        buffer_add_frame(&replies, "{\"out\":\"pong\",\"result\":\"%s\",\"id\":%d}", text, i);
    }
    size_t sent = 0;
    while (sent < 600000) { /* more than sockets hold; the rest comes later */
        client_send(client, requests.data + sent, 1000);
        sent += 1000;
    }
    server_reload(server);
    server_reload(server);
    client_exchange(client, requests.data + sent, requests.size - sent, 0, replies.data,
                    replies.size);
    free(requests.data);
    free(replies.data);
}
END_TEST

START_TEST(a_client_that_has_sent_its_last_request_gets_its_replies)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server, "load_module modules/crash.so;", "method sleep; method ping;");
    server_start(server);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"sleep\",\"params\":200}");
    client_send_frame(client, "{\"in\":\"ping\",\"params\":2}");
    client_finish(client);
    server_reload(server);
    client_expect(client, "{\"out\":\"slept\",\"result\":200}");
    client_expect(client, "{\"out\":\"pong\",\"result\":2}");
    client_expect_end(client);
}
END_TEST

START_TEST(clients_of_unix_sockets_stay)
{
    struct server *server = server_new();

    server_conf(server, "",
                keep_printf("method ping; listen unix:%s;", server_path(server, "run/sock")));
    server_start(server);
    int client = client_connect_unix(server_path(server, "run/sock"));
    for (int i = 0; i < 5; i++) {
        client_send(client, "\x18\0\0\0{\"in\":\"pi", 13);
        server_reload(server);
        client_send(client, "ng\",\"params\":1}", 15);
        client_expect(client, "{\"out\":\"pong\",\"result\":1}");
    }
}
END_TEST

/* ---- configurations ---- */

START_TEST(new_limits_hold_for_old_connections)
{
    struct server *server = serve_version();
    int client = client_connect(server);

    client_expect_alive(client);
    server_conf(server, "", "max_frame 64; method ping;");
    server_reload(server);
    client_expect_alive(client);
    client_announce(client, 65);
    client_expect_error(client, "frame_too_large");
}
END_TEST

START_TEST(addresses_come_and_go)
{
    struct server *server = serve_version();
    int port = free_port(), client = client_connect(server);

    ck_assert_int_eq(client_try_connect(port), -1);
    server_conf(server, "", keep_printf("method ping; listen 127.0.0.1:%d;", port));
    server_reload(server);
    int other = client_try_connect(port);
    ck_assert_int_ge(other, 0);
    client_expect_alive(other);
    server_conf(server, "", "method ping;");
    server_reload(server);
    wait_until(client_try_connect(port) == -1, "the address is still listened on");
    client_expect_alive(other); /* of its block, which is still there (test_addresses) */
    client_expect_alive(client);
}
END_TEST

START_TEST(a_configuration_with_errors_changes_nothing)
{
    struct server *server = serve_version();
    int client = client_connect(server);

    server_write(server, "conf/pillion.conf", "server { lisen 127.0.0.1:1; }\n");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "pillion.conf:1:10: unknown directive \"lisen\"");
    expect_part(run.err, "did you mean \"listen\"?");
    client_expect_alive(client);
    server_signal(server, SIGHUP);
    server_wait_log(server, "reload failed");
    client_expect_alive(client);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(an_address_in_use_fails_the_reload_only)
{
    struct server *server = serve_version(), *other = serve_version();

    server_conf(server, "", keep_printf("method ping; listen 127.0.0.1:%d;", other->port));
    server_reload_refused(server, "another process listens there");
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect(other));
}
END_TEST

START_TEST(reloads_that_come_together_all_succeed)
{
    struct server *server = serve_version();
    int client = client_connect(server);
    char *ask = keep_printf("%s -s reload -p %s", pillion_binary(), server->prefix);
    char *script = keep_printf("%s & a=$!; %s & b=$!; %s & c=$!; wait $a && wait $b && wait $c",
                               ask, ask, ask);

    for (int i = 0; i < 5; i++) {
        struct run run =
            run_command((const char *const[]){"/bin/sh", "-c", script, NULL}, NULL, PATIENCE_MS);
        expect_status(&run, 0);
        client_expect_alive(client);
    }
}
END_TEST

E2E_MAIN("reload", a_module_is_replaced_under_load_by_plain_cp,
         the_number_of_workers_changes_and_nobody_notices,
         clients_that_do_not_read_keep_their_replies,
         a_client_that_has_sent_its_last_request_gets_its_replies, clients_of_unix_sockets_stay,
         new_limits_hold_for_old_connections, addresses_come_and_go,
         a_configuration_with_errors_changes_nothing, an_address_in_use_fails_the_reload_only,
         reloads_that_come_together_all_succeed)
