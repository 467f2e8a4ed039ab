/* One server, one client, and functions that fail. See harness_trial.h. */
#include "harness_trial.h"

#include <errno.h>
#include <fcntl.h>
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

struct plan *trial_plan;

/* ---- What is wrong, without ending the test ---- */

char trial_problem[4096];

__attribute__((format(printf, 1, 2))) bool trial_wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (trial_problem[0] == '\0')
        vsnprintf(trial_problem, sizeof(trial_problem), format, args);
    va_end(args);
    return false;
}

/* ---- One server, one client ---- */

struct server *trial_server;
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
        return trial_wrong("%s is closed: %s", who, strerror(errno));
    while (size < sizeof(reply)) {
        if (deadline_over(deadline))
            return trial_wrong("%s is not answered", who);
        if (poll(&readable, 1, 100) <= 0)
            continue;
        ssize_t got = recv(fd, reply + size, sizeof(reply) - size, 0);
        if (got <= 0)
            return trial_wrong("%s is closed instead of answered: %s", who,
                               got == 0 ? "end of file" : strerror(errno));
        size += (size_t)got;
    }
    return memcmp(reply, pong, sizeof(reply)) == 0 || trial_wrong("%s gets a wrong answer", who);
}

bool trial_another_pings(void)
{
    int fd = client_try_connect(trial_server->port);

    if (fd < 0)
        return trial_wrong("nobody listens");
    bool good = pings(fd, 0, "another client");
    close(fd);
    return good;
}

/* The client that is there all the time is in the middle of a request whenever something happens.
 */
bool trial_goes_on(void)
{
    bool good = pings(client, HALF, "the client");

    send(client, ping, HALF, MSG_NOSIGNAL);
    return good;
}

/* By the control socket: the answer, or "" when it was closed without one; NULL when it hangs. */
const char *trial_order(const char *verb)
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
            trial_wrong("%s is not answered", verb);
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
    size_t count = 0, found = children_of(trial_server->pid, all, 64);

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
bool trial_kill(const char *name, int number)
{
    char title[32];
    pid_t pid;

    snprintf(title, sizeof(title), "%s %d", name, number);
    within(processes(title, &pid, 1) > 0, "there is no %s", title);
    kill(pid, SIGKILL);
    within(!process_lives(pid), "%s does not die", title);
    return true;
}

bool trial_has_ended(void)
{
    if (trial_server->pid != 0 &&
        waitpid(trial_server->pid, &trial_server->status, WNOHANG) == trial_server->pid)
        trial_server->pid = 0;
    return trial_server->pid == 0;
}

/* A client may have been accepted by a start that then failed. */
static bool answers(void)
{
    if (client >= 0)
        close(client);
    client = client_try_connect(trial_server->port);
    bool good = client >= 0 && pings(client, 0, "the first client");
    trial_problem[0] = '\0';
    return good;
}

/* Everything is there, and works. */
bool trial_is_whole(void)
{
    if (trial_has_ended())
        return trial_wrong("the master has ended (status %#x)", (unsigned)trial_server->status);
    within(process_count("worker") == 2 && process_count("vault") == 1,
           "there are %zu workers and %zu vaults", process_count("worker"), process_count("vault"));
    return trial_goes_on() && trial_another_pings();
}

void trial_spawn(void)
{
    server_spawn(trial_server, (const char *const[]){NULL});
}

bool trial_connects(void)
{
    within(trial_has_ended() || answers(), "the server neither serves nor ends");
    if (trial_server->pid == 0)
        return false;
    send(client, ping, HALF, MSG_NOSIGNAL);
    return true;
}

void trial_leave(void)
{
    if (client >= 0)
        close(client);
    client = -1;
}

bool trial_stops(void)
{
    trial_leave();
    if (!trial_has_ended())
        kill(trial_server->pid, SIGTERM);
    within(trial_has_ended(), "the server does not stop");
    return true;
}

/* After a failure: whatever is left of it. */
void trial_remove(void)
{
    trial_leave();
    if (trial_server->group != 0)
        kill(-trial_server->group, SIGKILL);
    if (trial_server->pid != 0)
        waitpid(trial_server->pid, &trial_server->status, 0);
    trial_server->pid = 0;
}

static void make_plan(void)
{
    const char *path = server_path(trial_server, "run/plan");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    ck_assert_int_eq(ftruncate(fd, (off_t)sizeof(*trial_plan)), 0);
    trial_plan = mmap(NULL, sizeof(*trial_plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert(trial_plan != MAP_FAILED);
    close(fd);
    atomic_store(&trial_plan->allocating, -1);
    setenv(PLAN_VARIABLE, path, 1);
    setenv("LD_PRELOAD", keep_printf("%s/tests/e2e/calls.so", getenv("PILLION_BUILD")), 1);
}

void trial_make(void)
{
    trial_server = server_new();
    server_conf(trial_server,
                "vault_processes 1; heartbeat_timeout 500ms; drain_timeout 2s; load_timeout 5s;",
                "method ping;");
    snprintf(control_path, sizeof(control_path), "%s/run/pillion.control", trial_server->prefix);
    make_plan();
}

bool trial_serve(void)
{
    if (!trial_has_ended())
        return true;
    trial_spawn();
    return trial_connects() && trial_is_whole();
}
