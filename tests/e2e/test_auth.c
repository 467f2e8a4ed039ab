/* The auth module: tokens, token files, signatures (made by Python's hmac), and refusals. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct server *serve_auth(const char *server_text)
{
    return server_serve_alone("load_module modules/auth.so;", server_text);
}

static void passes(int client, const char *members)
{
    client_send_frame(client, keep_printf("{\"in\":\"ping\",\"params\":[1, 2]%s}", members));
    client_expect(client, "{\"out\":\"pong\",\"result\":[1, 2]}");
}

static void is_denied(int client, const char *members, const char *why)
{
    client_send_frame(client, keep_printf("{\"in\":\"ping\",\"params\":[1, 2]%s}", members));
    expect_part(client_expect_error(client, "unauthorized"), why);
}

/* Signs as a client would, with Python's own hmac. */
static const char *signature(const char *key, const char *method, long long when,
                             const char *params)
{
    static const char script[] =
        "import sys,hmac,hashlib; key,*parts = sys.argv[1:];"
        "print(hmac.new(key.encode(), '\\n'.join(parts).encode(), hashlib.sha256).hexdigest())";
    struct run run =
        run_command((const char *const[]){"/usr/bin/env", "python3", "-c", script, key, method,
                                          keep_printf("%lld", when), params, NULL},
                    NULL, PATIENCE_MS);

    expect_status(&run, 0);
    run.out[64] = '\0';
    return run.out;
}

static long long now_since_1970(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

START_TEST(a_valid_token_lets_a_request_in)
{
    struct server *server = serve_auth("filter auth { token one \"tw\xc3\xb6 \\\"2\\\"\"; }"
                                       "method ping;");
    int client = client_connect(server);

    passes(client, ",\"token\":\"one\"");
    passes(client, ",\"token\":\"\\u006fne\"");
    passes(client, ",\"token\":\"tw\\u00f6 \\\"2\\\"\"");
    is_denied(client, "", "the token is missing");
    is_denied(client, ",\"token\":\"On\"", "the token is not accepted");
    is_denied(client, ",\"token\":\"one \"", "the token is not accepted");
    is_denied(client, ",\"token\":\"one\\u0000\"", "the token is not accepted");
    is_denied(client, ",\"token\":\"one\\u0000x\"", "the token is not accepted");
    is_denied(client, ",\"tok\\u0065n\\u0000\":\"one\"", "the token is missing");
    is_denied(client, ",\"token\":\"\"", "the token is not accepted");
    is_denied(client, ",\"token\":1", "\"token\" must be a string");
    is_denied(client, ",\"token\":[\"one\"]", "\"token\" must be a string");
    is_denied(client, ",\"token\":null", "\"token\" must be a string");
    is_denied(client, ",\"token\":\"\\ud800\"", "the token is");
    passes(client, ",\"token\":\"one\"");
    ck_assert_ptr_null(strstr(server_log(server), "one"));
}
END_TEST

START_TEST(the_command_line_sends_a_token_too)
{
    struct server *server = serve_auth("filter auth { token one; } method ping;");
    char *address = keep_printf("127.0.0.1:%d", server->port);

    struct run run = pillion("call", "--server", address, "ping", "[1, 2]");
    expect_status(&run, 1);
    expect_part(run.err, "unauthorized: the token is missing");
    run = pillion("call", "--server", address, "--members", " {\"token\": \"one\", \"id\": 7} ",
                  "ping", "[1, 2]");
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "[1, 2]\n");
    run = pillion("bench", "--server", address, "-d", "0.05", "--id", "--members",
                  "{\"token\": \"one\"} ", "--json", "ping");
    expect_status(&run, 0);
    expect_part(run.out, "\"errors\":\t0");
    for (int i = 0; i < 2; i++) {
        run = pillion(i == 0 ? "call" : "bench", "--server", address, "--members", "{}", "ping");
        expect_status(&run, 64);
        expect_part(run.err, "--members takes a JSON object with members, not \"{}\"");
    }
}
END_TEST

START_TEST(methods_and_servers_each_ask_for_their_own_token)
{
    struct server *server =
        serve_auth("filter auth { token outer; member pass; }"
                   "method ping; method free { handler ping.ping; }"
                   "method deep { handler ping.ping; filter auth { token inner; } }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"deep\",\"pass\":\"outer\",\"token\":\"inner\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_send_frame(client, "{\"in\":\"deep\",\"pass\":\"outer\"}");
    client_expect_error(client, "unauthorized");
    client_send_frame(client, "{\"in\":\"deep\",\"token\":\"inner\"}");
    client_expect_error(client, "unauthorized");
    passes(client, ",\"pass\":\"outer\"");
    client_send_frame(client, "{\"in\":\"nobody\",\"id\":1}");
    client_expect_error(client, "method_not_found");
}
END_TEST

START_TEST(a_file_of_tokens_is_read_and_read_again_by_a_reload)
{
    struct server *server = server_new();

    server_write(server, "conf/tokens", "# of the team\n\n  first \nsecond\r\n");
    chmod(server_path(server, "conf/tokens"), 0644);
    server_conf(server, "load_module modules/auth.so;",
                "filter auth { token_file conf/tokens; } method ping;");
    server_start(server);
    server_wait_log(server, "holds secrets, and everybody can read it");
    int client = client_connect(server);
    passes(client, ",\"token\":\"first\"");
    passes(client, ",\"token\":\"second\"");
    is_denied(client, ",\"token\":\"# of the team\"", "not accepted");
    is_denied(client, ",\"token\":\"\"", "not accepted");
    server_write(server, "conf/tokens", "third\n");
    server_reload(server);
    is_denied(client, ",\"token\":\"first\"", "not accepted");
    passes(client, ",\"token\":\"third\"");
}
END_TEST

START_TEST(other_filters_learn_the_user_of_a_token)
{
    struct server *server = server_new();

    chmod(server_path(server, "logs"), 0777);
    server_write(server, "conf/users", "# name and token\nada  first\nbob\tsecond \nada third\n");
    server_conf(server,
                "zone limits 64k; load_module modules/auth.so; load_module modules/limit.so;"
                "load_module modules/access_log.so;",
                "filter access_log { path logs/access.log; format \"$user $status\"; buffer 0; }"
                "filter auth { user_file conf/users; token none; }"
                "filter limit { zone limits; rate 2/h; burst 2; key user; } method ping;");
    server_start(server);
    int client = client_connect(server);
    passes(client, ",\"token\":\"first\"");
    passes(client, ",\"token\":\"third\"");
    client_send_frame(client, "{\"in\":\"ping\",\"token\":\"first\"}");
    client_expect_error(client, "limited");
    passes(client, ",\"token\":\"second\"");
    passes(client, ",\"token\":\"none\"");
    is_denied(client, ",\"token\":\"ada\"", "not accepted");
    is_denied(client, ",\"token\":\"ada first\"", "not accepted");
    char *log = file_read(server_path(server, "logs/access.log"), NULL);
    expect_part(log, "ada ok\nada ok\nada limited\nbob ok\n- ok\n- unauthorized\n"
                     "- unauthorized\n");
    server_write(server, "conf/users", "ada first\nbob\n");
    server_reload_refused(server, "conf/users:2: a line is a user's name, white space and a token");
}
END_TEST

START_TEST(a_file_that_is_gone_is_missed_by_the_next_worker)
{
    struct server *server = server_new();
    pid_t pid;

    server_write(server, "conf/tokens", "first\n");
    server_conf(server, "load_module modules/auth.so;",
                "method ping { filter auth { token_file conf/tokens; } }");
    server_start_alone(server);
    ck_assert_uint_eq(server_workers(server, &pid, 1), 1);
    int client = client_connect(server);
    passes(client, ",\"token\":\"first\"");
    ck_assert_int_eq(unlink(server_path(server, "conf/tokens")), 0);
    passes(client, ",\"token\":\"first\""); /* this worker has read it */
    kill(pid, SIGKILL);
    server_wait_log(server, "conf/tokens: No such file or directory; each worker reads it when it "
                            "starts, even a worker that replaces a crashed one, so it has to stay "
                            "there while the server runs");
    server_write(server, "conf/tokens.new", "second\n");
    ck_assert_int_eq(
        rename(server_path(server, "conf/tokens.new"), server_path(server, "conf/tokens")), 0);
    passes(client, ",\"token\":\"second\""); /* the next one that starts */
}
END_TEST

START_TEST(a_valid_signature_lets_a_request_in)
{
    struct server *server = serve_auth("filter auth { hmac_key s3cret; max_age 1h; } method ping;");
    int client = client_connect(server);
    long long now = now_since_1970();
    const char *right = signature("s3cret", "ping", now, "[1, 2]");

    passes(client, keep_printf(",\"time\":%lld,\"hmac\":\"%s\"", now, right));
    is_denied(client, "", "the signature is missing");
    is_denied(client, keep_printf(",\"hmac\":\"%s\"", right),
              "the time of the signature is missing");
    is_denied(client, keep_printf(",\"time\":1%048d,\"hmac\":\"%s\"", 0, right), "no whole number");
    is_denied(client, keep_printf(",\"time\":\"%lld\",\"hmac\":\"%s\"", now, right),
              "no whole number");
    is_denied(client, keep_printf(",\"time\":%lld,\"hmac\":\"%s\"", now + 1, right),
              "does not match");
    is_denied(client, keep_printf(",\"time\":%lld,\"hmac\":\"%.63s\"", now, right),
              "does not match");
    is_denied(client, keep_printf(",\"time\":%lld,\"hmac\":\"\"", now), "does not match");
    is_denied(client, keep_printf(",\"time\":%lld,\"hmac\":\"%s\\u0000zz\"", now, right),
              "does not match");
    is_denied(client,
              keep_printf(",\"time\":%lld,\"hmac\":\"%s\"", now,
                          signature("s3cret", "pong", now, "[1, 2]")),
              "does not match");
    is_denied(client,
              keep_printf(",\"time\":%lld,\"hmac\":\"%s\"", now,
                          signature("wrong", "ping", now, "[1, 2]")),
              "does not match");
    for (int sign = -1; sign <= 1; sign += 2) {
        long long then = now + sign * 2 * 3600000;
        is_denied(client,
                  keep_printf(",\"time\":%lld,\"hmac\":\"%s\"", then,
                              signature("s3cret", "ping", then, "[1, 2]")),
                  "too old, or from the future");
    }
    client_send_frame(client, keep_printf("{\"in\":\"ping\",\"time\":%lld,\"hmac\":\"%s\"}", now,
                                          signature("s3cret", "ping", now, "null")));
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    ck_assert_ptr_null(strstr(server_log(server), "s3cret"));
}
END_TEST

START_TEST(either_a_token_or_a_signature_lets_a_request_in)
{
    struct server *server = server_new();

    server_write(server, "conf/key", "from a file\nnot this line\n");
    server_conf(server, "load_module modules/auth.so;",
                "filter auth { token t; hmac_key_file conf/key; max_age 0; hmac_member sig;"
                " time_member at; } method ping;");
    server_start(server);
    int client = client_connect(server);
    passes(client, ",\"token\":\"t\"");
    passes(client,
           keep_printf(",\"at\":5,\"sig\":\"%s\"", signature("from a file", "ping", 5, "[1, 2]")));
    is_denied(client, "", "a token or a signature is missing");
    is_denied(client, ",\"at\":5,\"sig\":7", "\"sig\" must be a string");
    is_denied(client, ",\"token\":\"u\"", "the token is not accepted");
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *filter, *message;
    } cases[] = {
        {"filter auth;", "no request could pass: give token"},
        {"filter auth { token ''; }", "a token is empty"},
        {"filter auth { token_file conf/none; }", "conf/none: No such file or directory"},
        {"filter auth { token_file conf/empty; }", "no request could pass"},
        {"filter auth { token_file conf/long; }", "conf/long:2: a token has at most 4096 bytes"},
        {"filter auth { hmac_key_file conf/empty; }", "its first line is to be a key"},
        {"filter auth { hmac_key ''; }", "hmac_key is empty"},
        {"filter auth { hmac_key a; hmac_key_file conf/empty; }", "not both"},
        {"filter auth { token_file conf; }", "/conf is a directory; give a file in it"},
        {"filter auth { hmac_key_file conf; }", "/conf is a directory; give a file in it"},
        {"filter auth { token a; member in; }", "member cannot be \"in\", which every request has"},
        {"filter auth { token a; member params; }", "such as \"token\""},
        {"filter auth { hmac_key a; hmac_member id; }", "hmac_member cannot be \"id\""},
        {"filter auth { hmac_key a; time_member id; }", "time_member cannot be \"id\""},
        {"filter auth { hmac_key a; hmac_member b; time_member b; }", "give them two names"},
        {"filter auth { tokn a; }", "did you mean \"token\"?"},
    };
    struct server *server = serve_auth("method ping;");

    server_write(server, "conf/empty", "# nothing\n");
    server_write(server, "conf/long", "x\n%05000d\n", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (strstr(cases[i].filter, "hmac_key_file conf/empty; }") != NULL)
            server_write(server, "conf/empty", "\n");
        server_conf(server, "load_module modules/auth.so;",
                    keep_printf("%s method ping;", cases[i].filter));
        server_reload_refused(server, cases[i].message);
        client_expect_alive(client_connect(server));
    }
}
END_TEST

E2E_MAIN("auth", a_valid_token_lets_a_request_in, the_command_line_sends_a_token_too,
         methods_and_servers_each_ask_for_their_own_token,
         a_file_of_tokens_is_read_and_read_again_by_a_reload,
         other_filters_learn_the_user_of_a_token, a_file_that_is_gone_is_missed_by_the_next_worker,
         a_valid_signature_lets_a_request_in, either_a_token_or_a_signature_lets_a_request_in,
         wrong_configurations_are_refused)
