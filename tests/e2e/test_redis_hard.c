/* The redis module when things are hard: a Redis that does not read, is silent or takes no changes
 * any more, and replies that are large. */
#include "redis_server.h"
#include "relay.h"

#define METHODS                                                                               \
    "method ping;"                                                                            \
    "redis_method get GET $key;"                                                              \
    "redis_method set SET $key $value;"                                                       \
    "redis_method rep EVAL 'return string.rep(ARGV[1], tonumber(ARGV[2]))' 0 $text $times;"   \
    "redis_method pair EVAL 'local s = string.rep(ARGV[1], tonumber(ARGV[2])) return {1, s, " \
    "{s}, \"x\"}' 0 $text $times;"                                                            \
    "redis_method half EVAL 'return string.rep(\"\\\\195\", tonumber(ARGV[1]))' 0 $times;"    \
    "redis_method many EVAL 'local t = {} for i = 1, tonumber(ARGV[1]) do t[i] = i end "      \
    "return t' 0 $times;"

static struct server *serve_relayed(int port, const char *settings, int *client)
{
    struct server *server = server_new();

    server_conf(
        server,
        keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; %s }", port, settings),
        METHODS);
    /* Before the server looks for it, which would log that it has to try again. */
    wait_until(client_try_connect(port) >= 0, "nothing listens on port %d", port);
    server_start_alone(server);
    *client = client_connect(server);
    redis_is_there(*client);
    return server;
}

static char *repeat(const char *text, size_t times)
{
    size_t size = strlen(text);
    char *all = keep(malloc(size * times + 1));

    for (size_t i = 0; i < times; i++)
        memcpy(all + i * size, text, size);
    all[size * times] = '\0';
    return all;
}

static void gives(int client, const char *method, const char *params, const char *result)
{
    const char *reply = client_call(client, method, params);

    if (strcmp(reply, keep_printf("{\"out\":\"value\",\"result\":%s}", result)) != 0)
        fail_test("%s %s gives %.200s and not %.200s", method, params, reply, result);
}

START_TEST(replies_are_as_large_as_max_reply)
{
    struct redis redis = {.port = free_port()};
    int client;
    struct server *server = server_new();

    redis_start(&redis, server, NULL);
    server = serve_relayed(redis.port, "max_reply 1m; connections 1; timeout 1m;", &client);
    for (int round = 0; round < 2; round++) {
        /* As large as may be, and one more. */
        const char *reply = client_call(client, "rep", "{\"text\":\"x\",\"times\":1048574}");
        ck_assert_uint_eq(strlen(reply), strlen("{\"out\":\"value\",\"result\":\"\"}") + 1048574);
        client_send_frame(client, "{\"in\":\"rep\",\"params\":{\"text\":\"x\",\"times\":1048575}}");
        expect_part(client_expect_error(client, "redis_too_large"), "1048576 bytes (max_reply)");
        client_send_frame(client,
                          "{\"in\":\"rep\",\"params\":{\"text\":\"\\u0001\",\"times\":500000}}");
        client_expect_error(client, "redis_too_large");
        client_send_frame(client,
                          "{\"in\":\"rep\",\"params\":{\"text\":\"x\",\"times\":20000000}}");
        client_expect_error(client, "redis_too_large");
        client_send_frame(client, "{\"in\":\"many\",\"params\":{\"times\":1000000}}");
        client_expect_error(client, "redis_too_large");
        client_expect_alive(client);
    }
    ck_assert_double_eq(server_metric(server, "redis", "connected"), 1);
    ck_assert_ptr_null(strstr(server_log(server), "tried again"));
    redis_end(&redis);
}
END_TEST

static long peak_kb(pid_t pid)
{
    const char *at = strstr(file_read(keep_printf("/proc/%d/status", (int)pid), NULL), "VmHWM:");
    return at == NULL ? 0 : atol(at + 6);
}

/* A string that is too large is never in memory, wherever in a reply it is. */
START_TEST(strings_larger_than_max_reply_are_not_read)
{
    struct redis redis = {.port = free_port()};
    struct server *server = server_new();
    pid_t workers[2];
    int client;

    redis_start(&redis, server, NULL);
    server = serve_relayed(redis.port, "max_reply 100k; connections 1; timeout 1m;", &client);
    ck_assert_uint_eq(server_workers(server, workers, 2), 1);
    long before = peak_kb(workers[0]);
    for (int round = 0; round < 3; round++) {
        client_send_frame(client,
                          "{\"in\":\"rep\",\"params\":{\"text\":\"x\",\"times\":30000000}}");
        client_expect_error(client, "redis_too_large");
        gives(client, "rep", "{\"text\":\"y\",\"times\":3}", "\"yyy\"");
        client_send_frame(client,
                          "{\"in\":\"pair\",\"params\":{\"text\":\"x\",\"times\":10000000}}");
        client_expect_error(client, "redis_too_large");
        gives(client, "pair", "{\"text\":\"y\",\"times\":1}", "[1,\"y\",[\"y\"],\"x\"]");
    }
    /* Around the size at which a string begins to be dropped, and one that is just whole. */
    for (int size = 102390; size < 102410; size++) {
        client_send_frame(
            client, keep_printf("{\"in\":\"rep\",\"params\":{\"text\":\"x\",\"times\":%d}}", size));
        if (size <= 102398)
            expect_part(client_receive(client, NULL), "{\"out\":\"value\"");
        else
            client_expect_error(client, "redis_too_large");
    }
    ck_assert_int_lt(peak_kb(workers[0]) - before, 20000);
    ck_assert_double_eq(server_metric(server, "redis", "connected"), 1);
    ck_assert_ptr_null(strstr(server_log(server), "tried again"));
    redis_end(&redis);
}
END_TEST

START_TEST(large_replies_are_whole)
{
    struct redis redis = {.port = free_port()};
    int client;

    redis_start(&redis, server_new(), NULL);
    serve_relayed(redis.port, "timeout 1m;", &client);
    /* Characters of 1 to 4 bytes, and some that are escaped, at every place of a piece. */
    const char *text =
        keep_printf("a%s%s%s\\u0001\\\\", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80");
    const char *plain =
        keep_printf("a%s%s%s\\u0001\\u005c", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80");
    for (size_t lead = 0; lead < 3; lead++) {
        const char *all = repeat(plain, 40000);
        gives(client, "rep", keep_printf("{\"text\":\"%s\",\"times\":40000}", text),
              keep_printf("\"%s\"", all));
        gives(client, "pair", keep_printf("{\"text\":\"%s\",\"times\":40000}", text),
              keep_printf("[1,\"%s\",[\"%s\"],\"x\"]", all, all));
        text = keep_printf("a%s", text);
        plain = keep_printf("a%s", plain);
    }
    expect_part(client_call(client, "half", "{\"times\":300000}"), "redis_not_text");
    gives(client, "pair", "{\"text\":\"y\",\"times\":2}", "[1,\"yy\",[\"yy\"],\"x\"]");
    redis_end(&redis);
}
END_TEST

START_TEST(requests_that_time_out_unsent_are_never_sent)
{
    struct redis redis = {.port = free_port()};
    int client;
    struct server *server = server_new();

    redis_start(&redis, server, NULL);
    server = serve_relayed(redis.port, "connections 1; timeout 1s; max_unsent 64m;", &client);
    int late = client_connect(server);
    ck_assert_int_eq(kill(redis.pid, SIGSTOP), 0);
    /* More than the socket's buffers hold. */
    const char *value = repeat("x", 900000);
    for (int i = 0; i < 20; i++)
        client_send_frame(client, keep_printf("{\"in\":\"set\",\"params\":{\"key\":\"a\","
                                              "\"value\":\"%s\"},\"id\":%d}",
                                              value, i));
    client_send_frame(client, "{\"in\":\"ping\",\"id\":\"p\"}");
    bool pong = false;
    for (int replies = 0; !pong; replies++) {
        ck_assert_int_lt(replies, 21);
        pong = strstr(client_receive(client, NULL), "pong") != NULL;
    }
    for (int i = 0; i < 10; i++)
        client_send_frame(late, keep_printf("{\"in\":\"set\",\"params\":{\"key\":\"late\","
                                            "\"value\":1},\"id\":%d}",
                                            i));
    for (int i = 0; i < 10; i++)
        client_expect_error(late, "timeout");
    ck_assert_int_eq(kill(redis.pid, SIGCONT), 0);
    int other = client_connect(server);
    redis_is_there(other);
    const char *reply;
    wait_until(strstr(reply = client_call(other, "get", "{\"key\":\"late\"}"), "\"value\"") != NULL,
               "it is not answered");
    expect_part(reply, "\"result\":null");
    redis_end(&redis);
}
END_TEST

START_TEST(a_silent_redis_is_left_after_five_seconds)
{
    struct redis redis = {.port = free_port()};
    struct server *server = server_new();
    int client;

    redis_start(&redis, server, NULL);
    struct relay *relay = relay_start(redis.port);
    server = server_new();
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; connections 1; }",
                            relay->port),
                "idle_timeout 6s;" METHODS);
    server_start_alone(server);
    client = client_connect(server);
    redis_is_there(client);
    relay->muted++;
    /* The same loop tells the time for the one and the other: which is first does not depend on how
     * busy the machine is. */
    int idle = client_connect(server);
    client_expect_alive(idle);
    client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"}}");
    client_expect_error(client, "timeout");
    client_expect_end(idle);
    ck_assert(server_logged(server, "the server has stopped answering"));
    redis_end(&redis);
}
END_TEST

START_TEST(a_redis_that_takes_no_changes_is_left_for_another)
{
    struct redis redis = {.port = free_port()};
    struct redis replica = {.port = free_port(),
                            .replicaof = keep_printf("127.0.0.1 %d", free_port())};
    int client;
    struct server *server = server_new();

    redis_start(&redis, server, NULL);
    redis_start(&replica, server, NULL);
    struct relay *relay = relay_start(replica.port);
    server = serve_relayed(relay->port, "connections 2;", &client);
    expect_part(client_call(client, "set", "{\"key\":\"a\",\"value\":1}"), "READONLY");
    double unavailable = server_metric(server, "redis", "unavailable");
    relay->server = redis.port;
    wait_until(strstr(client_call(client, "set", "{\"key\":\"a\",\"value\":1}"), "READONLY") ==
                   NULL,
               "it stays where it was");
    wait_until(server_metric(server, "redis", "connected") == 2, "not all connect again");
    gives(client, "get", "{\"key\":\"a\"}", "\"1\"");
    ck_assert_double_eq(server_metric(server, "redis", "unavailable"), unavailable);
    redis_end(&redis);
    redis_end(&replica);
}
END_TEST

E2E_MAIN("redis_hard", strings_larger_than_max_reply_are_not_read,
         replies_are_as_large_as_max_reply, large_replies_are_whole,
         requests_that_time_out_unsent_are_never_sent, a_silent_redis_is_left_after_five_seconds,
         a_redis_that_takes_no_changes_is_left_for_another)
