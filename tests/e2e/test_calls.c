/* Every call of libc that the core makes fails once: at the start, in a reload, when a worker and a
 * vault die, in an upgrade and at the end (preload/calls.c). Either the server goes on and no
 * client notices, or what was ordered is refused with the reason; nothing hangs, crashes or is lost
 * in silence.
 *
 * What fails is found by watching: a run in which nothing fails records each place of the binary
 * from which each kind of process calls libc, and each of them fails in a run of its own.
 *
 *     CK_RUN_CASE=reload CALLS_VERBOSE=1      one scenario, and a line for each call
 *     CALLS_ONLY=master:0x3df38               one call, as such a line names it
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/calls.h"
#include "preload/exceptions.h"
#include "preload/plan.h"

#define ROW(name, way, error) {#name, way, error},
static const struct {
    const char *name;
    enum way way;
    int error;
} calls[] = {CALLS(ROW)};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const char *const role_names[] = {"master", "child", "probe", "worker", "vault"};

static struct plan *plan;

/* ---- What is wrong, without ending the test ---- */

static char problem[4096];

__attribute__((format(printf, 1, 2))) static bool wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (problem[0] == '\0')
        vsnprintf(problem, sizeof(problem), format, args);
    va_end(args);
    return false;
}

#define within(condition, ...)                     \
    do {                                           \
        int64_t until_ = deadline_in(PATIENCE_MS); \
        while (!(condition)) {                     \
            if (deadline_over(until_))             \
                return wrong(__VA_ARGS__);         \
            look_again();                          \
        }                                          \
    } while (0)

/* ---- One server, one client ---- */

static struct server *server;
static int client = -1;
static char control_path[100];

static const char ping[] = "\x19\0\0\0{\"in\":\"ping\",\"params\":10}";
static const char pong[] = "\x1a\0\0\0{\"out\":\"pong\",\"result\":10}";
#define PING_SIZE (sizeof(ping) - 1)
#define PONG_SIZE (sizeof(pong) - 1)
#define HALF      9

/* Sends what is missing of a ping of which `sent` bytes were sent, and waits for the answer. */
static bool pings(int fd, size_t sent, const char *who)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int64_t deadline = deadline_in(PATIENCE_MS);
    char reply[PONG_SIZE];
    size_t size = 0;

    if (send(fd, ping + sent, PING_SIZE - sent, MSG_NOSIGNAL) < 0)
        return wrong("%s is closed: %s", who, strerror(errno));
    while (size < sizeof(reply)) {
        if (deadline_over(deadline))
            return wrong("%s is not answered", who);
        if (poll(&readable, 1, 100) <= 0)
            continue;
        ssize_t got = recv(fd, reply + size, sizeof(reply) - size, 0);
        if (got <= 0)
            return wrong("%s is closed instead of answered: %s", who,
                         got == 0 ? "end of file" : strerror(errno));
        size += (size_t)got;
    }
    return memcmp(reply, pong, sizeof(reply)) == 0 || wrong("%s gets a wrong answer", who);
}

static bool another_pings(void)
{
    int fd = client_try_connect(server->port);

    if (fd < 0)
        return wrong("nobody listens");
    bool good = pings(fd, 0, "another client");
    close(fd);
    return good;
}

/* The client that is there all the time is in the middle of a request whenever something happens.
 */
static bool goes_on(void)
{
    bool good = pings(client, HALF, "the client");

    send(client, ping, HALF, MSG_NOSIGNAL);
    return good;
}

/* By the control socket: the answer, or "" when it was closed without one; NULL when it hangs. */
static const char *order(const char *verb)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static char answer[8192];
    int64_t deadline = deadline_in(2 * PATIENCE_MS);
    size_t size = 0;

    answer[0] = '\0';
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", control_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    const char *line = keep_printf("%s\n", verb);
    bool sent = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                send(fd, line, strlen(line), MSG_NOSIGNAL) > 0;
    while (sent) {
        if (deadline_over(deadline)) {
            close(fd);
            wrong("%s is not answered", verb);
            return NULL;
        }
        if (poll(&readable, 1, 100) <= 0)
            continue;
        ssize_t got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        answer[size] = '\0';
    }
    close(fd);
    return answer;
}

/* By their titles (process/title.h), of which the name may be missing. */
static size_t processes(const char *name, pid_t *pids, size_t most)
{
    char title[64];
    pid_t all[64];
    size_t count = 0, found = children_of(server->pid, all, 64);

    int length = snprintf(title, sizeof(title), "pillion: %s", name);
    for (size_t i = 0; i < found; i++) {
        char path[64], text[64] = "";
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)all[i]);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fgets(text, sizeof(text), file) != NULL && strncmp(text, title, (size_t)length) == 0 &&
            process_lives(all[i]) && count < most)
            pids[count++] = all[i];
        fclose(file);
    }
    return count;
}

static size_t process_count(const char *name)
{
    pid_t pids[16];

    return processes(name, pids, 16);
}

/* The process with that name and number ends, as a crash ends it. */
static bool ends(const char *name, int number)
{
    char title[32];
    pid_t pid;

    snprintf(title, sizeof(title), "%s %d", name, number);
    within(processes(title, &pid, 1) > 0, "there is no %s", title);
    kill(pid, SIGKILL);
    within(!process_lives(pid), "%s does not die", title);
    return true;
}

static bool has_ended(void)
{
    if (server->pid != 0 && waitpid(server->pid, &server->status, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid == 0;
}

/* A client may have been accepted by a start that then failed. */
static bool answers(void)
{
    if (client >= 0)
        close(client);
    client = client_try_connect(server->port);
    bool good = client >= 0 && pings(client, 0, "the first client");
    problem[0] = '\0';
    return good;
}

/* Everything is there, and works. */
static bool is_whole(void)
{
    if (has_ended())
        return wrong("the master has ended (status %#x)", (unsigned)server->status);
    within(process_count("worker") == 2 && process_count("vault") == 1,
           "there are %zu workers and %zu vaults", process_count("worker"), process_count("vault"));
    return goes_on() && another_pings();
}

static void spawn(void)
{
    server_spawn(server, (const char *const[]){NULL});
}

static bool connects(void)
{
    within(has_ended() || answers(), "the server neither serves nor ends");
    if (server->pid == 0)
        return false;
    send(client, ping, HALF, MSG_NOSIGNAL);
    return true;
}

static bool stops(void)
{
    if (client >= 0)
        close(client);
    client = -1;
    if (!has_ended())
        kill(server->pid, SIGTERM);
    within(has_ended(), "the server does not stop");
    return true;
}

/* After a failure: whatever is left of it. */
static void remove_server(void)
{
    if (client >= 0)
        close(client);
    client = -1;
    if (server->group != 0)
        kill(-server->group, SIGKILL);
    if (server->pid != 0)
        waitpid(server->pid, &server->status, 0);
    server->pid = 0;
}

static size_t log_size(void)
{
    return strlen(server_log(server));
}

/* ---- Scenarios ---- */

/* What is refused is refused for the reason that the call gave. */
static bool names_reason(const char *text, size_t call)
{
    int error = calls[call].error;

    return strstr(text, error < 0 ? gai_strerror(error) : strerror(error)) != NULL ||
           strstr(text, calls[call].name) != NULL;
}

static bool refused_well(const char *what, const char *text, size_t call)
{
    if (text == NULL)
        return false;
    if (strncmp(text, "ok\n", 3) == 0)
        return true;
    /* If an answer could not be sent, the log says so. */
    return names_reason(text[0] == '\0' ? server_log(server) : text, call) ||
           wrong("%s is refused without saying why:\n%s", what, text);
}

static bool starts(size_t call)
{
    spawn();
    if (connects())
        return is_whole() && stops();
    if (server->pid != 0)
        return false;
    if (!WIFEXITED(server->status) || WEXITSTATUS(server->status) == 0)
        return wrong("the server ends with status %#x", (unsigned)server->status);
    return names_reason(server_log(server), call) || wrong("the start fails without saying why");
}

static bool reloads(size_t call)
{
    return refused_well("the reload", order("reload"), call) && goes_on() && another_pings() &&
           refused_well("reopening", order("reopen"), call);
}

static bool heals(size_t call)
{
    (void)call;
    for (int i = 0; i < 2; i++) {
        if (!ends("worker", i) || !goes_on() || !another_pings())
            return false;
    }
    return ends("vault", 0) && goes_on() && another_pings();
}

static bool upgrades(size_t call)
{
    return refused_well("the upgrade", order("upgrade"), call) && goes_on() && another_pings();
}

static bool quits(size_t call)
{
    close(client);
    client = -1;
    const char *answer = order("quit");
    if (answer != NULL && strncmp(answer, "ok\n", 3) != 0 && !has_ended() &&
        refused_well("quit", answer, call))
        answer = order("quit");
    if (answer == NULL)
        return false;
    within(has_ended(), "the server does not end");
    return (WIFEXITED(server->status) && WEXITSTATUS(server->status) == 0) ||
           wrong("the server ends with status %#x", (unsigned)server->status);
}

static bool reloads_well(void)
{
    const char *answer = order("reload");

    return answer != NULL && (strncmp(answer, "ok\n", 3) == 0 ||
                              wrong("another reload is refused:\n%.2000s", answer));
}

struct scenario {
    const char *name;
    bool (*run)(size_t call);
    bool running; /* needs a server that runs */
    bool ends;    /* and ends it */
};

static const struct scenario scenarios[] = {
    {"start", starts, false, true},  {"reload", reloads, true, false},
    {"crashes", heals, true, false}, {"upgrade", upgrades, true, false},
    {"end", quits, true, true},
};

/* ---- Trials ---- */

static void make_plan(void)
{
    const char *path = server_path(server, "run/plan");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    ck_assert_int_eq(ftruncate(fd, (off_t)sizeof(*plan)), 0);
    plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert(plan != MAP_FAILED);
    close(fd);
    atomic_store(&plan->allocating, -1);
    setenv(PLAN_VARIABLE, path, 1);
    setenv("LD_PRELOAD", keep_printf("%s/tests/e2e/calls.so", getenv("PILLION_BUILD")), 1);
}

static void make_server(void)
{
    server = server_new();
    server_conf(server,
                "vault_processes 1; heartbeat_timeout 500ms; drain_timeout 2s; load_timeout 5s;",
                "method ping;");
    snprintf(control_path, sizeof(control_path), "%s/run/pillion.control", server->prefix);
    make_plan();
}

static bool serve(void)
{
    if (!has_ended())
        return true;
    spawn();
    return connects() && is_whole();
}

/* "worker: recv, core/net/conn_io.c:120". */
static const char *describe(uint32_t key, size_t call)
{
    uint32_t place = key & 0x0fffffffu;
    struct run run = run_command((const char *const[]){"/usr/bin/addr2line", "-e", pillion_binary(),
                                                       keep_printf("%#x", place - 1), NULL},
                                 NULL, PATIENCE_MS);
    const char *at = strstr(run.out, "core/");

    return keep_printf("%s:%#x: %s, %.60s", role_names[(key >> 28) - 1], place, calls[call].name,
                       at == NULL ? run.out : at);
}

/* Problems are told as they are found, and the test goes on with another server. */
static bool try_site(const struct scenario *scenario, uint32_t key, size_t call)
{
    problem[0] = '\0';
    if (scenario->running && !serve())
        wrong("the server does not start");
    size_t before = log_size();
    int64_t began = now_ms();
    atomic_store(&plan->key, key);
    atomic_store(&plan->armed, true);
    bool good = problem[0] == '\0' && scenario->run(call);
    bool reached = !atomic_exchange(&plan->armed, false);
    if (good && !scenario->ends)
        good = is_whole() && reloads_well() && is_whole();
    const char *log = server_log(server) + before;
    if (strstr(log, "SIGSEGV") != NULL || strstr(log, "SIGABRT") != NULL ||
        strstr(log, "SIGBUS") != NULL)
        good = wrong("a process has crashed");
    if (getenv("CALLS_VERBOSE") != NULL)
        fprintf(stderr, "%s %5lld ms: %s\n", reached ? "+" : "-", (long long)(now_ms() - began),
                describe(key, call));
    if (good)
        return true;
    wrong("after it, the server is not whole");
    fprintf(stderr, "==== in %s, of %s\n%s\n---- the log since:\n%.3000s\n", scenario->name,
            describe(key, call), problem, log);
    remove_server();
    return false;
}

static bool chosen(uint32_t key)
{
    const char *only = getenv("CALLS_ONLY");

    return only == NULL ||
           strcmp(only, keep_printf("%s:%#x", role_names[(key >> 28) - 1], key & 0x0fffffffu)) == 0;
}

START_TEST(every_call_fails_once)
{
    const struct scenario *scenario = &scenarios[_i];
    unsigned bad = 0, tried = 0;

    make_server();
    if (scenario->running)
        ck_assert_msg(serve(), "%s", problem);
    atomic_store(&plan->recording, true);
    ck_assert_msg(scenario->run(0), "%s", problem);
    ck_assert_msg(scenario->ends || is_whole(), "%s", problem);
    atomic_store(&plan->recording, false);
    int64_t began = now_ms();
    for (size_t i = 0; i < PLAN_SITES; i++) {
        uint32_t key = atomic_load(&plan->sites[i].key);
        if (key == 0 || !chosen(key))
            continue;
        tried++;
        bad += try_site(scenario, key, plan->sites[i].call) ? 0 : 1;
    }
    if (!has_ended())
        ck_assert_msg(stops(), "%s", problem);
    fprintf(stderr, "%s: %u calls were tried in %lld ms, %u failed, %u are not in order\n",
            scenario->name, tried, (long long)(now_ms() - began), atomic_load(&plan->fired), bad);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

/* ---- The table ---- */

static bool is_known(const char *name)
{
    for (size_t i = 0; i < COUNT(calls); i++) {
        if (strcmp(calls[i].name, name) == 0)
            return true;
    }
    for (size_t i = 0; i < COUNT(exceptions); i++) {
        if (strstr(exceptions[i].names, keep_printf(" %s ", name)) != NULL)
            return true;
    }
    return false;
}

START_TEST(every_import_fails_under_test_or_is_an_exception)
{
    struct run run = run_command((const char *const[]){"/usr/bin/nm", "-D", "-P",
                                                       "--undefined-only", pillion_binary(), NULL},
                                 NULL, PATIENCE_MS);
    size_t count = 0;

    expect_status(&run, 0);
    for (char *line = strtok(run.out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        line[strcspn(line, " @")] = '\0';
        /* Of libcjson; and what the compiler calls by itself. */
        if (strncmp(line, "cJSON_", 6) == 0 || strncmp(line, "_ITM_", 5) == 0 ||
            (strncmp(line, "__", 2) == 0 && strncmp(line, "__isoc", 6) != 0 &&
             strcmp(line, "__getdelim") != 0))
            continue;
        count++;
        if (!is_known(line))
            fail_test("the server calls %s, which tests/e2e/preload/calls.h does not know: give it "
                      "a row with an errno of its manual page, or an exception with the reason",
                      line);
    }
    ck_assert_uint_gt(count, 100);
}
END_TEST

/* A case for each scenario: CK_RUN_CASE=reload runs one alone. */
int main(void)
{
    Suite *suite = suite_create("calls");

    for (size_t i = 0; i <= COUNT(scenarios); i++) {
        bool table = i == COUNT(scenarios);
        TCase *tcase = tcase_create(table ? "table" : scenarios[i].name);
        tcase_set_timeout(tcase, 600);
        tcase_add_checked_fixture(tcase, harness_setup, harness_teardown);
        if (table)
            tcase_add_test(tcase, every_import_fails_under_test_or_is_an_exception);
        else
            tcase_add_loop_test(tcase, every_call_fails_once, (int)i, (int)i + 1);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
