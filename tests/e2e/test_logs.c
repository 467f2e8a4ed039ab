/* Logs that cannot be written or opened: without a reader, a FIFO, in a directory that is gone, by
 * links that other users have made. The server serves on, and logs later how many lines are
 * missing. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TALKS "load_module modules/talks.so;"

/* ---- standard error that nobody reads ---- */

static bool is_root(void)
{
    return geteuid() == 0;
}

/* A server whose standard error is a pipe: `*reader` is its other end. What the harness takes for
 * the log is made a FIFO, and is another file again when the server has it. */
static struct server *serve_into_pipe(const char *main_text, const char *server_text, int *reader)
{
    struct server *server = server_new();
    char *fifo = server_path(server, "logs/stderr.log");

    server_conf(server, main_text, server_text);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    *reader = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(*reader, 0);
    server_start(server);
    ck_assert_int_eq(unlink(fifo), 0);
    return server;
}

/* Reads until `part` has been read. All that was read. */
static char *drain_until(int reader, const char *part)
{
    struct buffer text = {0};
    char piece[65536];
    int64_t deadline = deadline_in(6 * PATIENCE_MS);

    for (;;) {
        ssize_t size = read(reader, piece, sizeof(piece));
        if (size > 0)
            buffer_add(&text, piece, (size_t)size);
        buffer_add(&text, "", 1);
        if (strstr(text.data, part) != NULL)
            return keep(text.data);
        text.size--;
        if (deadline_over(deadline))
            fail_test("the log never says \"%s\"", part);
        if (size <= 0)
            look_again();
    }
}

static bool is_full(int reader)
{
    struct pollfd end = {.fd = reader, .events = POLLOUT};
    return poll(&end, 1, 0) == 0;
}

static void call(int client, const char *method, int params)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%d}", method, params));
    client_expect(client, keep_printf("{\"out\":\"%s\",\"result\":true}", method));
}

static double lost(const struct server *server)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(server_stats(server), "log_lines_lost"));
}

static void expect_served(const struct server *server)
{
    int client = client_connect(server);
    client_expect_alive(client);
    close(client);
}

START_TEST(a_log_that_nobody_reads_holds_up_nobody)
{
    int reader;
    struct server *server =
        serve_into_pipe(TALKS, "method ping; method logs; method prints;", &reader);
    int client = client_connect(server);
    pid_t workers[8], vault = server_vault(server);
    size_t count;

    call(client, "logs", 5000);
    ck_assert(is_full(reader));
    ck_assert_double_gt(lost(server), 1000);
    call(client, "prints", 5000);
    /* The master has much to say too. */
    for (int i = 0; i < 3; i++) {
        server_reload(server);
    }
    count = server_workers(server, workers, 8);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    wait_until(!process_lives(workers[0]), "a worker does not end");
    client_expect_alive(client);
    expect_served(server);
    kill(vault, SIGKILL);
    wait_until(!process_lives(vault), "the vault does not end");
    ck_assert_int_ne(server_vault(server), vault);
    expect_served(server);
    server_order(server, "reopen");
    /* Even with nothing else to log, the server logs how many lines are missing. */
    char *text = drain_until(reader, "of this process are missing here: the log's reader");
    expect_part(text, "line 1, which is as long");
    call(client, "logs", 1);
    drain_until(reader, "line 0, which is as long");
    call(client, "logs", 5000);
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    close(reader);
}
END_TEST

START_TEST(a_start_with_a_full_standard_error_serves)
{
    struct server *server = server_new();
    char *fifo = server_path(server, "logs/stderr.log");
    char piece[4096] = {0};

    server_conf(server, "", "method ping;");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    while (write(reader, piece, sizeof(piece)) > 0)
        ;
    server_start(server);
    ck_assert_int_eq(unlink(fifo), 0);
    expect_served(server);
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    close(reader);
}
END_TEST

/* ---- a FIFO in a log's place ---- */

START_TEST(a_fifo_is_a_log_whether_or_not_it_is_read)
{
    struct server *server = server_new();
    char *fifo = server_path(server, "logs/own.log");

    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log logs/own.log info;\n" TALKS
                 "load_module modules/ping.so; load_module modules/rpc.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; method logs; method rpc.stats; }\n",
                 server->port);
    server_start(server);
    int client = client_connect(server);
    call(client, "logs", 5000);
    ck_assert_double_gt(lost(server), 0);
    server_order(server, "reopen");
    server_reload(server);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char *text = drain_until(reader, "are missing here: the log's reader did not keep up");
    expect_part(text, "pillion "); /* from its first line on */
    close(reader);
    call(client, "logs", 5000);
    client_expect_alive(client);
}
END_TEST

/* ---- a directory that is gone ---- */

static void serve_own(struct server *server, const char *path, const char *main_text)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log %s info;\n%s\n"
                 "load_module modules/ping.so; load_module modules/rpc.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; method rpc.stats; }\n",
                 path, main_text, server->port);
    server_start(server);
}

START_TEST(workers_are_replaced_when_the_logs_directory_is_gone)
{
    struct server *server = server_new();
    pid_t workers[8];

    ck_assert_int_eq(mkdir(server_path(server, "gone"), 0755), 0);
    serve_own(server, "gone/error.log", "");
    int held = open(server_path(server, "gone/error.log"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(unlink(server_path(server, "gone/error.log")), 0);
    ck_assert_int_eq(rmdir(server_path(server, "gone")), 0);
    int client = client_connect(server);
    size_t count = server_workers(server, workers, 8);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            kill(workers[i], SIGKILL);
        for (size_t i = 0; i < count; i++)
            wait_until(!process_lives(workers[i]), "a worker does not end");
        client_expect_alive(client);
        expect_served(server);
        count = server_workers(server, workers, 8);
    }
    ck_assert_uint_eq(count, 2);
    struct run run = server_ask(server, "reopen");
    expect_status(&run, 1);
    expect_part(run.err, "the log stays where it was");
    /* A reload changes nothing in that: what is there goes on. */
    server_reload(server);
    client_expect_alive(client);
    char text[1 << 16];
    ssize_t size = pread(held, text, sizeof(text) - 1, 0);
    text[size < 0 ? 0 : size] = '\0';
    expect_part(text, "generation 2 serves");
    expect_part(text, "the log goes on where it was");
    close(held);
    ck_assert_int_eq(mkdir(server_path(server, "gone"), 0755), 0);
    run = server_order(server, "reopen");
    expect_part(file_read(server_path(server, "gone/error.log"), NULL), "opened anew");
}
END_TEST

START_TEST(a_reload_to_a_log_that_cannot_be_opened_says_where)
{
    struct server *server = server_new();

    serve_own(server, "logs/one.log", "");
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log nowhere/two.log info;\n"
                 "load_module modules/ping.so;\nserver { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    server_reload_refused(server, "pillion.conf:2:11: cannot open the log");
    expect_served(server);
}
END_TEST

/* The vault says what it has to say where the others do. */
START_TEST(a_reload_to_another_log_takes_every_process_there)
{
    struct server *server = server_new();
    struct stat log, held;

    serve_own(server, "logs/one.log", "");
    pid_t vault = server_vault(server);
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log logs/two.log info;\n"
                 "load_module modules/ping.so;\nserver { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    server_reload(server);
    ck_assert_int_eq(stat(server_path(server, "logs/two.log"), &log), 0);
    /* Others than root may not look into the vault. */
    if (!is_root())
        return;
    bool there = false;
    int64_t deadline = deadline_in(PATIENCE_MS);
    while (!there && !deadline_over(deadline)) {
        for (int fd = 3; fd < 64 && !there; fd++)
            there = stat(keep_printf("/proc/%d/fd/%d", (int)vault, fd), &held) == 0 &&
                    held.st_ino == log.st_ino && held.st_dev == log.st_dev;
        look_again();
    }
    ck_assert_msg(there, "the vault does not have the new log");
}
END_TEST

/* ---- links that others have made ---- */

/* A directory that the workers' user may write, as `chown nobody logs` makes it. */
static char *make_workers_directory(const struct server *server)
{
    char *path = server_path(server, "theirs");
    const struct passwd *nobody = getpwnam("nobody");

    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(chown(path, nobody->pw_uid, nobody->pw_gid), 0);
    ck_assert_int_eq(mkdir(server_path(server, "secret"), 0700), 0);
    return path;
}

static void link_as_nobody(const char *target, const char *path)
{
    const struct passwd *nobody = getpwnam("nobody");

    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(lchown(path, nobody->pw_uid, nobody->pw_gid), 0);
}

START_TEST(root_follows_no_link_that_a_worker_could_have_made)
{
    if (!is_root()) /* the server's user can do no more than its workers */
        return;
    struct server *server = server_new();
    char *directory = make_workers_directory(server);
    char *secret = server_path(server, "secret/cron");
    char *log = keep_printf("%s/error.log", directory);
    pid_t workers[8];

    serve_own(server, "theirs/error.log", "");
    ck_assert_int_eq(rename(log, keep_printf("%s.1", log)), 0);
    link_as_nobody(secret, log);
    struct run run = server_ask(server, "reopen");
    expect_status(&run, 1);
    expect_part(run.err, "symbolic link");
    /* Neither do the processes that are started meanwhile, nor a reload. */
    server_workers(server, workers, 8);
    kill(workers[0], SIGKILL);
    wait_until(!process_lives(workers[0]), "a worker does not end");
    server_reload(server);
    expect_served(server);
    ck_assert_int_lt(access(secret, F_OK), 0);
    /* The directory itself, too. */
    ck_assert_int_eq(rename(directory, server_path(server, "aside")), 0);
    link_as_nobody(server_path(server, "secret"), directory);
    run = server_ask(server, "reopen");
    expect_status(&run, 1);
    ck_assert_int_lt(access(server_path(server, "secret/error.log"), F_OK), 0);
    /* What root has linked is where root wants it. */
    ck_assert_int_eq(unlink(directory), 0);
    ck_assert_int_eq(rename(server_path(server, "aside"), directory), 0);
    ck_assert_int_eq(unlink(log), 0);
    ck_assert_int_eq(symlink(secret, log), 0);
    run = server_order(server, "reopen");
    ck_assert_int_eq(access(secret, F_OK), 0);
}
END_TEST

START_TEST(a_fifo_that_takes_the_logs_place_holds_up_nobody)
{
    struct server *server = server_new();
    char *log = server_path(server, "logs/own.log");

    serve_own(server, "logs/own.log", "");
    ck_assert_int_eq(unlink(log), 0);
    ck_assert_int_eq(mkfifo(log, 0600), 0);
    server_order(server, "reopen");
    server_reload(server);
    expect_served(server);
}
END_TEST

E2E_MAIN("logs", a_log_that_nobody_reads_holds_up_nobody, a_start_with_a_full_standard_error_serves,
         a_fifo_is_a_log_whether_or_not_it_is_read,
         workers_are_replaced_when_the_logs_directory_is_gone,
         a_reload_to_a_log_that_cannot_be_opened_says_where,
         a_reload_to_another_log_takes_every_process_there,
         root_follows_no_link_that_a_worker_could_have_made,
         a_fifo_that_takes_the_logs_place_holds_up_nobody)
