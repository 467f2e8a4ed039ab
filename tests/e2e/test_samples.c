/* The modules of modules/samples in the real server, through reloads and deaths of workers in the
 * middle of what they do. Their own tests are beside them. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copies a sample into the server's modules. False, which is told, when it was left out for want of
 * what it needs: `make unit` says of what. */
static bool sample(const struct server *server, const char *name)
{
    char *built = keep_printf("%s/samples/%s.so", getenv("PILLION_BUILD"), name);

    if (access(built, R_OK) != 0) {
        printf("skipped: the sample %s was not built\n", name);
        return false;
    }
    file_copy(built, server_path(server, keep_printf("modules/%s.so", name)));
    return true;
}

/* A server of one worker with a sample; NULL when that was left out. */
static struct server *serve(const char *name, const char *main_text, const char *server_text)
{
    struct server *server = server_new();

    if (!sample(server, name))
        return NULL;
    server_conf(server, main_text, server_text);
    server_start_alone(server);
    return server;
}

/* Ends the only worker by a signal, once those of an earlier generation are gone, and waits for the
 * next. */
static void worker_kill(const struct server *server)
{
    pid_t pids[2], next[2];

    wait_until(server_workers(server, pids, 2) == 1, "there is not one worker alone");
    kill(pids[0], SIGKILL);
    wait_until(server_workers(server, next, 2) == 1 && next[0] != pids[0],
               "no worker has followed");
}

/* ---- notes ---- */

#define NOTES \
    "method ping; method notes.add; method notes.get; method notes.list; method notes.search;"

/* Has the database locked for writing, as another process that writes would: the bytes of the locks
 * WAL_WRITE_LOCK, and of "dead man's switch" which says that the file is in use (SQLite, "WAL-mode
 * File Format", 2.3). Returns what to close. */
static int notes_lock(const struct server *server)
{
    struct flock writes = {.l_type = F_WRLCK, .l_start = 120, .l_len = 1};
    struct flock uses = {.l_type = F_RDLCK, .l_start = 128, .l_len = 1};
    int fd = open(server_path(server, "data/notes.db-shm"), O_RDWR | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETLK, &uses), 0);
    ck_assert_int_eq(fcntl(fd, F_SETLK, &writes), 0);
    return fd;
}

static struct server *notes_serve(void)
{
    struct server *server = server_new();

    if (!sample(server, "notes"))
        return NULL;
    mkdir(server_path(server, "data"), 0777);
    chmod(server_path(server, "data"), 0777); /* the workers' user is another one's for root */
    server_conf(server,
                "pool notes threads=2 queue=10;"
                "load_module modules/notes.so pool=notes { file data/notes.db; }",
                NOTES);
    server_start_alone(server);
    return server;
}

START_TEST(notes_are_written_over_a_reload)
{
    struct server *server = notes_serve();

    if (server == NULL)
        return;
    int client = client_connect(server), other = client_connect(server);
    client_send_frame(client, "{\"in\":\"notes.add\",\"params\":{\"title\":\"one\"}}");
    client_expect(client, "{\"out\":\"note\",\"result\":{\"id\":1}}");

    int lock = notes_lock(server);
    client_send_frame(client, "{\"in\":\"notes.add\",\"params\":{\"title\":\"two\"}}");
    client_send_frame(other, "{\"in\":\"notes.get\",\"params\":{\"id\":1}}");
    client_expect(other,
                  "{\"out\":\"note\",\"result\":{\"id\":1,\"title\":\"one\",\"body\":\"\"}}");
    server_reload(server);
    client_send_frame(other, "{\"in\":\"notes.list\",\"params\":{}}");
    client_expect(other,
                  "{\"out\":\"notes\",\"result\":[{\"id\":1,\"title\":\"one\",\"body\":\"\"}]}");
    ck_assert(client_is_silent(client));
    close(lock);
    client_expect(client, "{\"out\":\"note\",\"result\":{\"id\":2}}");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_note_of_a_worker_that_died_is_not_written_twice)
{
    struct server *server = notes_serve();

    if (server == NULL)
        return;
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"notes.add\",\"params\":{\"title\":\"one\"}}");
    client_expect(client, "{\"out\":\"note\",\"result\":{\"id\":1}}");

    int lock = notes_lock(server);
    client_send_frame(client, "{\"in\":\"notes.add\",\"params\":{\"title\":\"two\"}}");
    wait_until(server_stat(server, "pools.notes.busy") == 1, "no thread adds the note");
    worker_kill(server);
    client_expect_error(client, "module_crashed");
    close(lock);
    client_send_frame(client, "{\"in\":\"notes.add\",\"params\":{\"title\":\"three\"}}");
    client_expect(client, "{\"out\":\"note\",\"result\":{\"id\":2}}");
    client_send_frame(client, "{\"in\":\"notes.search\",\"params\":{\"text\":\"t\"}}");
    client_expect(client,
                  "{\"out\":\"notes\",\"result\":[{\"id\":2,\"title\":\"three\",\"body\":\"\"}]}");
}
END_TEST

/* ---- fetch ---- */

/* Waits for a request of the module's, and reads it. Returns the connection. */
static int fetch_accept(int listener)
{
    char head[2048];
    size_t size = 0;
    int fd = -1;

    head[0] = '\0';
    wait_until((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0, "nobody has connected");
    while (strstr(head, "\r\n\r\n") == NULL) {
        ssize_t more = 0;
        wait_until((more = recv(fd, head + size, sizeof(head) - 1 - size, MSG_DONTWAIT)) > 0,
                   "no request has come");
        head[size += (size_t)more] = '\0';
    }
    expect_part(head, "GET /page HTTP/1.1\r\n");
    return fd;
}

START_TEST(a_page_is_fetched_over_a_reload_and_a_death)
{
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    static const char reply[] = "{\"out\":\"page\",\"result\":{\"status\":200,\"type\":null,"
                                "\"page\":\"hello\"}}";
    struct server *server =
        serve("fetch", "load_module modules/fetch.so { hosts 127.0.0.1; }", "method fetch;");
    char *address;

    if (server == NULL)
        return;
    int listener = listen_anywhere(&address), client = client_connect(server);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    const char *request =
        keep_printf("{\"in\":\"fetch\",\"params\":{\"url\":\"http://%s/page\"}}", address);

    /* The worker that has asked stays for the answer. */
    client_send_frame(client, request);
    int upstream = fetch_accept(listener);
    server_reload(server);
    ck_assert(client_is_silent(client));
    send(upstream, page, sizeof(page) - 1, MSG_NOSIGNAL);
    client_expect(client, reply);
    close(upstream);

    /* The next worker asks once more: the method is idempotent. */
    client_send_frame(client, request);
    upstream = fetch_accept(listener);
    worker_kill(server);
    int again = fetch_accept(listener);
    send(again, page, sizeof(page) - 1, MSG_NOSIGNAL);
    client_expect(client, reply);
    close(upstream);
    close(again);
}
END_TEST

/* ---- deflate ---- */

START_TEST(bytes_are_compressed_by_every_worker)
{
    struct server *server =
        serve("deflate", "load_module modules/deflate.so;", "method deflate; method inflate;");

    if (server == NULL)
        return;
    int client = client_connect(server);
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"deflate\",\"params\":{\"data\":\"aGVsbG8=\"}}");
        client_expect(client, "{\"out\":\"data\",\"result\":{\"data\":\"eJzLSM3JyQcABiwCFQ==\","
                              "\"size\":13}}");
        client_send_frame(client,
                          "{\"in\":\"inflate\",\"params\":{\"data\":\"eJzLSM3JyQcABiwCFQ==\"}}");
        client_expect(client, "{\"out\":\"data\",\"result\":{\"data\":\"aGVsbG8=\",\"size\":5}}");
        if (i == 0)
            server_reload(server);
        else
            worker_kill(server);
    }
}
END_TEST

/* ---- cxx ---- */

#define MEET(name) \
    "{\"in\":\"meet\",\"params\":{\"room\":\"tea\",\"name\":\"" name "\",\"seats\":2}}"

START_TEST(guests_meet_where_a_worker_has_died)
{
    struct server *server =
        serve("cxx", "load_module modules/cxx.so;", "method ping; method calc; method meet;");

    if (server == NULL)
        return;
    int ada = client_connect(server), bob = client_connect(server);
    client_send_frame(ada, MEET("Ada"));
    wait_until(cJSON_GetObjectItem(
                   cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "modules"), "cxx"),
                   "waiting")
                       ->valueint == 1,
               "Ada does not wait");
    worker_kill(server);
    client_expect_error(ada, "module_crashed");
    client_send_frame(ada, MEET("Ada"));
    client_send_frame(bob, MEET("Bob"));
    const char *first = client_receive(ada, NULL), *second = client_receive(bob, NULL);
    expect_text(first, second); /* whichever of the two has come first */
    expect_part(first, "\"Ada\"");
    expect_part(first, "\"Bob\"");
    server_reload(server);
    client_send_frame(bob, "{\"in\":\"calc\",\"params\":{\"formula\":\"6*7\"}}");
    client_expect(bob, "{\"out\":\"calc\",\"result\":42}");
    client_send_frame(bob, "{\"in\":\"calc\",\"params\":{\"formula\":\"6/0\"}}");
    client_expect_error(bob, "division_by_zero");
    client_expect_alive(ada);
}
END_TEST

/* What the module `throws` throws, and the answer to it. */
static const struct {
    const char *what, *code, *message;
} thrown[] = {
    {"failure", "own_code", "its own words"},
    {"argument", "invalid_params", "not this"},
    {"memory", "overloaded", "out of memory"},
    {"error", "internal_error", "a mistake"},
    {"number", "internal_error", "an exception of an unknown type"},
    {"late", "internal_error", "the request was given up"},
};
#define THROWN (sizeof(thrown) / sizeof(*thrown))

START_TEST(no_exception_crosses_the_border)
{
    struct server *server =
        server_serve_alone("load_module modules/throws.so;", "method throws; method destroyed;");
    int client = client_connect(server);

    for (size_t i = 0; i < THROWN; i++) {
        client_send_frame(client, keep_printf("{\"in\":\"throws\",\"params\":{\"what\":\"%s\"}}",
                                              thrown[i].what));
        expect_text(client_expect_error(client, thrown[i].code), thrown[i].message);
    }
    /* Objects of requests end with them. */
    client_send_frame(client, "{\"in\":\"destroyed\"}");
    client_expect(client, keep_printf("{\"out\":\"destroyed\",\"result\":%zu}", THROWN));
    ck_assert(server_stat(server, "crashes") == 0);
    ck_assert(!server_logged(server, "[error]"));
}
END_TEST

/* ---- rust ---- */

/* LeakSanitizer looks at a process that ends by ptrace(2), which the sandbox refuses. */
#ifdef __SANITIZE_ADDRESS__
#define TRACEABLE "sandbox off; "
#else
#define TRACEABLE ""
#endif

START_TEST(a_panic_costs_its_own_request)
{
    struct server *server =
        serve("rust", TRACEABLE "load_module modules/rust.so;", "method words; method cut;");
    pid_t before, after;

    if (server == NULL)
        return;
    int client = client_connect(server);
    ck_assert_uint_eq(server_workers(server, &before, 1), 1);
    client_send_frame(client, "{\"in\":\"cut\",\"params\":{\"text\":\"\xc3\xa9\",\"at\":1}}");
    expect_part(client_expect_error(client, "internal_error"), "not a char boundary");
    ck_assert_uint_eq(server_workers(server, &after, 1), 1);
    ck_assert_int_eq(before, after);
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"words\",\"params\":{\"text\":\"a b a\"}}");
        client_expect(client, "{\"out\":\"words\",\"result\":{\"words\":3,\"most\":[{\"word\":"
                              "\"a\",\"times\":2},{\"word\":\"b\",\"times\":1}]}}");
        if (i == 0)
            server_reload(server);
        else
            worker_kill(server);
    }
}
END_TEST

/* ---- quota ---- */

#define AS(user, method) "{\"in\":\"" method "\",\"token\":\"secret-of-" user "\"}"

static void left(int client, const char *request, int count)
{
    client_send_frame(client, request);
    client_expect(client,
                  keep_printf("{\"out\":\"quota\",\"result\":{\"calls\":4,\"left\":%d}}", count));
}

START_TEST(a_quota_is_its_users_in_every_worker)
{
    struct server *server = server_new();

    if (!sample(server, "quota"))
        return;
    server_write(server, "conf/users", "ada secret-of-ada\nbob secret-of-bob\n");
    server_conf(server,
                "zone quotas 1m; load_module modules/auth.so; load_module modules/quota.so;",
                "method quota.left { filter auth { user_file conf/users; }"
                " filter quota { zone quotas; calls 4; per 1h; } }");
    server_start(server);
    int client = client_connect(server), other = client_connect(server);
    left(client, AS("ada", "quota.left"), 3);
    left(other, AS("ada", "quota.left"), 2);
    left(other, AS("bob", "quota.left"), 3);
    server_reload(server);
    left(client, AS("ada", "quota.left"), 1);
    pid_t workers[2], next[2];
    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    kill(workers[0], SIGKILL);
    kill(workers[1], SIGKILL);
    left(client, AS("ada", "quota.left"), 0);
    wait_until(server_workers(server, next, 2) == 2, "no workers have followed");
    client_send_frame(other, AS("ada", "quota.left"));
    client_expect_error(other, "quota_exceeded");
    left(other, AS("bob", "quota.left"), 2);
}
END_TEST

E2E_MAIN("samples", notes_are_written_over_a_reload,
         a_note_of_a_worker_that_died_is_not_written_twice,
         a_page_is_fetched_over_a_reload_and_a_death, bytes_are_compressed_by_every_worker,
         guests_meet_where_a_worker_has_died, no_exception_crosses_the_border,
         a_panic_costs_its_own_request, a_quota_is_its_users_in_every_worker)
