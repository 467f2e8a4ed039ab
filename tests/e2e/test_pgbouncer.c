/* The postgres module behind a real pgbouncer, in each of its modes: connections to the server are
 * many clients' in turn, and so is what those prepare. */
#include "postgres_server.h"

#define STATEMENTS 24 /* each gives its own number */
#define CLIENTS    6
#define ROUNDS     25

static const char *const modes[] = {"session", "transaction", "statement"};
static const char *const prepares[] = {"on", "off"};

/* A pgbouncer that ends with the test. It refuses to be root's, too. */
static int bouncer_start(const struct postgres *postgres, const char *mode)
{
    int port = free_port();
    const char *conf = keep_printf("%s/%s.ini", postgres->data, mode);
    const char *text = keep_printf("[pgbouncer]\n"
                                   "listen_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"
                                   "auth_type = any\npool_mode = %s\ndefault_pool_size = 3\n"
                                   "max_client_conn = 100\n[databases]\n"
                                   "postgres = host=127.0.0.1 port=%d user=test\n",
                                   port, mode, postgres->port);

    file_write(conf, text, strlen(text));
    chmod(conf, 0644);
    run_as_somebody(postgres, (const char *const[]){"/usr/sbin/pgbouncer", "-q", conf, NULL});
    return port;
}

/* Methods of which `shift` decides which number each gives. */
static const char *methods(int shift)
{
    char *text = keep_printf("method ping; postgres_method one 'select 1' { returns value; }"
                             "postgres_method move 'delete from users where id = $1'"
                             " 'insert into users values ($1)' 'select count(*) from users' {"
                             " params id:int; returns value; }"
                             "postgres_method all 'select * from users' { returns row; }"
                             "postgres_method pi 'select pi()' { returns value; }");

    for (int i = 0; i < STATEMENTS; i++)
        text = keep_printf("%s postgres_method m%d 'select %d + $1::int' { params n:int; returns "
                           "value; }",
                           text, i, (i + shift) % STATEMENTS * 1000);
    return text;
}

/* Every reply is that of the statement that was asked for. */
static void all_is_right(const int clients[CLIENTS], int shift)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CLIENTS; c++) {
            for (int i = 0; i < 4; i++) {
                int m = (round * 7 + c * 5 + i) % STATEMENTS;
                client_send_frame(clients[c],
                                  keep_printf("{\"in\":\"m%d\",\"params\":{\"n\":%d},\"id\":%d}", m,
                                              c, (m + shift) % STATEMENTS * 1000 + c));
            }
        }
        for (int i = 0; i < 4 * CLIENTS; i++) {
            const cJSON *reply = client_receive_json(clients[i % CLIENTS]);
            const cJSON *is = cJSON_GetObjectItem(reply, "result");
            if (!cJSON_IsNumber(is) || is->valueint != cJSON_GetObjectItem(reply, "id")->valueint)
                fail_test("round %d: %s", round, (char *)keep(cJSON_PrintUnformatted(reply)));
        }
    }
}

static void serve_behind(const struct postgres *postgres, const char *mode, const char *prepare)
{
    struct postgres bouncer = {.port = bouncer_start(postgres, mode)};
    struct server *server = server_new(), *other = server_new();
    const char *settings = keep_printf("timeout 1m; connections %d; prepare %s;",
                                       strcmp(mode, "session") == 0 ? 1 : 4, prepare);
    int clients[CLIENTS], others[CLIENTS];

    postgres_conf(server, &bouncer, settings, methods(0));
    postgres_conf(other, &bouncer, settings, methods(5)); /* the same names, other statements */
    server_start_alone(server);
    server_start_alone(other);
    for (int c = 0; c < CLIENTS; c++) {
        clients[c] = client_connect(server);
        others[c] = client_connect(other);
    }
    postgres_is_there(clients[0]);
    postgres_is_there(others[0]);
    all_is_right(clients, 0);
    all_is_right(others, 5);
    /* What the module prepares is another statement after this. */
    postgres_conf(server, &bouncer, settings, methods(11));
    server_reload(server);
    postgres_is_there(clients[0]);
    all_is_right(clients, 11);
    all_is_right(others, 5);
    for (int i = 0; i < 12; i++) {
        gives(clients[i % CLIENTS], "move", "{\"id\":1}", "1");
        gives(others[i % CLIENTS], "pi", "null", "3.141592653589793");
    }
    run_sql(postgres, "alter table users add column c int");
    for (int i = 0; i < 12; i++)
        gives(clients[i % CLIENTS], "all", "null", "{\"id\":1,\"name\":null,\"c\":null}");
    server_signal(server, SIGTERM);
    server_signal(other, SIGTERM);
    server_wait_exit(server, 3 * PATIENCE_MS);
    server_wait_exit(other, 3 * PATIENCE_MS);
}

static void mode_works(const char *mode, const char *prepare)
{
    struct server *place = server_new();
    struct postgres postgres = {.port = free_port()};

    if (access("/usr/sbin/pgbouncer", X_OK) != 0)
        fail_test("there is no /usr/sbin/pgbouncer: make deps-test");
    postgres_init(&postgres, place);
    postgres_start(&postgres);
    wait_until(try_sql(&postgres, "select 1").status == 0, "postgres does not come");
    make_table(&postgres);
    run_sql(&postgres, "alter role test set extra_float_digits = -5");
    serve_behind(&postgres, mode, prepare);
    postgres_end(&postgres);
}

START_TEST(behind_a_pooler_every_reply_is_that_of_its_statement)
{
    mode_works(modes[_i / 2], prepares[_i % 2]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pgbouncer");
    TCase *tcase = tcase_create("pgbouncer");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, harness_setup, harness_teardown);
    tcase_add_loop_test(tcase, behind_a_pooler_every_reply_is_that_of_its_statement, 0, 6);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
