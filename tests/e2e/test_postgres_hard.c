/* The postgres module when things are hard: slow statements beside quick ones, statements that are
 * late, results that are large, tables that change, numbers at their borders, and a server that
 * takes no changes any more. */
#include "postgres_server.h"
#include "relay.h"

#define METHODS                                                                                         \
    "method ping;"                                                                                      \
    "postgres_method one 'select 1' { returns value; }"                                                 \
    "postgres_method count 'select count(*) from users' { returns value; }"                             \
    "postgres_method add 'insert into users values ($1, $2)' { params id:int name?; returns "           \
    "count; }"                                                                                          \
    "postgres_method nap 'select pg_sleep($1)' { params s:float; returns nothing; }"                    \
    "postgres_method pid 'select pg_backend_pid()' { returns value; }"                                  \
    "postgres_method long 'select generate_series(1, $1) i' { params n:int; }"                          \
    "postgres_method text 'select repeat($1, $2::int) t' { params t n:int; returns value; }" /* Nothing \
                                                                                                but     \
                                                                                                a       \
                                                                                                cancel  \
                                                                                                request \
                                                                                                ends    \
                                                                                                it.     \
                                                                                              */        \
    "postgres_method add_late \"select set_config('statement_timeout', '0', true)\""                    \
    " \"insert into users values (1, 'late')\" 'select pg_sleep(600)';"                                 \
    "postgres_method whole 'select $1::bigint' { params i:int; returns value; }"                        \
    "postgres_method pi 'select pi()' { returns value; }"                                               \
    "postgres_method all 'select * from users order by 1' { returns row; }"                             \
    "postgres_method twice 'insert into users values (7) returning id, name as id' { returns "          \
    "row; }"

static struct server *serve_table(struct postgres *postgres, const char *settings, int *client)
{
    struct server *server = server_new();

    *postgres = (struct postgres){.port = free_port()};
    postgres_init(postgres, server);
    postgres_start(postgres);
    postgres_conf(server, postgres, settings, METHODS);
    server_start_alone(server);
    *client = client_connect(server);
    postgres_is_there(*client);
    make_table(postgres);
    return server;
}

START_TEST(whole_numbers_are_told_by_their_digits)
{
    static const struct {
        const char *number, *is; /* NULL: refused */
    } numbers[] = {
        {"1e3", "1000"},
        {"1000.0", "1000"},
        {"1E+3", "1000"},
        {"0.001e3", "1"},
        {"100e-2", "1"},
        {"12.50e1", "125"},
        {"1e15", "1000000000000000"},
        {"1e18", "1000000000000000000"},
        {"9223372036854775807", "9223372036854775807"},
        {"9.223372036854775807e18", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"-9223372036854775808.000", "-9223372036854775808"},
        {"9007199254740993.0", "9007199254740993"},
        {"-0.0", "0"},
        {"0e99999999999999999999", "0"},
        {"0.000e-99999999999999999999", "0"},
        {"1.00000000000000000000", "1"},
        {"\"0042\"", "42"},
        {"\"-7\"", "-7"},
        {"1e-400", NULL},
        {"1.00000000000000000001", NULL},
        {"0.1e0", NULL},
        {"12e-1", NULL},
        {"1e-1", NULL},
        {"1e19", NULL},
        {"1e99999999999999999999", NULL},
        {"9223372036854775808", NULL},
        {"-9223372036854775809", NULL},
        {"9.2233720368547758071e18", NULL},
        {"\"9223372036854775808\"", NULL},
        {"\"1e3\"", NULL},
        {"\"-\"", NULL},
        {"\"\"", NULL},
    };
    struct postgres postgres;
    int client;

    serve_table(&postgres, "", &client);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        const char *params = keep_printf("{\"i\":%s}", numbers[i].number);
        if (numbers[i].is != NULL)
            gives(client, "whole", params, numbers[i].is);
        else
            expect_part(client_call(client, "whole", params), "must be a whole number of 64 bits");
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(floats_have_all_their_digits_whatever_the_role_says)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_table(&postgres, "", &client);

    run_sql(&postgres, "alter role test set extra_float_digits = -5");
    for (int round = 0; round < 2; round++) {
        postgres_conf(server, &postgres, round == 0 ? "" : "prepare off;", METHODS);
        server_reload(server);
        gives(client, "pi", "null", "3.141592653589793");
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(columns_of_one_name_are_refused_before_anything_is_run)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_table(&postgres, "", &client);

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 6; i++)
            expect_part(client_call(client, "twice", "null"),
                        "two columns of the result are called \\\"id\\\"");
        gives(client, "count", "null", "0");
        postgres_conf(server, &postgres, "prepare off;", METHODS);
        server_reload(server);
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_table_that_changes_costs_no_request)
{
    struct postgres postgres;
    int client;

    serve_table(&postgres, "connections 3;", &client);
    gives(client, "add", "{\"id\":1,\"name\":\"a\"}", "1");
    for (int change = 0; change < 3; change++) {
        /* On all connections: the first is asked when all are idle. */
        for (int i = 0; i < 12; i++) {
            client_send_frame(client, keep_printf("{\"in\":\"all\",\"id\":%d}", i));
            if (i % 3 == 2) {
                for (int n = 0; n < 3; n++)
                    expect_part(client_receive(client, NULL), "\"name\":\"a\"");
            }
        }
        run_sql(&postgres, keep_printf("alter table users add column c%d int", change));
        for (int i = 0; i < 3; i++)
            client_send_frame(client, keep_printf("{\"in\":\"all\",\"id\":%d}", i));
        for (int n = 0; n < 3; n++)
            expect_part(client_receive(client, NULL), keep_printf("\"c%d\":null", change));
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_slow_statement_holds_up_nobody_while_connections_are_free)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_table(&postgres, "timeout 5m;", &client);
    int slow = client_connect(server);

    wait_until(server_metric(server, "postgres", "connected") == 4, "not all connect");
    for (int round = 0; round < 3; round++) {
        /* At other times all methods are known to be quick. */
        for (int i = 0; round > 0 && i < 40; i++) {
            gives(client, "nap", "{\"s\":0}", "null");
            gives(client, "one", "null", "1");
        }
        client_send_frame(slow, "{\"in\":\"nap\",\"params\":{\"s\":300},\"id\":1}");
        client_expect_alive(slow);
        for (int i = 0; i < 64; i++)
            client_send_frame(client, keep_printf("{\"in\":\"one\",\"id\":%d}", i));
        for (int i = 0; i < 64; i++)
            expect_part(client_receive(client, NULL), "\"result\":1,");
        ck_assert(client_is_silent(slow));
        run_sql(&postgres, "select pg_cancel_backend(pid) from pg_stat_activity"
                           " where query like '%pg_sleep($1)%' and state = 'active'"
                           " and pid <> pg_backend_pid()");
        expect_part(client_expect_error(slow, "postgres_error"), "57014");
    }
    postgres_end(&postgres);
}
END_TEST

/* The table has no row, however long it takes to be told so. */
static void expect_no_rows(int client)
{
    const char *reply;

    wait_until(strstr(reply = client_call(client, "count", "null"), "\"out\":\"result\"") != NULL,
               "it is not answered");
    expect_part(reply, "\"result\":0}");
}

START_TEST(late_queries_are_cancelled)
{
    struct postgres postgres;
    int client, told = 0;
    struct server *server = serve_table(&postgres, "timeout 1s; connections 2;", &client);

    for (int round = 0; round < 5; round++) {
        client_send_frame(client, "{\"in\":\"add_late\"}");
        const char *message = client_expect_error(client, "timeout");
        told +=
            strstr(message, "\"add_late\" took longer than 1000 ms; PostgreSQL has cancelled it, "
                            "and nothing of it is carried out") != NULL;
        expect_no_rows(client);
    }
    ck_assert_int_ge(told, 1); /* each time, but where the machine is very slow */
    ck_assert_double_ge(server_metric(server, "postgres", "cancelled"), 5);
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_cancel_request_hits_nobody_else)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_table(&postgres, "timeout 150ms; connections 2;", &client);
    int slow = client_connect(server);

    /* All end at about the time at which they would be cancelled. */
    for (int round = 0; round < 60; round++) {
        client_send_frame(slow, keep_printf("{\"in\":\"nap\",\"params\":{\"s\":0.%d},\"id\":1}",
                                            140 + round % 20));
        const char *reply = client_receive(slow, NULL);
        ck_assert_msg(strstr(reply, "57014") == NULL, "%s", reply);
        for (int i = 0; i < 4; i++) {
            reply = client_call(client, "one", "null");
            ck_assert_msg(strstr(reply, "57014") == NULL, "%s", reply);
        }
    }
    postgres_end(&postgres);
}
END_TEST

/* The process that serves the one connection. */
static pid_t backend_of(int client)
{
    const cJSON *pid;

    wait_until((client_send_frame(client, "{\"in\":\"pid\"}"),
                cJSON_IsNumber(pid = cJSON_GetObjectItem(client_receive_json(client), "result"))),
               "it is not answered");
    return (pid_t)cJSON_GetNumberValue(pid);
}

START_TEST(requests_that_time_out_unsent_are_never_sent)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_table(&postgres, "timeout 500ms; connections 1;", &client);
    int other = client_connect(server);
    pid_t backend = backend_of(client);

    ck_assert_int_gt(backend, 1);
    ck_assert_int_eq(kill(backend, SIGSTOP), 0);
    client_send_frame(client, "{\"in\":\"nap\",\"params\":{\"s\":0},\"id\":1}");
    client_expect_alive(client);
    client_send_frame(other, "{\"in\":\"add\",\"params\":{\"id\":1},\"id\":2}");
    expect_part(client_expect_error(other, "timeout"), "did not answer within 500 ms");
    expect_part(client_expect_error(client, "timeout"),
                "was sent to PostgreSQL, which has not answered within 500 ms; it may still be "
                "carried out");
    ck_assert_int_eq(kill(backend, SIGCONT), 0);
    wait_until(strstr(client_call(client, "one", "null"), "\"result\":1}") != NULL,
               "it does not go on");
    expect_no_rows(client);
    postgres_end(&postgres);
}
END_TEST

START_TEST(results_are_as_large_as_max_reply)
{
    struct postgres postgres;
    int client, other;
    struct server *server =
        serve_table(&postgres, "timeout 1m; max_reply 1m; connections 1;", &client);

    other = client_connect(server);
    for (int round = 0; round < 2; round++) {
        /* As large as may be, and one more. */
        const char *reply = client_call(client, "text", "{\"t\":\"x\",\"n\":1048574}");
        ck_assert_uint_eq(strlen(reply), strlen("{\"out\":\"result\",\"result\":\"\"}") + 1048574);
        client_send_frame(client, "{\"in\":\"text\",\"params\":{\"t\":\"x\",\"n\":1048575}}");
        expect_part(client_expect_error(client, "postgres_too_large"), "1048576 bytes (max_reply)");
        client_send_frame(client, "{\"in\":\"text\",\"params\":{\"t\":\"\\u0001\",\"n\":500000}}");
        client_expect_error(client, "postgres_too_large");
        client_send_frame(client, "{\"in\":\"long\",\"params\":{\"n\":2000000000}}");
        expect_part(client_expect_error(client, "postgres_too_large"), "cancelled");
        /* One that comes faster than it is read is seen when it is there. */
        wait_until(strstr(client_call(client, "text", "{\"t\":\"x\",\"n\":30000000}"),
                          "the connection was closed") != NULL,
                   "it is never closed");
        server_wait_log(server, "a row is larger than max_reply");
        client_expect_alive(other);
        postgres_is_there(client);
    }
    /* In turns, and whole. */
    client_send_frame(client, "{\"in\":\"long\",\"params\":{\"n\":60000}}");
    const cJSON *rows = cJSON_GetObjectItem(client_receive_json(client), "result"), *row;
    double sum = 0;
    cJSON_ArrayForEach(row, rows) sum += cJSON_GetNumberValue(cJSON_GetObjectItem(row, "i"));
    ck_assert_double_eq(sum, 60000.0 * 60001 / 2);
    gives(client, "count", "null", "0");
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_server_that_takes_no_changes_is_left_for_another)
{
    struct postgres postgres,
        standby = {.option = "default_transaction_read_only=on", .port = free_port()};
    int client;
    struct server *server = server_new(), *place = server_new();

    postgres = (struct postgres){.port = free_port()};
    postgres_init(&postgres, server);
    postgres_start(&postgres);
    postgres_init(&standby, place);
    postgres_start(&standby);
    struct relay *relay = relay_start(standby.port);
    postgres_conf(server, &(struct postgres){.port = relay->port}, "connections 2;", METHODS);
    server_start_alone(server);
    client = client_connect(server);
    postgres_is_there(client);
    run_sql(&standby, "begin read write; create table users (id int primary key, name text);"
                      " commit");
    expect_part(client_call(client, "add", "{\"id\":1}"), "25006");
    double unavailable = server_metric(server, "postgres", "unavailable");
    relay->server = postgres.port;
    int waits = client_connect(server);
    wait_until(strstr(client_call(waits, "add", "{\"id\":1}"), "25006") == NULL,
               "it stays where it was");
    wait_until(server_metric(server, "postgres", "connected") == 2, "not all connect again");
    expect_part(client_call(client, "add", "{\"id\":1}"), "42P01"); /* the table is not there */
    ck_assert_double_eq(server_metric(server, "postgres", "unavailable"), unavailable);
    postgres_end(&postgres);
    postgres_end(&standby);
}
END_TEST

E2E_MAIN("postgres_hard", whole_numbers_are_told_by_their_digits,
         floats_have_all_their_digits_whatever_the_role_says,
         columns_of_one_name_are_refused_before_anything_is_run,
         a_table_that_changes_costs_no_request,
         a_slow_statement_holds_up_nobody_while_connections_are_free, late_queries_are_cancelled,
         a_cancel_request_hits_nobody_else, requests_that_time_out_unsent_are_never_sent,
         results_are_as_large_as_max_reply, a_server_that_takes_no_changes_is_left_for_another)
