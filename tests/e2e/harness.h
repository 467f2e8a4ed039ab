/* The harness of end-to-end tests: a prefix for each server, the real binary in it, and clients.
 *
 *     START_TEST(ping_answers)
 *     {
 *         struct server *server = server_new();
 *         server_conf(server, "", "method ping;");
 *         server_start(server);
 *         int client = client_connect(server);
 *         client_send_frame(client, "{\"in\": \"ping\"}");
 *         client_expect(client, "{\"out\":\"pong\",\"result\":null}");
 *     }
 *     END_TEST
 *
 *     E2E_MAIN("wire", ping_answers, …)
 *
 * The binary and its modules are found by PILLION_BUILD. Nothing of the core is linked. Every wait
 * has a deadline; a function that fails fails the test, which shows the tail of the server's log.
 * Returned pointers stay valid until the test ends. Servers are ended, and prefixes removed, when
 * the test is over, in whatever way it ends. CK_TIMEOUT_MULTIPLIER stretches check's time limit and
 * the deadlines here. ONLY=ping_answers in the environment runs the test of that name alone. */
#ifndef PILLION_TESTS_HARNESS_H
#define PILLION_TESTS_HARNESS_H

#include <check.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define PATIENCE_MS 30000 /* how long anything that must happen may take */

struct server {
    char prefix[64];      /* conf/, modules/ (copies of all built modules), run/, logs/ */
    char conf[256];       /* PREFIX/conf/pillion.conf */
    int port;             /* of 127.0.0.1, free when the server was made; below 32768 */
    pid_t pid;            /* the master; 0 while none runs */
    pid_t group;          /* its process group; 0 when none was ever started */
    int status;           /* of waitpid(2), once the master has ended */
    uint64_t files;       /* its limit on open files; 0: the test's */
    bool reports_allowed; /* a module crashes on purpose: a sanitizer's report in the log is no
                             failure */
    struct server *next;
};

/* ---- time ---- */

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);

/* The time by which something that may take `ms` must be over. */
int64_t deadline_in(int64_t ms);
bool deadline_over(int64_t deadline);

/* Sleeps a few milliseconds, between two looks at a condition. */
void look_again(void);

/* Waits until `condition`, an expression, holds; fails the test with `what` otherwise. */
#define wait_until(condition, ...)                 \
    do {                                           \
        int64_t until_ = deadline_in(PATIENCE_MS); \
        while (!(condition)) {                     \
            if (deadline_over(until_))             \
                fail_test(__VA_ARGS__);            \
            look_again();                          \
        }                                          \
    } while (0)

/* The row of a table that the test is at: failures begin with it. NULL: none. */
void test_row(const char *row);

/* Fails the test. */
__attribute__((format(printf, 1, 2), noreturn)) void fail_test(const char *format, ...);

/* ---- memory that lives as long as the test ---- */

void *keep(void *memory);
__attribute__((format(printf, 1, 2))) char *keep_printf(const char *format, ...);

/* ---- files ---- */

void file_write(const char *path, const void *data, size_t size);
char *file_read(const char *path, size_t *size);  /* NUL-terminated; `size` may be NULL */
void file_copy(const char *from, const char *to); /* as cp does: over the same inode */

/* ---- servers: harness_server.c ---- */

struct server *server_new(void);

/* A port of 127.0.0.1 that no other server and no other test has. Below 32768. */
int free_port(void);

/* PREFIX/`path`. */
char *server_path(const struct server *server, const char *path);

/* The .so of a built module, shipped or of tests/modules. */
const char *module_path(const char *name);

/* Writes PREFIX/`path`. */
__attribute__((format(printf, 3, 4))) void server_write(const struct server *server,
                                                        const char *path, const char *format, ...);

/* Writes a configuration of two workers that loads ping.so and rpc.so, adds `main_text` to it, and
 * has one server at server->port that enables rpc.stats, with `server_text`. */
void server_conf(const struct server *server, const char *main_text, const char *server_text);

/* Starts `pillion -p PREFIX` and the options given (up to NULL), and waits until it answers a
 * request on 127.0.0.1:port. */
void server_start_with(struct server *server, const char *const options[]);
void server_start(struct server *server);
/* The same with one worker, which gets every connection. */
void server_start_alone(struct server *server);

/* A new server that has been configured as server_conf does, and started. */
struct server *server_serve(const char *main_text, const char *server_text);
/* The same with one worker. */
struct server *server_serve_alone(const char *main_text, const char *server_text);
/* The same with `directives` in front of those of the configuration (-g). */
struct server *server_serve_with(const char *directives, const char *main_text,
                                 const char *server_text);

/* PREFIX/binary/pillion: a copy of the binary that the test can replace while it runs. */
char *server_binary(const struct server *server);
/* Makes it of the file `from`, with the folder. */
void server_put_binary(const struct server *server, const char *from);

/* Starts the server and returns at once: for servers that are to fail, or that listen elsewhere. */
void server_spawn(struct server *server, const char *const options[]);

/* Starts `argv`, a command that runs the server, in a process group of its own, and returns at
 * once. Its output goes to the server's log. */
void server_run(struct server *server, const char *const argv[]);

/* The test has started the server by itself, as process `pid` that leads a group: the test's end
 * will end it. */
void server_started_as(struct server *server, pid_t pid);

/* Waits until the server answers a request on 127.0.0.1:port. */
void server_wait_ready(struct server *server);

/* After `daemon on`: `group` becomes the process of the pid file, so that the test's end will end
 * it. */
void server_detached(struct server *server);

void server_signal(const struct server *server, int number);

/* Waits until the master ends, for `ms` at most. Returns the status of waitpid(2). */
int server_wait_exit(struct server *server, int64_t ms);

/* The server's standard error so far, and error_log's file logs/error.log if there is one. */
char *server_log(const struct server *server);

/* Waits until the log has `text`, and returns the whole log. */
char *server_wait_log(const struct server *server, const char *text);
/* The same, so many times: a log that has said it once would say it at once. */
char *server_wait_log_times(const struct server *server, const char *text, int times);
bool server_logged(const struct server *server, const char *text);

/* Sends a signal to the master, and then to each of its children. */
void server_kill_all(const struct server *server, int number);

/* Finds up to `most` children of a process in /proc. Returns their number. */
size_t children_of(pid_t pid, pid_t *pids, size_t most);

/* The vault of the server. */
pid_t server_vault(const struct server *server);

/* True when the process exists and is no zombie. */
bool process_lives(pid_t pid);

/* True when the bytes are in memory that the process can write. One that has ended has nothing. */
bool process_has(pid_t pid, const void *bytes, size_t size);

/* The result of rpc.stats, asked for on a connection of its own. */
const cJSON *server_stats(const struct server *server);

/* A number of rpc.stats: "crashes", "connections.open". */
double server_stat(const struct server *server, const char *path);

/* A metric of a module, by rpc.stats. */
double server_metric(const struct server *server, const char *module, const char *name);

/* A count of a method, such as its "calls" or "errors", by rpc.stats. */
double server_calls(const struct server *server, const char *method, const char *count);

/* The first child of the server's master whose title (process/title.h) begins so; 0: there is none.
 */
pid_t server_child(const struct server *server, const char *title);

/* The pids of the workers, by rpc.stats. */
size_t server_workers(const struct server *server, pid_t *pids, size_t most);
void server_kill_workers(const struct server *server);

/* ---- commands: harness_command.c ---- */

struct run {
    int status; /* the exit status, or 128 and the signal that ended it */
    char *out, *err;
};

/* Runs a command with `input` (or NULL: /dev/null) on its standard input, and waits for it. Fails
 * the test, and kills it, when it takes longer than `ms`. */
struct run run_command(const char *const argv[], const char *input, int64_t ms);

/* `pillion ARGUMENTS…` with PATIENCE_MS: pillion("-v") or pillion("call", "ping"). */
#define pillion(...) \
    run_command((const char *const[]){pillion_binary(), __VA_ARGS__, NULL}, NULL, PATIENCE_MS)
const char *pillion_binary(void);

/* Starts another program, which ends with the test, and returns at once. Its output goes to the
 * file `log`, anew; NULL: nowhere. */
pid_t daemon_start(const char *const argv[], const char *log);
/* Ends it, at once. */
void daemon_end(pid_t pid);

/* A copy of the binary without `plugin` ("tls.so") or any other beside it; NULL when an installed
 * one would be found. */
const char *binary_alone(const struct server *server, const char *plugin);

/* False, with a message, when there are no pseudoterminals (pts(4)), as in a chroot without
 * /dev/pts. */
bool terminals_exist(void);

/* False, with a message and a line for the end of `make check`, when this machine has no such
 * command. */
bool command_exists(const char *name);

/* `pillion -s VERB -p PREFIX`. */
struct run server_ask(const struct server *server, const char *verb);
/* The same, which must succeed. */
struct run server_order(const struct server *server, const char *verb);

/* Orders a reload, which must succeed. */
void server_reload(const struct server *server);
/* Orders a reload, which must be refused with `words`. */
void server_reload_refused(const struct server *server, const char *words);

/* Fails the test, with what the command printed, unless its exit status is `status`. */
void expect_status(const struct run *run, int status);
/* Fails the test unless `text` holds `part`. */
void expect_part(const char *text, const char *part);
/* Fails the test unless `text` is `whole`. */
void expect_text(const char *text, const char *whole);

/* ---- clients: harness_client.c ---- */

/* Sockets, non-blocking; tests may close them, and need not. */
int client_connect(const struct server *server); /* 127.0.0.1:port */
int client_connect_v6(int port);                 /* [::1]:port */
int client_connect_unix(const char *path);
int client_connect_to(int port);
int client_connect_from(const char *address, int port); /* "127.0.0.9" */
/* -1 with errno when no server listens. */
int client_try_connect(int port);
int client_try_connect_unix(const char *path);

void client_send(int client, const void *data, size_t size);
/* Sends a frame with the text `body`. */
void client_send_frame(int client, const char *body);
/* So many such frames in one piece: the server has the last one before any of them has ended. */
void client_send_frames(int client, int count, const char *body);
/* As client_send, but false when the server has closed or reset the connection. */
bool client_try_send(int client, const void *data, size_t size);
/* Sends only a header that announces `length`. */
void client_announce(int client, uint32_t length);
/* Ends sending, with a FIN. */
void client_finish(int client);
/* Closes as a client does that has crashed: its kernel resets the connection. */
void client_vanish(int client);

/* Receives exactly one frame, and returns its body, NUL-terminated. */
char *client_receive(int client, size_t *size);
const cJSON *client_receive_json(int client);

/* Sends a frame with the text `body`, and returns the reply's body. */
const char *client_ask(int client, const char *body);
/* Calls a method with params, which are JSON, and returns the reply's body. */
const char *client_call(int client, const char *method, const char *params);

/* Expects `body` as the next reply, byte for byte. */
void client_expect(int client, const char *body);
/* Expects an error with this code as the next reply, in either format; returns its message. */
const char *client_expect_error(int client, const char *code);
/* All that the server sends until it closes in order. */
char *client_receive_rest(int client);
/* Sends a request, which the connection's end follows, on a connection of its own to
 * 127.0.0.1:port: the response. */
const char *client_round(int port, const char *request);
/* Expects the server to close in order, with no byte before that. */
void client_expect_end(int client);
/* Expects an answer to a ping. */
void client_expect_alive(int client);
/* True when nothing has arrived. */
bool client_is_silent(int client);
/* True when the server has closed or reset the connection, and nothing is left to read. */
bool client_is_closed(int client);

/* Sends `data`, in pieces of at most `piece` bytes (0: of any size), and expects `expected` back.
 * Does both at the same time, because either may be more than sockets hold. */
void client_exchange(int client, const void *data, size_t size, size_t piece, const void *expected,
                     size_t expected_size);

/* A listener of the test's own at a port of 127.0.0.1. */
int listen_at(int port);
/* The same on a free port; sets `address` to "127.0.0.1:PORT", which is kept. */
int listen_anywhere(char **address);

/* Bytes that grow, for requests and expected replies. Starts as `{0}`. */
struct buffer {
    char *data;
    size_t size, capacity;
};
void buffer_add(struct buffer *buffer, const void *data, size_t size);
/* Appends a frame whose body is made as by printf. */
__attribute__((format(printf, 2, 3))) void buffer_add_frame(struct buffer *buffer,
                                                            const char *format, ...);

/* ---- main ---- */

void harness_setup(void);
void harness_teardown(void);

#define E2E_MAIN(suite_name, ...)                                          \
    int main(void)                                                         \
    {                                                                      \
        const TTest *tests[] = {__VA_ARGS__};                              \
        Suite *suite = suite_create(suite_name);                           \
        TCase *tcase = tcase_create(suite_name);                           \
        tcase_set_timeout(tcase, 60);                                      \
        tcase_add_checked_fixture(tcase, harness_setup, harness_teardown); \
        const char *only = getenv("ONLY");                                 \
        for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {      \
            if (only == NULL || strcmp(only, tests[i]->name) == 0)         \
                tcase_add_test(tcase, tests[i]);                           \
        }                                                                  \
        suite_add_tcase(suite, tcase);                                     \
        SRunner *runner = srunner_create(suite);                           \
        srunner_run_all(runner, CK_ENV);                                   \
        int failed = srunner_ntests_failed(runner);                        \
        srunner_free(runner);                                              \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                  \
    }

#endif
