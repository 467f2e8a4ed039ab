/* The journal of events: what is in it, that it outlives reloads and upgrades, and `pillion
 * events`. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Over the control socket ---- */

static int ask(const struct server *server, const char *word)
{
    int client = client_connect_unix(server_path(server, "run/pillion.control"));

    client_send(client, word, strlen(word));
    return client;
}

/* The events that the control socket shows, as an array. */
static cJSON *answered(int client)
{
    char *text = client_receive_rest(client);
    cJSON *list = cJSON_CreateArray();

    ck_assert_msg(strncmp(text, "ok\n", 3) == 0, "%s", text);
    for (char *line = text + 3; *line != '\0'; line += strcspn(line, "\n") + 1) {
        cJSON *event = cJSON_ParseWithLength(line, strcspn(line, "\n"));
        ck_assert_msg(cJSON_IsObject(event), "%s", line);
        cJSON_AddItemToArray(list, event);
    }
    return list;
}

static const char *words_of(const cJSON *event, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(event, member);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number_of(const cJSON *event, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(event, member);
    ck_assert_msg(cJSON_IsNumber(item), "%s", member);
    return item->valuedouble;
}

/* The last event of the kind, or NULL. */
static const cJSON *last_of(const cJSON *events, const char *kind)
{
    const cJSON *event, *last = NULL;

    cJSON_ArrayForEach(event, events)
    {
        if (strcmp(words_of(event, "kind"), kind) == 0)
            last = event;
    }
    return last;
}

static int count_of(const cJSON *events, const char *kind)
{
    const cJSON *event;
    int count = 0;

    cJSON_ArrayForEach(event, events) count += strcmp(words_of(event, "kind"), kind) == 0;
    return count;
}

static cJSON *events_of(const struct server *server)
{
    return answered(ask(server, "events\n"));
}

START_TEST(reloads_crashes_and_quarantines_are_in_it_by_name)
{
    struct server *server = server_serve("quarantine_crashes 1; load_module modules/crash.so;",
                                         "method ping; method kill;");
    int client = client_connect(server);

    server->reports_allowed = true;
    client_call(client, "kill", "\"a secret of the client\"");
    client_call(client, "ping", "1");
    server_reload(server);
    server_write(server, "conf/pillion.conf", "nonsense;\n");
    expect_status(&(struct run){.status = server_ask(server, "reload").status}, 1);

    cJSON *events = events_of(server);
    const cJSON *event, *crash = last_of(events, "crash"),
                        *quarantine = last_of(events, "quarantine");
    double before = 0;
    cJSON_ArrayForEach(event, events)
    {
        ck_assert_double_gt(number_of(event, "id"), before);
        ck_assert_double_gt(number_of(event, "at_ms"), 1.7e12);
        ck_assert_ptr_null(strstr(words_of(event, "text"), "secret"));
        before = number_of(event, "id");
    }
    expect_part(words_of(last_of(events, "started"), "text"), "generation 1 serves: 2 workers");
    ck_assert_ptr_nonnull(crash);
    expect_text(words_of(crash, "method"), "kill");
    expect_text(words_of(crash, "level"), "error");
    expect_part(words_of(crash, "text"), "died while it ran \"kill\": SIG");
    ck_assert_double_gt(number_of(crash, "pid"), 1);
    ck_assert_double_eq(number_of(crash, "generation"), 1);
    ck_assert_ptr_nonnull(quarantine);
    expect_text(words_of(quarantine, "method"), "kill");
    expect_part(words_of(last_of(events, "reload"), "text"), "generation 2 serves");
    expect_part(words_of(last_of(events, "reload_failed"), "text"),
                "generation 2 serves on: conf/pillion.conf:1:1: ");
    cJSON_Delete(events);
}
END_TEST

START_TEST(hangs_and_restarts_of_the_vault_are_in_it)
{
    struct server *server = server_serve("handler_timeout 200ms; load_module modules/crash.so;",
                                         "method ping; method hang;");
    pid_t vault = server_vault(server);

    client_call(client_connect(server), "hang", "1");
    kill(vault, SIGKILL);
    wait_until(server_stat(server, "vault_restarts") == 1, "the vault is not back");
    cJSON *events = events_of(server);
    expect_text(words_of(last_of(events, "hang"), "method"), "hang");
    expect_part(words_of(last_of(events, "vault_restarted"), "text"), "the vault ended (");
    cJSON_Delete(events);
}
END_TEST

START_TEST(a_client_that_asks_for_later_ones_waits_for_them)
{
    struct server *server = server_serve("", "method ping;");
    cJSON *events = events_of(server);
    double last = number_of(last_of(events, "started"), "id");
    char *word = keep_printf("events %.0f\n", last);
    int waits = ask(server, word), gone = ask(server, word);

    cJSON_Delete(events);
    struct run run = pillion("status", "-p", server->prefix); /* the master has read the words */
    expect_status(&run, 0);
    ck_assert(client_is_silent(waits));
    close(gone);
    server_reload(server);
    events = answered(waits);
    ck_assert_int_eq(cJSON_GetArraySize(events), 1);
    ck_assert_double_eq(number_of(last_of(events, "reload"), "id"), last + 1);
    cJSON_Delete(events);
    /* A number of another server's: all are shown. */
    events = answered(ask(server, keep_printf("events %.0f\n", last + 1e9)));
    ck_assert_int_eq(cJSON_GetArraySize(events), 2);
    cJSON_Delete(events);
    expect_part(client_receive_rest(ask(server, "events x\n")), "failed\nunknown verb");
    /* The end of the server is an event that is told, too. */
    waits = ask(server, keep_printf("events %.0f\n", last + 1));
    run = server_order(server, "stop");
    events = answered(waits);
    expect_part(words_of(last_of(events, "stopping"), "text"), "the server ends");
    cJSON_Delete(events);
}
END_TEST

/* ---- Upgrades ---- */

static struct server *serve_upgradable(void)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    server_put_binary(server, pillion_binary());
    setenv("PILLION_BUILD", server_path(server, "binary"), 1);
    server_start(server);
    return server;
}

static void upgrade(const struct server *server)
{
    struct run run = server_ask(server, "upgrade");

    expect_status(&run, 0);
}

/* An upgrade to a binary whose board has another layout, too. */
START_TEST(it_outlives_upgrades)
{
    const char *build = keep_printf("%s", getenv("PILLION_BUILD"));
    struct server *server = serve_upgradable();
    cJSON *events = events_of(server);
    double first = number_of(last_of(events, "started"), "id");
    int waits = ask(server, keep_printf("events %.0f\n", first));

    cJSON_Delete(events);
    upgrade(server);
    events = answered(waits); /* by the binary that has taken over */
    expect_part(words_of(last_of(events, "upgrade"), "text"), "has taken over as the master");
    cJSON_Delete(events);
    server_put_binary(server, keep_printf("%s/tests/layout/pillion", build));
    upgrade(server);
    events = events_of(server);
    ck_assert_double_eq(number_of(last_of(events, "started"), "id"), first);
    ck_assert_int_eq(count_of(events, "upgrade"), 2);
    ck_assert_int_eq(count_of(events, "reload"), 2);
    cJSON_Delete(events);

    server_put_binary(server, "/bin/true");
    setenv("PILLION_BUILD", build, 1);
    struct run run = server_ask(server, "upgrade");
    expect_status(&run, 1);
    events = events_of(server);
    expect_part(words_of(last_of(events, "upgrade_failed"), "text"),
                "the running binary serves on");
    cJSON_Delete(events);
}
END_TEST

/* ---- pillion events ---- */

START_TEST(the_command_prints_a_line_for_each)
{
    struct server *server = server_serve("quarantine_crashes 1; load_module modules/crash.so;",
                                         "method ping; method kill;");

    server->reports_allowed = true;
    client_call(client_connect(server), "kill", "1");
    struct run run = pillion("events", "-p", server->prefix);
    expect_status(&run, 0);
    expect_part(run.out, "  started          generation 1 serves: 2 workers");
    expect_part(run.out, "  crash            worker ");
    expect_part(run.out, "died while it ran \"kill\": SIG");
    expect_part(run.out, "  quarantine       \"kill\" has ended its worker 1 times");
    ck_assert_ptr_null(strchr(run.out, '\033'));
    run = pillion("events", "-p", server->prefix, "--json");
    expect_status(&run, 0);
    cJSON *first = cJSON_ParseWithLength(run.out, strcspn(run.out, "\n"));
    expect_text(words_of(first, "kind"), "started");
    cJSON_Delete(first);
    run = server_ask(server, "stop");
    run = pillion("events", "-p", server->prefix, "-f");
    expect_status(&run, 1);
    expect_part(run.err, "pillion events: no server is running: nobody answers at ");
}
END_TEST

struct follower {
    pid_t pid;
    int out, err; /* reading ends, non-blocking */
    struct buffer said;
};

/* Starts `pillion events -f`. */
static struct follower follow(const struct server *server)
{
    int out[2], err[2];
    struct follower follower = {0};

    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
    const char *const argv[] = {pillion_binary(), "events", "-f", "-p", server->prefix, NULL};
    follower.pid = fork();
    if (follower.pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    follower.out = out[0];
    follower.err = err[0];
    fcntl(follower.out, F_SETFL, O_NONBLOCK);
    fcntl(follower.err, F_SETFL, O_NONBLOCK);
    return follower;
}

/* True when what `fd` has said since the last call that was true has `part`. */
static bool has_said(struct follower *follower, int fd, const char *part)
{
    char data[4096];
    ssize_t size;

    while ((size = read(fd, data, sizeof(data))) > 0)
        buffer_add(&follower->said, data, (size_t)size);
    if (follower->said.size == 0 ||
        memmem(follower->said.data, follower->said.size, part, strlen(part)) == NULL)
        return false;
    follower->said.size = 0;
    return true;
}

static void wait_said(struct follower *follower, int fd, const char *part)
{
    wait_until(has_said(follower, fd, part), "\"%s\" is not said, but \"%.*s\"", part,
               (int)follower->said.size, follower->said.data);
}

/* The status of waitpid(2), once it has ended. */
static int status_of(const struct follower *follower)
{
    int status;

    wait_until(waitpid(follower->pid, &status, WNOHANG) == follower->pid, "it does not end");
    return status;
}

START_TEST(it_follows_over_reloads_upgrades_and_the_end_of_the_server)
{
    struct server *server = serve_upgradable();
    struct follower follower = follow(server);

    wait_said(&follower, follower.out, "  started          generation 1 serves");
    server_reload(server);
    wait_said(&follower, follower.out, "  reload           generation 2 serves");
    upgrade(server);
    wait_said(&follower, follower.out, "  reload           generation 3 serves");
    /* The socket moves, and then another server takes the place. */
    server_conf(server, "control run/other;", "method ping;");
    server_signal(server, SIGHUP);
    wait_said(&follower, follower.out, "  reload           generation 4 serves");
    struct run run = pillion("-s", "stop", "-p", server->prefix);
    expect_status(&run, 0);
    wait_said(&follower, follower.out, "  stopping         the server ends");
    wait_said(&follower, follower.err, "; waiting for one\n");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    server_start(server);
    wait_said(&follower, follower.out, "  started          generation 1 serves");
    kill(follower.pid, SIGINT);
    ck_assert_int_eq(status_of(&follower), 0);
    free(follower.said.data);
}
END_TEST

START_TEST(it_ends_when_nothing_reads_it)
{
    struct server *server = server_serve("", "method ping;");
    struct follower follower = follow(server);

    wait_said(&follower, follower.out, "  started          ");
    close(follower.out);
    ck_assert_int_eq(status_of(&follower), 0);
    ck_assert(!has_said(&follower, follower.err, "pillion"));
    free(follower.said.data);
}
END_TEST

E2E_MAIN("events", reloads_crashes_and_quarantines_are_in_it_by_name,
         hangs_and_restarts_of_the_vault_are_in_it,
         a_client_that_asks_for_later_ones_waits_for_them, it_outlives_upgrades,
         the_command_prints_a_line_for_each,
         it_follows_over_reloads_upgrades_and_the_end_of_the_server, it_ends_when_nothing_reads_it)
