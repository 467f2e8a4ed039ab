/* The access_log module: its lines, which no client can forge, buffers, rotation, full disks. */
#include "harness.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct server *serve_access_log(const char *workers, const char *server_text)
{
    struct server *server = server_new();

    /* Workers of a server that root has started have another user, and have to write here. */
    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777);
    server_conf(server, "load_module modules/access_log.so;", server_text);
    server_start_with(server, (const char *const[]){"-g", workers, NULL});
    return server;
}

/* The lines of a log, except those of the harness's requests, which call a method that does not
 * exist to see whether the server answers. */
static char *read_log(const struct server *server, const char *name)
{
    char *path = server_path(server, name);
    char *text = access(path, R_OK) == 0 ? file_read(path, NULL) : keep(strdup("")), *to = text;

    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        size += line[size] == '\n';
        if (memmem(line, size, "harness", strlen("harness")) == NULL)
            to = (char *)memmove(to, line, size) + size;
        line += size;
    }
    *to = '\0';
    return text;
}

static char *wait_line(const struct server *server, const char *name, const char *part)
{
    wait_until(strstr(read_log(server, name), part) != NULL, "%s has no %s but\n%s", name, part,
               read_log(server, name));
    return read_log(server, name);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* The caller's. */
static cJSON *line_of(const char *text, size_t number)
{
    for (; number > 0; number--)
        text = strchr(text, '\n') + 1;
    cJSON *line = cJSON_ParseWithLength(text, strcspn(text, "\n"));
    if (line == NULL)
        fail_test("no JSON: %.300s", text);
    return line;
}

static const char *member(const cJSON *line, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(line, name);
    return cJSON_IsString(item) ? item->valuestring : keep(cJSON_PrintUnformatted(item));
}

START_TEST(a_line_tells_of_a_request)
{
    struct server *server = serve_access_log(
        "worker_processes 1;", "filter access_log { path access/log; flush 10ms; } method ping;"
                               "method \"o\\\"dd\" { handler ping.ping; }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\",\"params\":[1],\"id\":\"x\\ny\"}");
    client_receive(client, NULL);
    client_send_frame(client, "{\"in\":\"o\\\"dd\"}");
    client_receive(client, NULL);
    char *text = wait_line(server, "access/log", "dd");
    cJSON *line = line_of(text, 0), *odd = line_of(text, 1);
    ck_assert_str_eq(member(line, "method"), "ping");
    ck_assert_str_eq(member(line, "status"), "ok");
    ck_assert_str_eq(member(line, "id"), "x\ny");
    ck_assert_str_eq(member(line, "bytes_in"), "38");
    ck_assert_str_eq(member(line, "bytes_out"), "43");
    ck_assert_str_eq(member(line, "worker"), "0");
    ck_assert_str_eq(member(line, "generation"), "1");
    expect_part(member(line, "peer"), "127.0.0.1:");
    ck_assert_uint_eq(strlen(member(line, "time")), strlen("2026-11-23T22:50:00.000Z"));
    ck_assert_double_lt(cJSON_GetNumberValue(cJSON_GetObjectItem(line, "us")), 10e6);
    ck_assert_str_eq(member(odd, "method"), "o\"dd");
    ck_assert_str_eq(member(odd, "id"), "null");
    cJSON_Delete(line);
    cJSON_Delete(odd);
}
END_TEST

START_TEST(a_format_of_ones_own)
{
    struct server *server = serve_access_log(
        "worker_processes 1;",
        "filter access_log { path access/log; flush 10ms;"
        " format \"$method|$status|$id|$$|$bytes_in/$bytes_out|$worker\"; } method ping;"
        "method \"a\\\\b\" { handler ping.ping; }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\",\"id\":7}");
    client_receive(client, NULL);
    client_send_frame(client, "{\"in\":\"a\\\\b\",\"id\":\"x\\ny\"}");
    client_receive(client, NULL);
    char *text = wait_line(server, "access/log", "x\\ny");
    ck_assert_str_eq(text, "ping|ok|7|$|20/39|0\na\\u005cb|ok|\"x\\ny\"|$|25/44|0\n");
}
END_TEST

/* In names, which a configuration chooses, and in ids, which a client does. */
START_TEST(control_characters_are_escaped)
{
    static const char id[] = "\"\xc2\x9b"
                             "2J\xe2\x80\xae\x7f\xf0\x9f\x98\x80\"";
    struct server *server =
        serve_access_log("worker_processes 1;", "filter access_log { path access/log; buffer 0; }"
                                                "filter access_log { path access/words; buffer 0;"
                                                " format \"$method $id\"; }"
                                                "method \"caf\xc3\xa9\" { handler ping.ping; }");
    int client = client_connect(server);

    client_send_frame(client, keep_printf("{\"in\":\"caf\xc3\xa9\",\"id\":%s}", id));
    client_receive(client, NULL);
    const char *shown = "\"\\u009b2J\\u202e\\u007f\xf0\x9f\x98\x80\"";
    wait_line(server, "access/log", keep_printf("\"id\":%s,", shown));
    ck_assert_str_eq(wait_line(server, "access/words", "2J"),
                     keep_printf("caf\xc3\xa9 %s\n", shown));
}
END_TEST

START_TEST(long_values_are_cut_and_the_line_is_whole)
{
    static const struct {
        const char *first, *unit, *last; /* a unit is there a thousand times */
        const char *shown;               /* how it ends in the log */
    } ids[] = {
        {"\"", "abcdefghi", "\"", "abcdefghiabc\xe2\x80\xa6 (9002 bytes)"},
        {"\"", "\xc3\xb6", "\"", "\xc3\xb6\xe2\x80\xa6 (2002 bytes)"},
        {"\"x", "\xe2\x82\xac", "\"", "\xe2\x82\xac\xe2\x80\xa6 (3003 bytes)"},
        {"\"", "\\\"", "\"", "\"\xe2\x80\xa6 (2002 bytes)"},
        {"\"x", "\\u000a", "\"", "\n\xe2\x80\xa6 (6003 bytes)"},
        {"\"xx", "\\ud83d\\uDE00", "\"", "\xf0\x9f\x98\x80\xe2\x80\xa6 (12004 bytes)"},
        {"", "1234567890", "", "12345\xe2\x80\xa6 (10000 bytes)"},
    };
    char name[256];
    memset(name, '"', sizeof(name));
    for (size_t i = 0; i < sizeof(name); i += 2)
        name[i] = '\\';
    name[254] = '\0';
    struct server *server = serve_access_log(
        "worker_processes 1;", keep_printf("filter access_log { path access/log; buffer 0; }"
                                           "method \"%s%s\" { handler ping.ping; } method ping;",
                                           name, name));
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        struct buffer id = {0};
        buffer_add(&id, ids[i].first, strlen(ids[i].first));
        for (int n = 0; n < 1000; n++)
            buffer_add(&id, ids[i].unit, strlen(ids[i].unit));
        buffer_add(&id, ids[i].last, strlen(ids[i].last) + 1);
        client_send_frame(client, keep_printf("{\"in\":\"%s%s\",\"id\":%s}", name, name, id.data));
        client_receive(client, NULL);
        free(id.data);
    }
    char *text = wait_line(server, "access/log", "(10000 bytes)");
    ck_assert_uint_eq(count_lines(text), sizeof(ids) / sizeof(*ids));
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        cJSON *line = line_of(text, i);
        const char *id = member(line, "id");
        size_t size = strlen(id), end = strlen(ids[i].shown);
        ck_assert_uint_le(size, 280);
        ck_assert_uint_ge(size, end);
        ck_assert_str_eq(id + size - end, ids[i].shown);
        ck_assert_uint_eq(strlen(member(line, "method")), 254);
        ck_assert_str_eq(member(line, "status"), "ok");
        ck_assert_str_eq(member(line, "generation"), "1");
        cJSON_Delete(line);
    }
}
END_TEST

/* Lines of "$method $status $us" that tell of success in less than 30 ms. */
static size_t count_quick(const char *text)
{
    size_t count = 0;

    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char status[64];
        unsigned us;
        if (sscanf(line, "%*s %63s %u", status, &us) != 2)
            fail_test("not a line: %.100s", line);
        count += strcmp(status, "ok") == 0 && us < 30000;
    }
    return count;
}

START_TEST(errors_and_slow_ones_are_always_told)
{
    struct server *server = server_new();

    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777);
    server_conf(server, "load_module modules/access_log.so; load_module modules/later.so;",
                "filter access_log { path access/log; buffer 0; sample 1000; slow 30ms;"
                " format \"$method $status $us\"; } method ping; method wait; method forgets;");
    server_start_alone(server);
    int client = client_connect(server);
    for (int i = 0; i < 10; i++)
        client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"forgets\"}");
    client_expect_error(client, "internal_error");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1,\"timeout\":20}}");
    client_receive(client, NULL);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":9000,\"timeout\":20}}");
    client_expect_error(client, "timeout");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":40}}");
    client_receive(client, NULL);
    char *text = wait_line(server, "access/log", "wait ok");
    expect_part(text, "forgets internal_error");
    expect_part(text, "wait timeout");
    ck_assert_uint_le(count_quick(text), 2); /* one of the pings, perhaps, and the start's */
}
END_TEST

START_TEST(lines_of_two_workers_do_not_mix_and_none_is_lost)
{
    enum { CLIENTS = 8, EACH = 1000 };
    struct server *server = serve_access_log(
        "worker_processes 2;", "filter access_log { path access/log; buffer 2k; } method ping;");
    int clients[CLIENTS];

    for (int c = 0; c < CLIENTS; c++)
        clients[c] = client_connect(server);
    for (int i = 0; i < EACH; i++) {
        for (int c = 0; c < CLIENTS; c++)
            client_send_frame(clients[c], keep_printf("{\"in\":\"ping\",\"id\":\"%d-%d\"}", c, i));
        if (i % 50 == 49) {
            for (int c = 0; c < CLIENTS * 50; c++)
                client_receive(clients[c % CLIENTS], NULL);
        }
    }
    struct run run = server_ask(server, "reload"); /* the workers that leave write what they have */
    expect_status(&run, 0);
    wait_until(count_lines(read_log(server, "access/log")) >= CLIENTS * EACH, "lines are missing");
    char *text = read_log(server, "access/log");
    size_t lines = 0;
    for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        cJSON *json = cJSON_ParseWithLength(line, strcspn(line, "\n"));
        if (json == NULL)
            fail_test("a torn line: %.200s", line);
        lines += strchr(member(json, "id"), '-') != NULL;
        cJSON_Delete(json);
    }
    ck_assert_uint_eq(lines, CLIENTS * EACH);
}
END_TEST

START_TEST(a_file_that_is_moved_away_is_opened_anew)
{
    struct server *server = serve_access_log(
        "worker_processes 1;", "filter access_log { path access/log; flush 10ms; } method ping;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\",\"id\":\"before\"}");
    client_receive(client, NULL);
    wait_line(server, "access/log", "before");
    ck_assert_int_eq(rename(server_path(server, "access/log"), server_path(server, "access/log.1")),
                     0);
    wait_until((client_send_frame(client, "{\"in\":\"ping\",\"id\":\"after\"}"),
                client_receive(client, NULL),
                strstr(read_log(server, "access/log"), "after") != NULL),
               "the file is not opened anew");
    expect_part(read_log(server, "access/log.1"), "before");
}
END_TEST

START_TEST(reopening_writes_the_held_lines_and_opens_the_new_file_at_once)
{
    struct server *server = serve_access_log(
        "worker_processes 2;", "filter access_log { path access/log; flush 1h; } method ping;"
                               "method more { handler ping.ping; filter access_log "
                               "{ path access/more; flush 1h; } }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"more\",\"id\":\"held\"}");
    client_receive(client, NULL);
    ck_assert_ptr_null(strstr(read_log(server, "access/log"), "held"));
    const char *const files[] = {"access/log", "access/more"};
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(rename(server_path(server, files[i]),
                                server_path(server, keep_printf("%s.1", files[i]))),
                         0);
    server_order(server, "reopen");
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(access(server_path(server, files[i]), F_OK), 0);
        expect_part(read_log(server, keep_printf("%s.1", files[i])), "held");
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(reopening_names_the_files_that_workers_cannot_open)
{
    struct server *server = serve_access_log(
        "worker_processes 3;", "filter access_log { path access/log; buffer 0; } method ping;");
    int client = client_connect(server);

    client_expect_alive(client);
    ck_assert_int_eq(rename(server_path(server, "access"), server_path(server, "away")), 0);
    struct run run = server_ask(server, "reopen");
    expect_status(&run, 1);
    ck_assert_str_eq(run.out, "");
    expect_part(run.err, "access_log.so: cannot open ");
    expect_part(run.err, "access/log anew: No such file or directory");
    expect_part(run.err, "2 more workers said the same");
    server_wait_log(server, "access/log anew: No such file or directory");
    client_expect_alive(client);
    ck_assert_int_eq(rename(server_path(server, "away"), server_path(server, "access")), 0);
    run = server_order(server, "reopen");
    expect_part(run.out, "by the master and 3 workers");
}
END_TEST

/* Workers have another user than root, which starts the server. */
START_TEST(a_user_who_may_not_open_the_file_is_named)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam("nobody") : getpwuid(geteuid());
    struct server *server = serve_access_log("worker_processes 1;", "method ping;");
    char *denied = server_path(server, "denied");

    ck_assert_int_eq(mkdir(denied, geteuid() == 0 ? 0700 : 0500), 0);
    server_conf(server, "load_module modules/access_log.so;",
                "filter access_log { path denied/log; } method ping;");
    /* The sandbox may hide the name, unless the system knows it without a file (nss-systemd(8)). */
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    const char *named = keep_printf("denied/log: Permission denied for the user %s", user->pw_name);
    expect_part(run.err, strstr(run.err, named) != NULL
                             ? named
                             : keep_printf("denied/log: Permission denied for the user %u",
                                           (unsigned)user->pw_uid));
}
END_TEST

START_TEST(a_full_disk_costs_lines_and_no_request)
{
    struct server *server = serve_access_log(
        "worker_processes 1;", "filter access_log { path /dev/full; buffer 0; } method ping;");
    int client = client_connect(server);

    for (int i = 0; i < 20; i++)
        client_expect_alive(client);
    server_wait_log(server, "lines could not be written to /dev/full: No space left on device");
}
END_TEST

/* Files that the process writes may have so many bytes. It has to be this user's. */
static void limit_files(pid_t pid, rlim_t size)
{
    struct rlimit limit;

    ck_assert_int_eq(prlimit(pid, RLIMIT_FSIZE, NULL, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    ck_assert_int_eq(prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

START_TEST(a_line_that_is_torn_has_an_end)
{
    static const char *const ids[] = {"before", "torn", "lost", "after"};
    size_t whole = 0;
    pid_t pid;

    signal(SIGXFSZ, SIG_IGN); /* the server inherits it: writes fail, and no process is killed */
    struct server *server =
        serve_access_log("worker_processes 1; user root;",
                         "method ping; method told { handler ping.ping; filter access_log "
                         "{ path access/log; buffer 0; } }");
    int client = client_connect(server);
    ck_assert_uint_eq(server_workers(server, &pid, 1), 1);
    for (size_t i = 0; i < 4; i++) {
        if (i == 1)
            limit_files(pid, whole + 40);
        if (i == 3)
            limit_files(pid, RLIM_INFINITY);
        client_send_frame(client, keep_printf("{\"in\":\"told\",\"id\":\"%s\"}", ids[i]));
        client_receive(client, NULL);
        client_expect_alive(client); /* its line is written, or not */
        char *now = read_log(server, "access/log");
        /* Whatever another worker writes begins at its own place. */
        ck_assert_int_eq(now[strlen(now) - 1], '\n');
        if (i == 0)
            whole = strlen(now);
    }
    char *text = read_log(server, "access/log");
    ck_assert_uint_eq(count_lines(text), 3);
    ck_assert_int_eq(text[whole + 40 - 1], '\n');
    cJSON *before = line_of(text, 0), *after = line_of(text, 2);
    ck_assert_str_eq(member(before, "id"), "before");
    ck_assert_str_eq(member(after, "id"), "after");
    cJSON_Delete(before);
    cJSON_Delete(after);
}
END_TEST

/* In a container, standard output is a pipe of root's, and workers have another user. */
START_TEST(a_path_may_be_standard_output)
{
    struct server *server = server_new();
    char *fifo = server_path(server, "logs/stderr.log"), text[65536];
    size_t size = 0;

    server_conf(server, "load_module modules/access_log.so;",
                "filter access_log { path /dev/stdout; buffer 0; } method ping;");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    server_start(server);
    ck_assert_int_eq(unlink(fifo), 0);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"ping\",\"id\":\"there\"}");
    client_receive(client, NULL);
    do {
        ssize_t got = read(reader, text + size, sizeof(text) - 1 - size);
        size += got > 0 ? (size_t)got : 0;
        text[size] = '\0';
    } while (strstr(text, "\"id\":\"there\"") == NULL && (look_again(), true));
    server_order(server, "reopen");
    client_expect_alive(client);
    close(reader);
}
END_TEST

START_TEST(a_fifo_without_a_reader_holds_up_nobody)
{
    struct server *server = server_new();
    char *fifo = server_path(server, "access");

    ck_assert_int_eq(mkfifo(fifo, 0666), 0);
    chmod(fifo, 0666);
    server_conf(server, "load_module modules/access_log.so;",
                "filter access_log { path access; } method ping;");
    server_start(server);
    int client = client_connect(server);
    for (int i = 0; i < 30; i++) {
        for (int n = 0; n < 100; n++)
            client_send_frame(client, "{\"in\":\"ping\",\"params\":1}");
        for (int n = 0; n < 100; n++)
            client_expect(client, "{\"out\":\"pong\",\"result\":1}");
    }
    char *log = server_wait_log(server, "lines could not be written to");
    expect_part(log, "its reader did not keep up");
    /* The lines that are there are whole. */
    struct buffer text = {0};
    char piece[4096];
    ssize_t size;
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    while ((size = read(reader, piece, sizeof(piece))) > 0)
        buffer_add(&text, piece, (size_t)size);
    close(reader);
    buffer_add(&text, "", 1);
    ck_assert_uint_gt(text.size, 10000);
    for (size_t i = 0, lines = count_lines(text.data); i < lines; i++)
        cJSON_Delete(line_of(text.data, i));
    /* And it goes on. */
    reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    wait_until((client_send_frame(client, "{\"in\":\"ping\"}"), client_receive(client, NULL),
                read(reader, piece, sizeof(piece)) > 0),
               "no line is written any more");
    close(reader);
    free(text.data);
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *filter, *message;
    } cases[] = {
        {"filter access_log;", "\"path\" is missing"},
        {"filter access_log { path nowhere/log; }", "cannot open"},
        {"filter access_log { path access/log; format \"$methd\"; }",
         "unknown variable at \"$methd\"; there are $time"},
        {"filter access_log { path access/log; format \"100 $\"; }", "unknown variable at \"$\""},
        {"filter access_log { path access/log; sample 0; }", "\"sample\" must be"},
    };
    struct server *server = serve_access_log("worker_processes 1;", "method ping;");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, "load_module modules/access_log.so;",
                    keep_printf("%s method ping;", cases[i].filter));
        server_reload_refused(server, cases[i].message);
    }
    client_expect_alive(client_connect(server));
}
END_TEST

E2E_MAIN("access_log", a_line_tells_of_a_request, a_format_of_ones_own,
         control_characters_are_escaped, long_values_are_cut_and_the_line_is_whole,
         errors_and_slow_ones_are_always_told, lines_of_two_workers_do_not_mix_and_none_is_lost,
         a_file_that_is_moved_away_is_opened_anew,
         reopening_writes_the_held_lines_and_opens_the_new_file_at_once,
         reopening_names_the_files_that_workers_cannot_open,
         a_user_who_may_not_open_the_file_is_named, a_full_disk_costs_lines_and_no_request,
         a_line_that_is_torn_has_an_end, a_path_may_be_standard_output,
         a_fifo_without_a_reader_holds_up_nobody, wrong_configurations_are_refused)
