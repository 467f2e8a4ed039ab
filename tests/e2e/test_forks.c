/* Modules that fork: their children keep nothing of the server's and do it no harm. */
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METHODS                                                                         \
    "method ping; method both; method mute; method stays; method ends; method thread; " \
    "method timer;"

static struct server *serve_forks(void)
{
    return server_serve_alone("load_module modules/forks.so;", METHODS);
}

static pid_t call(int client, const char *method)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\"}", method));
    const cJSON *reply = client_receive_json(client);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "out")), method);
    return (pid_t)cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result"));
}

static void expect_no_crash(const struct server *server)
{
    const cJSON *stats = server_stats(server);

    ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItem(stats, "crashes")), 0);
    ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItem(stats, "hangs")), 0);
}

/* The replies to request 1, a child's number, and to 2: a deferred one may come behind. */
static pid_t receive_both(int client)
{
    double results[3] = {0, 0, 0};

    for (int i = 0; i < 2; i++) {
        const cJSON *reply = client_receive_json(client);
        int id = cJSON_GetObjectItem(reply, "id")->valueint;
        ck_assert(id == 1 || id == 2);
        results[id] = cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result"));
    }
    ck_assert_double_eq(results[2], 2);
    ck_assert_double_gt(results[1], 2);
    return (pid_t)results[1];
}

START_TEST(children_that_come_back_do_not_fill_the_log)
{
    enum { CALLS = 100 };
    static const char line[] = "\"both\" has forked, and the child came back";
    struct server *server = serve_forks();
    int client = client_connect(server);
    unsigned lines = 0;

    for (int i = 0; i < CALLS; i++)
        call(client, "both");
    for (const char *at = server_wait_log(server, line); (at = strstr(at, line)) != NULL; at++)
        lines++;
    ck_assert_uint_lt(lines, CALLS / 4); /* five in ten seconds */
    expect_no_crash(server);
}
END_TEST

START_TEST(a_child_that_comes_back_ends_and_harms_nobody)
{
    static const char *const methods[] = {"both", "mute", "ends", "thread"};
    struct server *server = serve_forks();
    int client = client_connect(server), other = client_connect(server);

    client_send(other, "\x18\0\0\0{\"in\":\"pi", 13);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
            /* The requests behind it in the pipeline are answered once as well. */
            client_send_frame(client, keep_printf("{\"in\":\"%s\",\"id\":1}", methods[i]));
            client_send_frame(client, "{\"in\":\"ping\",\"params\":2,\"id\":2}");
            pid_t child = receive_both(client);
            wait_until(!process_lives(child), "the child of \"%s\" does not end", methods[i]);
            ck_assert(client_is_silent(client));
        }
    }
    client_send(other, "ng\",\"params\":1}", 15);
    client_expect(other, "{\"out\":\"pong\",\"result\":1}");
    expect_no_crash(server);
    server_wait_log(server, "module forks: \"both\" has forked, and the child came back");
    server_wait_log(server, "module forks: \"mute\" has forked, and the child came back");
    ck_assert(!server_logged(server, "\"ends\""));
    client_send_frame(client, "{\"in\":\"timer\"}");
    client_expect(client, "{\"out\":\"timer\",\"result\":true}");
    server_wait_log(server, "module forks: a callback has forked");
    client_expect_alive(client);
    expect_no_crash(server);
}
END_TEST

static void expect_own_pings(const int *clients, int count, int round)
{
    for (int i = 0; i < count; i++) {
        int number = round * count + i;
        client_send_frame(clients[i],
                          keep_printf("{\"in\":\"ping\",\"params\":%d,\"id\":%d}", number, number));
    }
    for (int i = 0; i < count; i++) {
        const cJSON *reply = client_receive_json(clients[i]);
        ck_assert_int_eq(cJSON_GetObjectItem(reply, "id")->valueint, round * count + i);
        ck_assert_int_eq(cJSON_GetObjectItem(reply, "result")->valueint, round * count + i);
    }
}

/* Of these, libc calls no handlers of pthread_atfork(3). */
START_TEST(children_unknown_to_libc_end_and_harm_nobody)
{
    enum { CLIENTS = 12 };
    static const char *const ways[] = {"_Fork", "SYS_fork", "SYS_clone"};
    static const char *const methods[] = {"both", "mute", "thread", "timer"};
    struct server *server = serve_forks();
    int clients[CLIENTS], client = client_connect(server), round = 0;

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_connect(server);
    for (size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
        for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
            client_send_frame(
                client, keep_printf("{\"in\":\"%s\",\"params\":\"%s\"}", methods[i], ways[way]));
            const cJSON *reply = client_receive_json(client);
            pid_t child = (pid_t)cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result"));
            ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "out")), methods[i]);
            for (int last = round + 4; round < last; round++)
                expect_own_pings(clients, CLIENTS, round);
            if (strcmp(methods[i], "timer") != 0)
                wait_until(!process_lives(child), "the child of \"%s\" by %s does not end",
                           methods[i], ways[way]);
            expect_own_pings(clients, CLIENTS, round++);
            ck_assert(client_is_silent(client));
        }
    }
    server_wait_log(server, "module forks: \"both\" has forked, and the child came back");
    server_wait_log(server, "module forks: \"mute\" has forked, and the child came back");
    server_wait_log(server, "module forks: a thread has forked, and the child came back");
    server_wait_log(server, "module forks: a callback has forked, and the child came back");
    expect_no_crash(server);
}
END_TEST

/* Sockets, and whatever else there is beside the log, 0 to 2 and files of memory. */
static size_t sockets_of(pid_t pid)
{
    DIR *directory = opendir(keep_printf("/proc/%d/fd", (int)pid));
    struct dirent *entry;
    size_t count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        char target[256];
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        target[size < 0 ? 0 : size] = '\0';
        count += strncmp(target, "socket:", 7) == 0 || strstr(target, "eventpoll") != NULL ||
                 strstr(target, "eventfd") != NULL || strstr(target, "arena") != NULL;
    }
    closedir(directory);
    return count;
}

START_TEST(a_child_that_stays_has_no_socket_of_the_server)
{
    struct server *server = serve_forks();
    int clients[40];

    for (int i = 0; i < 40; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    pid_t child = call(clients[0], "stays");
    ck_assert_int_gt(child, 1);
    client_send_frame(clients[0], "{\"in\":\"stays\",\"params\":\"_Fork\"}");
    const cJSON *reply = client_receive_json(clients[0]);
    pid_t other = (pid_t)cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result"));
    ck_assert_int_gt(other, 1);
    wait_until(sockets_of(other) == 0, "the other child has %zu sockets", sockets_of(other));
    /* Its parent may have answered before it has run at all. */
    wait_until(sockets_of(child) == 0, "the child has %zu sockets", sockets_of(child));
    /* Clients see the end of the server, and the port is free for another one. */
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    for (int i = 0; i < 40; i++)
        wait_until(client_is_closed(clients[i]), "a client is kept by a child");
    ck_assert_int_lt(client_try_connect(server->port), 0);
    ck_assert(process_lives(child));
    server_start(server);
    expect_no_crash(server);
    ck_assert(process_lives(child));
    kill(child, SIGKILL);
    kill(other, SIGKILL);
}
END_TEST

E2E_MAIN("forks", children_unknown_to_libc_end_and_harm_nobody,
         children_that_come_back_do_not_fill_the_log, a_child_that_comes_back_ends_and_harms_nobody,
         a_child_that_stays_has_no_socket_of_the_server)
