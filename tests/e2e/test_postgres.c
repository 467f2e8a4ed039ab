/* The postgres module against a real PostgreSQL: types, errors, transactions, a server that is away
 * or restarted under load, and reloads meanwhile. */
#include "postgres_server.h"
#include "relay.h"

#define NAP "'select pg_sleep(0.9)' "
#define METHODS                                                                                   \
    "method ping;"                                                                                \
    "postgres_method one 'select 1' { returns value; }"                                           \
    "method types { handler postgres.query; sql \"select true as b, 5 as i, 9007199254740993 as " \
    "l,"                                                                                          \
    " 0.5::float8 as f, 1.10 as n, 'NaN'::float8 as nan, 'gr\xc3\xbc\xc3\x9f \\\"x\\\"' as t,"    \
    " '{\\\"a\\\": [1]}'::jsonb as j, null as nothing, date '2026-11-23' as d\"; returns row; }"  \
    "postgres_method get 'select id, name from users where id = $1' { params id:int; returns "    \
    "row; }"                                                                                      \
    "method all { handler postgres.query; sql 'select id, name from users order by id'; }"        \
    "method add { handler postgres.query; sql 'insert into users values ($1, $2)';"               \
    " params id:int name:text?; returns count; }"                                                 \
    "postgres_method move 'delete from users where id = $1'"                                      \
    " 'insert into users values ($2, $3)' 'select count(*) from users' {"                         \
    " params from:int to:int name; returns value; }"                                              \
    "method echo { handler postgres.query; sql 'select $1::bool as b, $2::float8 as f, $3::json " \
    "as j';"                                                                                      \
    " params b:bool f:float j:json; returns row; }"                                               \
    "method nap { handler postgres.query; sql 'select pg_sleep($1)'; params s:float; returns "    \
    "nothing; }"                                                                                  \
    "postgres_method naps " NAP NAP NAP NAP NAP NAP NAP ";"                                       \
    "postgres_method exact 'select $1::numeric as n, $2::json as j, $3::bigint as i'"             \
    " { params n:float j:json i:int; returns row; }"                                              \
    "postgres_method cast 'select $1::text::int' { params t; }"                                   \
    "postgres_method odd 'select odd($1)' { params n:int; returns value; }"                       \
    "postgres_method prepared 'select count(*) from pg_prepared_statements' { returns value; }"   \
    "postgres_method told 'select query from pg_stat_activity where pid = pg_backend_pid()'"      \
    " { returns value; }"                                                                         \
    "postgres_method told_last 'select 1;' 'select query from pg_stat_activity where pid = "      \
    "pg_backend_pid();' { returns value; }"                                                       \
    "postgres_method sneaks_out '/**/ copy (select 1) to stdout';"                                \
    "postgres_method sneaks_in '/**/ copy users from stdin';"                                     \
    "postgres_method sneaks_begin '/**/ begin';"                                                  \
    "method wrong { handler postgres.query; sql 'select nothing from nowhere'; }"

static struct server *serve_postgres(struct postgres *postgres, const char *settings)
{
    struct server *server = server_new(), *place = server_new();

    *postgres = (struct postgres){.port = place->port};
    postgres_conf(server, postgres, settings, METHODS);
    server_start_alone(server);
    postgres_init(postgres, server);
    return server;
}

static struct server *serve_with_postgres(struct postgres *postgres, int *client)
{
    struct server *server = serve_postgres(postgres, "");

    *client = client_connect(server);
    postgres_start(postgres);
    postgres_is_there(*client);
    make_table(postgres);
    return server;
}

START_TEST(sql_becomes_methods)
{
    struct postgres postgres;
    int client;

    serve_with_postgres(&postgres, &client);
    gives(client, "types", "null",
          "{\"b\":true,\"i\":5,\"l\":9007199254740993,\"f\":0.5,\"n\":1.10,\"nan\":\"NaN\","
          "\"t\":\"gr\xc3\xbc\xc3\x9f \\u0022x\\u0022\",\"j\":{\"a\": [1]},\"nothing\":null,"
          "\"d\":\"2026-11-23\"}");
    gives(client, "get", "{\"id\":1}", "null");
    gives(client, "all", "null", "[]");
    gives(client, "add", "{\"id\":1,\"name\":\"Ada\\n\"}", "1");
    gives(client, "add", "{\"id\":\"2\"}", "1");
    gives(client, "get", "{\"id\":1}", "{\"id\":1,\"name\":\"Ada\\u000a\"}");
    gives(client, "all", "null", "[{\"id\":1,\"name\":\"Ada\\u000a\"},{\"id\":2,\"name\":null}]");
    gives(client, "echo", "{\"b\":true,\"f\":0.1,\"j\":{\"x\":[null,\"\\u00fc\"]}}",
          "{\"b\":true,\"f\":0.1,\"j\":{\"x\":[null,\"\\u00fc\"]}}");
    /* Numbers keep every digit. */
    gives(client, "exact",
          "{\"n\":19.99,\"j\":{\"id\":9007199254740993},\"i\":9223372036854775807}",
          "{\"n\":19.99,\"j\":{\"id\":9007199254740993},\"i\":9223372036854775807}");
    gives(client, "exact", "{\"n\":1e3,\"j\":\"\\\\u0000\",\"i\":1e3}",
          "{\"n\":1000,\"j\":\"\\\\u0000\",\"i\":1000}");
    gives(client, "nap", "{\"s\":0.001}", "null");
    postgres_end(&postgres);
}
END_TEST

START_TEST(bad_params_are_refused_with_the_reason)
{
    static const struct {
        const char *method, *params, *part;
    } calls[] = {
        {"get", "null", "\\\"id\\\" is missing in params"},
        {"get", "{\"id\":null}", "\\\"id\\\" is null in params"},
        {"get", "{\"id\":1.5}", "\\\"id\\\" must be a whole number"},
        {"get", "{\"id\":\"1 or true\"}", "\\\"id\\\" must be a whole number"},
        {"get", "{\"id\":1e15}", "22003"},
        {"get", "{\"id\":1e19}", "\\\"id\\\" must be a whole number of 64 bits"},
        {"add", "{\"id\":1,\"name\":5}", "\\\"name\\\" must be a string"},
        {"echo", "{\"b\":1,\"f\":1,\"j\":1}", "\\\"b\\\" must be true or false"},
        {"echo", "{\"b\":true,\"f\":\"1\",\"j\":1}", "\\\"f\\\" must be a number"},
        {"add", "{\"id\":5,\"name\":\"\\u0000\"}", "PostgreSQL cannot store"},
        {"add", "{\"id\":\"99999999999\"}", "22003"},
        {"wrong", "null", "42P01: relation \\\"nowhere\\\" does not exist"},
    };
    struct postgres postgres;
    int client;

    serve_with_postgres(&postgres, &client);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
            expect_part(client_call(client, calls[i].method, calls[i].params), calls[i].part);
    }
    gives(client, "add", "{\"id\":1,\"name\":\"'; drop table users; --\"}", "1");
    expect_part(client_call(client, "add", "{\"id\":1}"), "23505: duplicate key");
    gives(client, "get", "{\"id\":1}", "{\"id\":1,\"name\":\"'; drop table users; --\"}");
    postgres_end(&postgres);
}
END_TEST

START_TEST(statements_are_prepared_once_even_when_they_fail)
{
    struct postgres postgres;
    struct server *server = serve_postgres(&postgres, "connections 1;");
    int client = client_connect(server);

    postgres_start(&postgres);
    postgres_is_there(client);
    run_sql(&postgres, "create function odd(int) returns int language plpgsql as 'begin if $1 > 0 "
                       "then raise feature_not_supported; end if; return $1; end'");
    for (int i = 0; i < 40; i++) {
        expect_part(client_call(client, "cast", "{\"t\":\"abc\"}"), "22P02");
        expect_part(client_call(client, "odd", "{\"n\":1}"), "0A000");
        /* Those behind it were sent with the name that is forgotten meanwhile. */
        for (int n = 0; n < 4; n++)
            client_send_frame(
                client, keep_printf("{\"in\":\"odd\",\"params\":{\"n\":%d},\"id\":%d}", n == 0, n));
        for (int n = 0; n < 4; n++)
            expect_part(client_receive(client, NULL), n == 0 ? "0A000" : "\"result\":0");
    }
    client_send_frame(client, "{\"in\":\"prepared\"}");
    double count = cJSON_GetNumberValue(cJSON_GetObjectItem(client_receive_json(client), "result"));
    ck_assert_double_le(count, 8);
    postgres_end(&postgres);
}
END_TEST

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"

/* What PostgreSQL has seen of the statement, which asks for that. */
static const char *told(int client, const char *method, const char *flags)
{
    const char *trace = flags == NULL ? "" : keep_printf(",\"traceparent\":\"" TRACE "%s\"", flags);

    client_send_frame(client, keep_printf("{\"in\":\"%s\"%s}", method, trace));
    return cJSON_GetStringValue(cJSON_GetObjectItem(client_receive_json(client), "result"));
}

START_TEST(a_recorded_trace_is_a_comment_and_costs_nobody_else_a_plan)
{
    static const char comment[] = " /*traceparent='" TRACE "01'*/";
    static const char *const prepare[] = {"on", "off"};
    struct postgres postgres;

    for (int i = 0; i < 2; i++) {
        struct server *server = serve_postgres(
            &postgres, keep_printf("connections 1; trace comment; prepare %s;", prepare[i]));
        int client = client_connect(server);
        postgres_start(&postgres);
        postgres_is_there(client);
        for (int round = 0; round < 2; round++) {
            const char *plain = told(client, "told", NULL);
            ck_assert_ptr_null(strstr(plain, "traceparent"));
            expect_text(told(client, "told", "01"), keep_printf("%s%s", plain, comment));
            expect_text(told(client, "told", "00"), plain); /* nobody records it */
            expect_part(told(client, "told_last", "01"), comment);
            ck_assert_ptr_null(strstr(told(client, "told_last", NULL), "traceparent"));
        }
        client_send_frame(client, "{\"in\":\"prepared\"}");
        double count =
            cJSON_GetNumberValue(cJSON_GetObjectItem(client_receive_json(client), "result"));
        ck_assert_double_le(count, i == 0 ? 6 : 0);
        postgres_end(&postgres);
    }
}
END_TEST

START_TEST(traces_stay_here_unless_asked_for)
{
    struct postgres postgres;
    int client;

    serve_with_postgres(&postgres, &client);
    ck_assert_ptr_null(strstr(told(client, "told", "01"), "traceparent"));
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_statement_that_gets_past_the_check_ends_its_connection)
{
    static const struct {
        const char *method, *reply, *log;
        int times; /* that the log has it then */
    } cases[] = {
        {"sneaks_out", "COPY cannot be a method", "a method has begun a COPY", 1},
        {"sneaks_in", "COPY cannot be a method", "a method has begun a COPY", 2},
        {"sneaks_begin", "\"result\":[]", "a method has left a transaction open", 1},
    };
    struct postgres postgres;
    int client;
    struct server *server = serve_with_postgres(&postgres, &client);

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        expect_part(client_call(client, cases[i].method, "null"), cases[i].reply);
        client_expect_alive(client);
        server_wait_log_times(server, cases[i].log, cases[i].times);
        wait_until(server_metric(server, "postgres", "connected") == 4, "not all connect again");
        gives(client, "one", "null", "1");
    }
    ck_assert_ptr_null(strstr(server_log(server), "handler_timeout"));
    postgres_end(&postgres);
}
END_TEST

START_TEST(several_statements_are_one_transaction)
{
    struct postgres postgres;
    int client;

    serve_with_postgres(&postgres, &client);
    gives(client, "add", "{\"id\":1,\"name\":\"a\"}", "1");
    gives(client, "add", "{\"id\":2,\"name\":\"b\"}", "1");
    gives(client, "move", "{\"from\":1,\"to\":3,\"name\":\"c\"}", "2");
    expect_part(client_call(client, "move", "{\"from\":2,\"to\":3,\"name\":\"d\"}"), "23505");
    gives(client, "all", "null", "[{\"id\":2,\"name\":\"b\"},{\"id\":3,\"name\":\"c\"}]");
    postgres_end(&postgres);
}
END_TEST

START_TEST(an_error_leaves_others_on_the_same_connection_alone)
{
    struct postgres postgres;
    struct server *server = serve_postgres(&postgres, "connections 1; pipeline 30;");
    int client = client_connect(server);

    postgres_start(&postgres);
    postgres_is_there(client);
    for (int i = 0; i < 30; i++) { /* they are known to be quick */
        gives(client, "one", "null", "1");
        expect_part(client_call(client, "cast", "{\"t\":\"abc\"}"), "22P02");
    }
    for (int i = 0; i < 30; i++)
        client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":{\"t\":\"x\"},\"id\":%d}",
                                              i % 3 == 1 ? "cast" : "one", i));
    for (int i = 0; i < 30; i++) {
        char *reply = client_receive(client, NULL);
        int id = atoi(strstr(reply, "\"id\":") + 5);
        expect_part(reply, id % 3 == 1 ? "22P02" : "\"result\":1,");
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_statement_that_takes_too_long_is_given_up)
{
    struct postgres postgres;
    struct server *server = serve_postgres(&postgres, "timeout 300ms; connections 1;");
    int client = client_connect(server), other = client_connect(server);

    postgres_start(&postgres);
    postgres_is_there(client);
    client_send_frame(client, "{\"in\":\"nap\",\"params\":{\"s\":60}}");
    client_expect_alive(other);
    char *reply = client_receive(client, NULL);
    ck_assert_msg(strstr(reply, "timeout") != NULL || strstr(reply, "57014") != NULL, "%s", reply);
    postgres_is_there(client); /* the server has given it up too */
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_server_that_is_restarted_under_load_costs_errors_while_it_is_away)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_with_postgres(&postgres, &client);

    for (int round = 0; round < 2; round++) {
        int errors = 0, results = 0;
        for (int i = 0; i < 30; i++)
            client_send_frame(client, "{\"in\":\"nap\",\"params\":{\"s\":0.2},\"id\":1}");
        postgres_end(&postgres);
        for (int i = 0; i < 30; i++)
            client_send_frame(client, "{\"in\":\"one\",\"id\":2}");
        for (int i = 0; i < 60; i++) {
            char *reply = client_receive(client, NULL);
            errors +=
                strstr(reply, "postgres_unavailable") != NULL || strstr(reply, "57P0") != NULL;
            results += strstr(reply, "\"out\":\"result\"") != NULL;
        }
        ck_assert_int_eq(errors + results, 60);
        ck_assert_int_ge(errors, 1);
        expect_part(client_call(client, "one", "null"), "postgres_unavailable");
        client_expect_alive(client);
        postgres_start(&postgres);
        postgres_is_there(client);
        gives(client, "all", "null", "[]");
    }
    server_wait_log(server, "the server is there again");
    wait_until(server_metric(server, "postgres", "connected") == 4, "not all connect again");
    /* Each was either sent or not: how many of them were, the restarts decide. */
    double unavailable = server_metric(server, "postgres", "unavailable");
    double queries = server_metric(server, "postgres", "queries");
    ck_assert_double_ge(unavailable, 3);
    ck_assert_double_ge(queries, 4);
    ck_assert_double_ge(queries + unavailable, 122);
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_reload_waits_for_results)
{
    struct postgres postgres;
    int client;
    struct server *server = serve_with_postgres(&postgres, &client);

    double before = server_metric(server, "postgres", "queries");
    client_send_frame(client, "{\"in\":\"nap\",\"params\":{\"s\":0.5},\"id\":1}");
    wait_until(server_metric(server, "postgres", "queries") == before + 1, "it is not sent");
    server_reload(server);
    client_expect(client, "{\"out\":\"result\",\"result\":null,\"id\":1}");
    postgres_is_there(client);
    postgres_end(&postgres);
}
END_TEST

/* A server whose connections to PostgreSQL go through a relay. */
static struct server *serve_through(struct relay **relay, struct postgres *postgres,
                                    const char *settings, int *client)
{
    struct server *server = server_new();

    *postgres = (struct postgres){.port = free_port()};
    postgres_init(postgres, server);
    postgres_start(postgres);
    *relay = relay_start(postgres->port);
    struct postgres through = {.port = (*relay)->port};
    postgres_conf(server, &through, settings, METHODS);
    server_start_alone(server);
    *client = client_connect(server);
    postgres_is_there(*client);
    make_table(postgres);
    return server;
}

/* A new worker, whose connections are held while they are opened. */
static void reload_held(const struct server *server, struct relay *relay, unsigned connections)
{
    wait_until(server_metric(server, "postgres", "connected") == connections, "not all connect");
    unsigned before = relay->held;
    relay->way = RELAY_HOLDS;
    server_reload(server);
    wait_until(relay->held == before + connections, "the new worker does not connect");
}

/* Sends `count` requests, and nothing is said to them yet. */
static void ask_in_vain(int client, const char *method, int count)
{
    for (int i = 0; i < count; i++)
        client_send_frame(
            client, keep_printf("{\"in\":\"%s\",\"params\":{\"id\":%d,\"name\":\"n\"},\"id\":%d}",
                                method, i, i));
    client_send_frame(client, "{\"in\":\"ping\",\"id\":\"p\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":\"p\"}");
}

START_TEST(requests_wait_for_the_first_connections_of_a_new_worker)
{
    struct relay *relay;
    struct postgres postgres;
    int client;
    struct server *server = serve_through(&relay, &postgres, "timeout 1m;", &client);

    for (int round = 0; round < 4; round++) {
        reload_held(server, relay, 4);
        ask_in_vain(client, round == 0 ? "add" : "get", 20);
        int gone = client_connect(server);
        ask_in_vain(gone, "get", 3);
        close(gone);
        relay->way = RELAY_PASSES;
        for (int i = 0; i < 20; i++)
            expect_part(client_receive(client, NULL),
                        round == 0 ? "\"result\":1," : "\"name\":\"n\"}");
    }
    postgres_end(&postgres);
}
END_TEST

START_TEST(waiting_requests_fail_when_the_first_connections_do)
{
    struct relay *relay;
    struct postgres postgres;
    int client;
    struct server *server = serve_through(&relay, &postgres, "timeout 1h;", &client);

    reload_held(server, relay, 4);
    ask_in_vain(client, "one", 5);
    relay->way = RELAY_CLOSES;
    for (int i = 0; i < 5; i++)
        client_expect_error(client, "postgres_unavailable");
    /* From now on nobody waits. */
    relay->way = RELAY_HOLDS;
    expect_part(client_call(client, "one", "null"), "\"there is no connection to PostgreSQL\"");
    relay->way = RELAY_PASSES;
    postgres_is_there(client);
    postgres_end(&postgres);
}
END_TEST

START_TEST(requests_waiting_for_a_connection_are_bounded)
{
    struct relay *relay;
    struct postgres postgres;
    int client;
    struct server *server =
        serve_through(&relay, &postgres, "connections 1; timeout 500ms; max_pending 2;", &client);

    reload_held(server, relay, 1);
    for (int round = 0; round < 2; round++) {
        client_send_frames(client, 3, "{\"in\":\"one\",\"id\":1}");
        expect_part(client_expect_error(client, "overloaded"), "max_pending");
        client_expect_error(client, "timeout"); /* and it leaves room behind */
        client_expect_error(client, "timeout");
    }
    relay->way = RELAY_PASSES;
    postgres_is_there(client);
    postgres_end(&postgres);
}
END_TEST

/* It waits behind a slow one; the other, whose client has time, is carried out after all. */
START_TEST(a_request_that_waits_beyond_its_deadline_is_not_carried_out)
{
    struct postgres postgres;
    struct server *server = serve_postgres(&postgres, "connections 1;");
    int client = client_connect(server);

    postgres_start(&postgres);
    postgres_is_there(client);
    make_table(&postgres);
    client_send_frame(client, "{\"in\":\"nap\",\"params\":{\"s\":3},\"id\":1}");
    client_send_frame(client, "{\"in\":\"add\",\"params\":{\"id\":1},\"id\":2,\"deadline\":100}");
    client_send_frame(client, "{\"in\":\"add\",\"params\":{\"id\":2},\"id\":3,\"deadline\":60000}");
    client_expect_error(client, "deadline_exceeded");
    client_expect(client, "{\"out\":\"result\",\"result\":null,\"id\":1}");
    client_expect(client, "{\"out\":\"result\",\"result\":1,\"id\":3}");
    gives(client, "all", "null", "[{\"id\":2,\"name\":null}]");
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_connection_that_falls_silent_is_given_up)
{
    struct relay *relay;
    struct postgres postgres;
    int client;
    struct server *server = serve_through(&relay, &postgres, "connections 1; timeout 1s;", &client);

    /* Nobody answers, and nobody says that the connection has ended; others can be made. */
    relay->muted++;
    client_send_frame(client, "{\"in\":\"one\",\"id\":1}");
    client_expect_error(client, "timeout");
    server_wait_log(server, "the server has stopped answering; it is tried again");
    postgres_is_there(client);
    server_wait_log(server, "the server is there again");
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_transaction_is_given_the_time_of_each_of_its_statements)
{
    struct relay *relay;
    struct postgres postgres;
    int client, other;
    struct server *server = serve_through(&relay, &postgres, "connections 1; timeout 1s;", &client);

    /* Nothing is heard of it for 6.3 seconds, longer than one statement may take. */
    other = client_connect(server);
    client_send_frame(client, "{\"in\":\"naps\",\"id\":1}");
    client_expect_error(client, "timeout");
    postgres_is_there(other);
    ck_assert_ptr_null(strstr(server_log(server), "stopped answering"));
    postgres_end(&postgres);
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *settings, *method, *message;
    } cases[] = {
        {"conninfo 'host';", "sql 'select 1';", "conninfo: missing \"=\""},
        {"", "sql 'select 1';", "\"conninfo\" is missing"},
        {"conninfo '';", "", "\"sql\" is missing in method m"},
        {"conninfo '';", "sql 'select $1'; params id:integer;", "\"id:integer\" is no param"},
        {"conninfo '';", "sql 'select $1'; params :int;", "\":int\" is no param"},
        {"conninfo '';", "sql 'select $1, $2'; params id:int;", "uses $2, and there is 1 param"},
        {"conninfo '';", "sql 'select 1'; returns all;", "\"returns\""},
        {"conninfo '';", "sql 'select $1'; params a?:int;", "\"a?:int\" is no param"},
        {"conninfo '';", "sql select 1;", "\"select\" is no SQL statement; the whole statement"},
        {"conninfo '';", "sql '';", "\"\" is no SQL statement"},
        {"conninfo '';", "sql 'COPY users to stdout';", "copy cannot be a method's"},
        {"conninfo '';", "sql 'begin;' 'select 1';",
         "several statements of one method are one transaction: \"insert"},
        {"conninfo '';", "sql 'commit';", "commit cannot be a method's: it changes"},
        {"conninfo '';", "sql set role x;", "set cannot be a method's"},
        {"conninfo '';", "sql 'Begin work';", "begin cannot be a method's: it changes"},
        {"conninfo '';", "sql 'set role x';", "set cannot be a method's"},
        {"conninfo ''; max_unsent 1;", "sql 'select 1';", "\"max_unsent\" must be"},
    };
    struct server *server = server_serve("", "method ping;");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(
            server, keep_printf("load_module modules/postgres.so { %s }", cases[i].settings),
            keep_printf("method ping; method m { handler postgres.query; %s }", cases[i].method));
        server_reload_refused(server, cases[i].message);
    }
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_configuration_is_good_while_postgres_is_away)
{
    struct server *server = server_new();

    postgres_conf(server, &(struct postgres){.port = free_port()}, "", METHODS);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    ck_assert_str_eq(run.err, "configuration file conf/pillion.conf is good\n");
}
END_TEST

E2E_MAIN("postgres", sql_becomes_methods, bad_params_are_refused_with_the_reason,
         several_statements_are_one_transaction, statements_are_prepared_once_even_when_they_fail,
         a_recorded_trace_is_a_comment_and_costs_nobody_else_a_plan,
         traces_stay_here_unless_asked_for,
         a_statement_that_gets_past_the_check_ends_its_connection,
         an_error_leaves_others_on_the_same_connection_alone,
         a_statement_that_takes_too_long_is_given_up,
         a_server_that_is_restarted_under_load_costs_errors_while_it_is_away,
         a_reload_waits_for_results, requests_wait_for_the_first_connections_of_a_new_worker,
         waiting_requests_fail_when_the_first_connections_do,
         requests_waiting_for_a_connection_are_bounded,
         a_request_that_waits_beyond_its_deadline_is_not_carried_out,
         a_connection_that_falls_silent_is_given_up,
         a_transaction_is_given_the_time_of_each_of_its_statements,
         wrong_configurations_are_refused, a_configuration_is_good_while_postgres_is_away)
