/* The redis module against a real Redis: values, errors, a server that is away, hangs or is
 * restarted under load, and reloads meanwhile. */
#include <netinet/in.h>

#include "redis_server.h"
#include "relay.h"

#define METHODS                                                                                 \
    "method ping;"                                                                              \
    "redis_method get GET $key;"                                                                \
    "redis_method set SET $key $value EX $ttl?;"                                                \
    "redis_method del DEL $keys...;"                                                            \
    "redis_method doc GET $key { returns json; }"                                               \
    "method push { handler redis.command; command RPUSH $key $items...; }"                      \
    "method range { handler redis.command; command LRANGE $key 0 -1; }"                         \
    "redis_method add INCRBY $key $by;"                                                         \
    "method raw { handler redis.command; command SETRANGE b 0 \"\xff\"; }"                      \
    "method ttl { handler redis.command; command TTL $key; }"                                   \
    "redis_method user GET user:$id; redis_method put SET user:$id $text PX $ms?;"              \
    "redis_method mget MGET $keys... { returns json; }"                                         \
    "redis_method odd EVAL 'return redis.status_reply(\"\\\\255\")' 0;"                         \
    "redis_method nest EVAL \"return {1,{2,{}},{},{{3},'x',redis.error_reply('E')},false}\" 0;" \
    "redis_method stream XREAD $args...;"

/* A server whose module talks to a port on which no server listens yet. */
static struct server *serve_redis(struct redis *redis, const char *settings)
{
    struct server *server = server_new(), *place = server_new();

    *redis = (struct redis){.port = place->port};
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; %s }", redis->port,
                            settings),
                METHODS);
    server_start_alone(server);
    return server;
}

static struct server *serve_with_redis(struct redis *redis, int *client)
{
    struct server *server = serve_redis(redis, "timeout 1m;"); /* no request is to wait in vain */

    *client = client_connect(server);
    redis_start(redis, server, NULL);
    redis_is_there(*client);
    return server;
}

START_TEST(commands_become_methods)
{
    static const struct {
        const char *method, *params, *reply;
    } calls[] = {
        {"get", "{\"key\":\"a\"}", "{\"out\":\"value\",\"result\":null}"},
        {"set", "{\"key\":\"a\",\"value\":\"gr\xc3\xbc\xc3\x9f \\\"x\\\"\\n\"}",
         "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"a\"}",
         "{\"out\":\"value\",\"result\":\"gr\xc3\xbc\xc3\x9f \\u0022x\\u0022\\u000a\"}"},
        {"ttl", "{\"key\":\"a\"}", "{\"out\":\"value\",\"result\":-1}"},
        {"set", "{\"key\":\"n\",\"value\":12345678901,\"ttl\":1000}",
         "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"n\"}", "{\"out\":\"value\",\"result\":\"12345678901\"}"},
        {"set", "{\"key\":\"f\",\"value\":0.5}", "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"f\"}", "{\"out\":\"value\",\"result\":\"0.5\"}"},
        {"push", "{\"key\":\"l\",\"items\":[\"a\",2,\"\"]}", "{\"out\":\"value\",\"result\":3}"},
        {"push", "{\"key\":\"l\",\"items\":\"alone\"}", "{\"out\":\"value\",\"result\":4}"},
        {"range", "{\"key\":\"l\"}", "{\"out\":\"value\",\"result\":[\"a\",\"2\",\"\",\"alone\"]}"},
        {"range", "{\"key\":\"none\"}", "{\"out\":\"value\",\"result\":[]}"},
        {"set", "{\"key\":\"j\",\"value\":\"{\\\"a\\\":[1,2]}\"}",
         "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"doc", "{\"key\":\"j\"}", "{\"out\":\"value\",\"result\":{\"a\":[1,2]}}"},
        {"add", "{\"key\":\"count\",\"by\":9007199254740993}",
         "{\"out\":\"value\",\"result\":9007199254740993}"},
        {"set", "{\"key\":\"f\",\"value\":0.1}", "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"f\"}", "{\"out\":\"value\",\"result\":\"0.1\"}"},
        {"set", "{\"key\":\"f\",\"value\":1e999}", "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"f\"}", "{\"out\":\"value\",\"result\":\"1e999\"}"},
        {"push", "{\"items\":[ 0.1 ,\"a,]\\\"\",-1e5,\"\",9007199254740993\n],\"key\":\"m\"}",
         "{\"out\":\"value\",\"result\":5}"},
        {"range", "{\"key\":\"m\"}",
         "{\"out\":\"value\",\"result\":[\"0.1\",\"a,]\\u0022\",\"-1e5\",\"\","
         "\"9007199254740993\"]}"},
        {"set", "{\"key\":\"c\",\"value\":\"C:\\\\u0000\"}",
         "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"get", "{\"key\":\"c\"}", "{\"out\":\"value\",\"result\":\"C:\\u005cu0000\"}"},
        {"put", "{\"id\":7,\"text\":\"Ada\",\"ms\":null}", "{\"out\":\"value\",\"result\":\"OK\"}"},
        {"user", "{\"id\":\"7\"}", "{\"out\":\"value\",\"result\":\"Ada\"}"},
        {"get", "{\"key\":\"user:7\"}", "{\"out\":\"value\",\"result\":\"Ada\"}"},
        {"mget", "{\"keys\":[\"j\",\"none\"]}",
         "{\"out\":\"value\",\"result\":[{\"a\":[1,2]},null]}"},
        {"nest", "null",
         "{\"out\":\"value\",\"result\":[1,[2,[]],[],[[3],\"x\",{\"error\":\"ERR E\"}],null]}"},
        {"del", "{\"keys\":[\"a\",\"n\",\"none\"]}", "{\"out\":\"value\",\"result\":2}"},
    };
    struct redis redis;
    int client;

    serve_with_redis(&redis, &client);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        const char *reply = client_call(client, calls[i].method, calls[i].params);
        if (strcmp(reply, calls[i].reply) != 0)
            fail_test("%s %s gives %s and not %s", calls[i].method, calls[i].params, reply,
                      calls[i].reply);
    }
    client_call(client, "set", "{\"key\":\"n\",\"value\":1,\"ttl\":1000}");
    client_send_frame(client, "{\"in\":\"ttl\",\"params\":{\"key\":\"n\"}}");
    double ttl = cJSON_GetNumberValue(cJSON_GetObjectItem(client_receive_json(client), "result"));
    ck_assert_double_ge(ttl, 900); /* some of it may have passed */
    ck_assert_double_le(ttl, 1000);
    redis_end(&redis);
}
END_TEST

START_TEST(bad_params_are_refused_with_the_reason)
{
    static const struct {
        const char *method, *params, *part;
    } calls[] = {
        {"get", "null", "\\\"key\\\" is missing in params"},
        {"get", "[]", "\\\"key\\\" is missing in params"},
        {"get", "{\"key\\u0000x\":\"text\"}", "\\\"key\\\" is missing in params"},
        {"get", "{\"kez\":1}", "\\\"key\\\" is missing in params"},
        {"get", "{\"key\":{}}", "\\\"key\\\" must be a string or a number"},
        {"get", "{\"key\":true}", "\\\"key\\\" must be a string or a number"},
        {"push", "{\"key\":\"x\",\"items\":[[]]}", "or an array of them"},
        {"push", "{\"key\":\"x\",\"items\":[]}", "redis_error"},
        {"get", "{\"key\":\"a\\u0000b\"}", "\\\\u0000, which is not supported"},
        {"get", "{\"key\":\"a\\ud800b\"}", "half of a surrogate pair"},
        {"get", "{\"\\u006bey\":\"te\\u0078t\"}", "\"result\":\"no json\""},
        {"range", "{\"key\":\"text\"}", "WRONGTYPE"},
        {"doc", "{\"key\":\"text\"}", "redis_not_json"},
        {"mget", "{\"keys\":[\"pair\"]}", "redis_not_json"},
        {"odd", "null", "redis_not_text"},
        {"stream", "{\"args\":[\"count\",1,\"Block\",0,\"STREAMS\",\"s\",0]}",
         "BLOCK is not supported"},
        {"stream", "{\"args\":[\"STREAMS\",\"block\",0]}", "\"result\":null"},
        {"get", "{\"key\":\"b\"}", "redis_not_text"},
    };
    struct redis redis;
    int client;

    serve_with_redis(&redis, &client);
    client_call(client, "set", "{\"key\":\"text\",\"value\":\"no json\"}");
    client_call(client, "set", "{\"key\":\"pair\",\"value\":\"1,2\"}");
    expect_part(client_call(client, "raw", "null"), "\"result\":1}");
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        expect_part(client_call(client, calls[i].method, calls[i].params), calls[i].part);
    client_expect_alive(client);
    redis_end(&redis);
}
END_TEST

START_TEST(without_redis_there_is_an_error_at_once)
{
    struct redis redis;
    struct server *server = serve_redis(&redis, "timeout 1h;");
    int client = client_connect(server);

    expect_part(client_call(client, "get", "{\"key\":\"a\"}"), "\"redis_unavailable\"");
    server_wait_log(server, "Connection refused; it is tried again");
    client_expect_alive(client);
    redis_start(&redis, server, NULL);
    redis_is_there(client);
    server_wait_log(server, "is there again");
    redis_end(&redis);
    wait_until(strstr(client_call(client, "get", "{\"key\":\"a\"}"), "\"redis_unavailable\"") !=
                   NULL,
               "it goes on without redis");
    redis_start(&redis, server, NULL);
    redis_is_there(client);
    redis_end(&redis);
}
END_TEST

START_TEST(a_redis_that_hangs_costs_time_and_nothing_else)
{
    struct redis redis;
    struct server *server = serve_redis(&redis, "timeout 100ms;");
    int client = client_connect(server), other = client_connect(server);

    redis_start(&redis, server, NULL);
    redis_is_there(client);
    kill(redis.pid, SIGSTOP);
    client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":1}");
    client_expect_alive(other);
    client_expect_error(client, "timeout");
    kill(redis.pid, SIGCONT);
    redis_is_there(client);
    redis_end(&redis);
}
END_TEST

START_TEST(the_requests_waiting_for_a_redis_that_does_not_read_are_bounded)
{
    struct redis redis;
    struct server *server = serve_redis(&redis, "timeout 300ms; connections 1; max_unsent 64k;");
    int client = client_connect(server), overloaded = 0, sent = 0;
    char *value = malloc(900001);

    memset(value, 'x', 900000);
    value[900000] = '\0';
    redis_start(&redis, server, NULL);
    redis_is_there(client);
    kill(redis.pid, SIGSTOP);
    /* More than the socket's buffers hold. */
    for (; sent < 100 && overloaded == 0; sent++) {
        client_send_frame(client, keep_printf("{\"in\":\"set\",\"params\":{\"key\":\"a\","
                                              "\"value\":\"%s\"},\"id\":%d}",
                                              value, sent));
        client_send_frame(client, "{\"in\":\"ping\",\"id\":\"p\"}");
        for (bool pong = false; !pong;) {
            char *reply = client_receive(client, NULL);
            pong = strstr(reply, "pong") != NULL;
            overloaded += strstr(reply, "max_unsent") != NULL;
        }
    }
    ck_assert_int_eq(overloaded, 1);
    /* It never says a word again: the connection is given up, and another one asked for. */
    server_wait_log(server, "the server has stopped answering");
    kill(redis.pid, SIGCONT);
    int other = client_connect(server);
    redis_is_there(other);
    redis_end(&redis);
    free(value);
}
END_TEST

START_TEST(a_server_that_never_greets_is_given_up)
{
    struct redis redis;
    struct server *server = serve_redis(&redis, "connections 1;");
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)redis.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listening, 16), 0);
    int silent = accept(listening, NULL, NULL);
    ck_assert_int_ge(silent, 0);
    server_wait_log(server, "the server does not answer; it is tried again");
    expect_part(client_call(client_connect(server), "get", "{\"key\":\"a\"}"),
                "\"there is no connection to Redis\"");
    ck_assert_int_ge(accept(listening, NULL, NULL), 0);
}
END_TEST

/* Counts what comes back for `count` requests that are pipelined. */
static void expect_all_answered(int client, int count, int *values, int *errors)
{
    *values = *errors = 0;
    for (int i = 0; i < count; i++) {
        char *reply = client_receive(client, NULL);
        *values += strstr(reply, "\"out\":\"value\"") != NULL;
        *errors += strstr(reply, "redis_unavailable") != NULL || strstr(reply, "timeout") != NULL;
    }
    ck_assert_int_eq(*values + *errors, count);
}

START_TEST(a_redis_that_is_restarted_under_load_costs_errors_while_it_is_away)
{
    struct redis redis;
    int client, values, errors;
    struct server *server = serve_with_redis(&redis, &client);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++)
            client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":1}");
        kill(redis.pid, SIGSTOP);
        for (int i = 0; i < 50; i++)
            client_send_frame(client, "{\"in\":\"set\",\"params\":{\"key\":\"a\",\"value\":1},"
                                      "\"id\":2}");
        redis_end(&redis);
        expect_all_answered(client, 100, &values, &errors);
        redis_start(&redis, server, NULL);
        redis_is_there(client);
        for (int i = 0; i < 50; i++)
            client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":1}");
        expect_all_answered(client, 50, &values, &errors);
        ck_assert_int_ge(values, 1);
    }
    client_expect_alive(client);
    wait_until(server_metric(server, "redis", "connected") == 2, "not all connect again");
    ck_assert_double_ge(server_metric(server, "redis", "commands"), 150);
    redis_end(&redis);
    wait_until(server_metric(server, "redis", "connected") == 0, "it is not noticed");
    client_call(client, "get", "{\"key\":\"a\"}");
    ck_assert_double_ge(server_metric(server, "redis", "unavailable"), 1);
}
END_TEST

START_TEST(a_reload_waits_for_redis)
{
    struct redis redis;
    int client;
    struct server *server = serve_with_redis(&redis, &client);

    client_call(client, "set", "{\"key\":\"a\",\"value\":\"kept\"}");
    kill(redis.pid, SIGSTOP);
    client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    server_reload(server);
    kill(redis.pid, SIGCONT);
    client_expect(client, "{\"out\":\"value\",\"result\":\"kept\",\"id\":1}");
    redis_is_there(client);
    redis_end(&redis);
}
END_TEST

/* A server whose connections to Redis go through a relay. */
static struct server *serve_through(struct relay **relay, struct redis *redis, const char *settings,
                                    int *client)
{
    struct server *server = server_new();

    *redis = (struct redis){.port = free_port()};
    redis_start(redis, server, NULL);
    *relay = relay_start(redis->port);
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; %s }",
                            (*relay)->port, settings),
                METHODS);
    server_start_alone(server);
    *client = client_connect(server);
    redis_is_there(*client);
    return server;
}

/* A new worker, whose connections are held while they are opened. */
static void reload_held(const struct server *server, struct relay *relay, unsigned connections)
{
    wait_until(server_metric(server, "redis", "connected") == connections, "not all connect");
    unsigned before = relay->held;
    relay->way = RELAY_HOLDS;
    server_reload(server);
    wait_until(relay->held == before + connections, "the new worker does not connect");
}

/* Sends `count` requests, and nothing is said to them yet. */
static void ask_in_vain(int client, int count)
{
    for (int i = 0; i < count; i++)
        client_send_frame(client,
                          keep_printf("{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":%d}", i));
    client_send_frame(client, "{\"in\":\"ping\",\"id\":\"p\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":\"p\"}");
}

START_TEST(requests_wait_for_the_first_connections_of_a_new_worker)
{
    struct relay *relay;
    struct redis redis;
    int client, values, errors;
    struct server *server = serve_through(&relay, &redis, "database 3; timeout 1m;", &client);

    client_call(client, "set", "{\"key\":\"a\",\"value\":\"kept\"}");
    for (int round = 0; round < 4; round++) {
        reload_held(server, relay, 2);
        ask_in_vain(client, 20);
        int gone = client_connect(server);
        ask_in_vain(gone, 3);
        close(gone);
        relay->way = RELAY_PASSES;
        expect_all_answered(client, 20, &values, &errors);
        ck_assert_int_eq(errors, 0);
        client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"}}");
        client_expect(client, "{\"out\":\"value\",\"result\":\"kept\"}");
    }
    redis_end(&redis);
}
END_TEST

START_TEST(requests_waiting_for_a_connection_outlive_their_worker)
{
    struct relay *relay;
    struct redis redis;
    int client, values, errors;
    struct server *server = serve_through(&relay, &redis, "database 3; timeout 1m;", &client);
    pid_t pids[8];

    client_call(client, "set", "{\"key\":\"a\",\"value\":\"kept\"}");
    reload_held(server, relay, 2);
    ask_in_vain(client, 20);
    for (size_t i = server_workers(server, pids, 8); i > 0; i--)
        kill(pids[i - 1], SIGKILL);
    relay->way = RELAY_PASSES;
    expect_all_answered(client, 20, &values, &errors);
    ck_assert_int_eq(errors, 0);
    redis_end(&redis);
}
END_TEST

START_TEST(waiting_requests_fail_when_the_first_connections_do)
{
    struct relay *relay;
    struct redis redis;
    int client, values, errors;
    struct server *server = serve_through(&relay, &redis, "timeout 1h;", &client);

    reload_held(server, relay, 2);
    ask_in_vain(client, 5);
    relay->way = RELAY_CLOSES;
    expect_all_answered(client, 5, &values, &errors);
    ck_assert_int_eq(errors, 5);
    /* From now on nobody waits. */
    relay->way = RELAY_HOLDS;
    expect_part(client_call(client, "get", "{\"key\":\"a\"}"),
                "\"there is no connection to Redis\"");
    relay->way = RELAY_PASSES;
    redis_is_there(client);
    redis_end(&redis);
}
END_TEST

START_TEST(requests_waiting_for_a_connection_are_bounded)
{
    struct relay *relay;
    struct redis redis;
    int client;
    struct server *server =
        serve_through(&relay, &redis, "connections 1; timeout 500ms; max_pending 2;", &client);

    reload_held(server, relay, 1);
    for (int round = 0; round < 2; round++) {
        client_send_frames(client, 3, "{\"in\":\"get\",\"params\":{\"key\":\"a\"},\"id\":1}");
        expect_part(client_expect_error(client, "overloaded"), "max_pending");
        client_expect_error(client, "timeout"); /* and it leaves room behind */
        client_expect_error(client, "timeout");
    }
    relay->way = RELAY_PASSES;
    redis_is_there(client);
    redis_end(&redis);
}
END_TEST

START_TEST(a_password_is_used)
{
    struct redis redis;
    struct server *server = serve_redis(&redis, "password right;");
    int client = client_connect(server);

    redis_start(&redis, server, "right");
    redis_is_there(client);
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; password wrong; }",
                            redis.port),
                METHODS);
    server_reload(server);
    expect_part(client_call(client, "get", "{\"key\":\"a\"}"), "redis_unavailable");
    server_wait_log(server, "WRONGPASS");
    redis_end(&redis);
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *settings, *method, *message;
    } cases[] = {
        {"server localhost:6379;", "command GET $key;", "\"localhost:6379\" is no address"},
        {"server 127.0.0.1:0;", "command GET $key;", "is no address of a Redis server"},
        {"connections 0;", "command GET $key;", "\"connections\" must be"},
        {"", "", "\"command\" is missing in method m"},
        {"", "command $key;", "\"$key\" cannot stand in a command"},
        {"", "command GET $;", "\"$\" cannot stand in a command"},
        {"", "command 'GET $k';", "\"GET $k\" cannot stand in a command as its first word"},
        {"", "command 'INFO ';", "not quoted together with it: GET $key"},
        {"", "command GET$k;", "\"GET$k\" cannot stand in a command as its first word"},
        {"", "command '';", "\"\" cannot stand in a command as its first word"},
        {"", "command DEL $k?...;", "\"$k?...\" cannot stand in a command: members of params"},
        {"", "command DEL $k...?;", "\"$k...?\" cannot stand in a command: members of params"},
        {"", "command GET a:$k?;", "\"a:$k?\" cannot stand in a command: a member"},
        {"", "command DEL a:$k...;", "is a word of its own"},
        {"", "command GET a; returns text;", "\"returns\""},
        {"", "command subscribe $channel;", "subscribe cannot be a method: it changes"},
        {"", "command BLPOP $key 0;", "BLPOP cannot be a method: it waits"},
        {"", "comand GET a;", "did you mean \"command\"?"},
    };
    static const struct {
        const char *statement, *message;
    } short_forms[] = {
        {"redis_method m;", "\"command\" is missing in method m; add \"command WORD"},
        {"redis_method m 'GET $k';", "\"GET $k\" cannot stand in a command as its first word"},
        {"redis_method m $key;", "\"$key\" cannot stand in a command"},
        {"redis_method;",
         "\"redis_method\" needs more than that; it is written \"MODULE_method NAME"},
        {"redis_method m GET a { command GET b; handler hello.greet; }",
         "\"redis_method\" says which handler it is"},
        {"redis_method m GET a { command GET b; }",
         "\"command\" of \"redis_method m\" appears twice"},
        {"redis_method m GET a { retruns json; }", "did you mean \"returns\"?"},
        {"redis_method m GET a; method m;", "\"method m\" appears twice"},
        {"method m; redis_method m GET a;", "\"redis_method m\" appears twice"},
        {"redsi_method m GET a;",
         "no module \"redsi\" is loaded; did you mean \"redis_method\"? (methods in the "
         "configuration are made by redis)"},
        {"ping_method m a;", "module ping makes no methods in the configuration"},
    };
    struct redis redis;
    struct server *server = serve_redis(&redis, "");

    for (size_t i = 0; i < sizeof(short_forms) / sizeof(*short_forms); i++) {
        server_conf(server, "load_module modules/redis.so;",
                    keep_printf("method ping; %s", short_forms[i].statement));
        server_reload_refused(server, short_forms[i].message);
    }
    server_conf(server, "load_module modules/redis.so; redis_method m GET a;", "method ping;");
    struct run outside = server_ask(server, "reload");
    expect_status(&outside, 1);
    expect_part(outside.err, "\"redis_method\" is not allowed here (main); it belongs in a server");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(
            server, keep_printf("load_module modules/redis.so { %s }", cases[i].settings),
            keep_printf("method ping; method m { handler redis.command; %s }", cases[i].method));
        server_reload_refused(server, cases[i].message);
    }
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_configuration_is_good_while_redis_is_away)
{
    struct server *server = server_new();

    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; }", free_port()),
                METHODS);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    ck_assert_str_eq(run.err, "configuration file conf/pillion.conf is good\n");
}
END_TEST

E2E_MAIN("redis", commands_become_methods, bad_params_are_refused_with_the_reason,
         without_redis_there_is_an_error_at_once, a_redis_that_hangs_costs_time_and_nothing_else,
         the_requests_waiting_for_a_redis_that_does_not_read_are_bounded,
         a_server_that_never_greets_is_given_up,
         a_redis_that_is_restarted_under_load_costs_errors_while_it_is_away,
         a_reload_waits_for_redis, requests_wait_for_the_first_connections_of_a_new_worker,
         requests_waiting_for_a_connection_outlive_their_worker,
         waiting_requests_fail_when_the_first_connections_do,
         requests_waiting_for_a_connection_are_bounded, a_password_is_used,
         wrong_configurations_are_refused, a_configuration_is_good_while_redis_is_away)
