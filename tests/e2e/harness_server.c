/* Prefixes, servers, and commands that are run against them. See harness.h. */
#include "harness_private.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ports.h"

#define PORT_FIRST 20000
#define PORT_COUNT 12000
#define ARGS_MAX   32

static struct server *servers; /* newest first */

/* ---- the prefix ---- */

const char *pillion_binary(void)
{
    static char path[512];
    const char *build = getenv("PILLION_BUILD");

    if (build == NULL)
        fail_test("PILLION_BUILD does not say where the server was built");
    snprintf(path, sizeof(path), "%s/pillion", build);
    return path;
}

const char *module_path(const char *name)
{
    const char *build = getenv("PILLION_BUILD");
    const char *own = keep_printf("%s/modules/%s.so", build, name);

    return access(own, R_OK) == 0 ? own : keep_printf("%s/tests/modules/%s.so", build, name);
}

char *server_path(const struct server *server, const char *path)
{
    return keep_printf("%s/%s", server->prefix, path);
}

void server_write(const struct server *server, const char *path, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        abort();
    file_write(server_path(server, path), text, (size_t)size);
    free(text);
}

static void copy_modules(const struct server *server, const char *folder)
{
    char *from = keep_printf("%s/%s", getenv("PILLION_BUILD"), folder);
    DIR *directory = opendir(from);
    struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (size > 3 && strcmp(entry->d_name + size - 3, ".so") == 0)
            file_copy(keep_printf("%s/%s", from, entry->d_name),
                      keep_printf("%s/modules/%s", server->prefix, entry->d_name));
    }
    if (directory != NULL)
        closedir(directory);
}

/* Binds a socket to a port of 127.0.0.1, or, for a mark (UDP), of PORT_MARKS; -1 when the port is
 * taken. */
static int bind_port(int type, int port)
{
    uint32_t host = type == SOCK_DGRAM ? PORT_MARKS : INADDR_LOOPBACK;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(host)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = type == SOCK_STREAM;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Below the range that outgoing connections use (ip_local_port_range of ip(7)). Other tests may run
 * at the same time: as long as this process lives, a UDP socket marks the port as taken. */
int free_port(void)
{
    static unsigned last;

    if (last == 0)
        last = (unsigned)getpid() * 7919u;
    for (unsigned i = 0; i < PORT_COUNT; i++) {
        int port = PORT_FIRST + (int)(last++ % PORT_COUNT);
        int given = bind_port(SOCK_DGRAM, port), fd = given < 0 ? -1 : bind_port(SOCK_STREAM, port);
        if (fd >= 0) {
            close(fd);
            return port;
        }
        if (given >= 0)
            close(given);
    }
    fail_test("no port is free");
}

struct server *server_new(void)
{
    static const char *const folders[] = {"conf", "modules", "run", "logs"};
    struct server *server = keep(calloc(1, sizeof(*server)));
    const char *parent = getenv("TMPDIR");

    pillion_binary();
    if (parent == NULL || strlen(parent) > sizeof(server->prefix) - 24)
        parent = "/tmp";
    snprintf(server->prefix, sizeof(server->prefix), "%s/pillion-XXXXXX", parent);
    if (mkdtemp(server->prefix) == NULL)
        fail_test("cannot make a directory below %s: %s", parent, strerror(errno));
    keeper_directory(server->prefix);
    chmod(server->prefix, 0755);
    server->next = servers;
    servers = server;
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
        mkdir(server_path(server, folders[i]), 0755);
    snprintf(server->conf, sizeof(server->conf), "%s/conf/pillion.conf", server->prefix);
    copy_modules(server, "modules");
    copy_modules(server, "tests/modules");
    server->port = free_port();
    return server;
}

void server_conf(const struct server *server, const char *main_text, const char *server_text)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\n"
                 "error_log stderr info;\n"
                 "load_module modules/ping.so;\n"
                 "load_module modules/rpc.so;\n"
                 "%s\n"
                 "server {\n"
                 "    listen 127.0.0.1:%d;\n"
                 "    method rpc.stats;\n"
                 "    %s\n"
                 "}\n",
                 main_text, server->port, server_text);
}

/* ---- starting and ending ---- */

void open_as(int number, const char *path, int flags)
{
    int fd = open(path, flags, 0644);

    if (fd < 0)
        _exit(127);
    dup2(fd, number);
    if (fd != number)
        close(fd);
}

void server_spawn(struct server *server, const char *const options[])
{
    const char *binary = pillion_binary();
    const char *argv[ARGS_MAX] = {binary, "-p", server->prefix};

    for (size_t i = 0; options[i] != NULL && i + 4 < ARGS_MAX; i++)
        argv[i + 3] = options[i];
    server_run(server, argv);
}

void server_run(struct server *server, const char *const argv[])
{
    const char *log = server_path(server, "logs/stderr.log");

    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        fail_test("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGPIPE, SIG_DFL);
        open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
        open_as(STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        if (server->files != 0)
            setrlimit(RLIMIT_NOFILE, &(struct rlimit){server->files, server->files});
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    setpgid(pid, pid); /* both processes do it, since either may run first */
    server_started_as(server, pid);
}

/* True when the server has ended; `status` is set then. */
static bool reap(struct server *server)
{
    if (server->pid != 0 && waitpid(server->pid, &server->status, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid == 0;
}

/* True when a whole request is answered: with method_not_found, which needs no module. */
static bool answers(const struct server *server)
{
    static const char request[] = "\x10\0\0\0{\"in\":\"harness\"}";
    char header[4];

    int fd = client_try_connect(server->port);
    if (fd < 0)
        return false;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    bool good = send(fd, request, 4 + 16, MSG_NOSIGNAL) == 4 + 16 && poll(&readable, 1, 500) == 1 &&
                recv(fd, header, sizeof(header), 0) == (ssize_t)sizeof(header);
    close(fd);
    return good;
}

void server_wait_ready(struct server *server)
{
    int64_t deadline = deadline_in(PATIENCE_MS);

    while (!answers(server)) {
        if (reap(server))
            fail_test("the server ended instead of serving (status %d)", server->status);
        if (deadline_over(deadline))
            fail_test("the server does not answer at 127.0.0.1:%d", server->port);
        look_again();
    }
}

void server_start_with(struct server *server, const char *const options[])
{
    server_spawn(server, options);
    server_wait_ready(server);
}

void server_start(struct server *server)
{
    server_start_with(server, (const char *const[]){NULL});
}

void server_start_alone(struct server *server)
{
    server_start_with(server, (const char *const[]){"-g", "worker_processes 1;", NULL});
}

struct server *server_serve_with(const char *directives, const char *main_text,
                                 const char *server_text)
{
    struct server *server = server_new();

    server_conf(server, main_text, server_text);
    server_start_with(server, (const char *const[]){"-g", directives, NULL});
    return server;
}

struct server *server_serve(const char *main_text, const char *server_text)
{
    struct server *server = server_new();

    server_conf(server, main_text, server_text);
    server_start(server);
    return server;
}

struct server *server_serve_alone(const char *main_text, const char *server_text)
{
    return server_serve_with("worker_processes 1;", main_text, server_text);
}

char *server_binary(const struct server *server)
{
    return server_path(server, "binary/pillion");
}

void server_put_binary(const struct server *server, const char *from)
{
    const char *binary = server_binary(server);

    mkdir(server_path(server, "binary"), 0755);
    /* A running binary cannot be written to (ETXTBSY): it is removed and made anew, as packages
     * do. */
    unlink(binary);
    file_copy(from, binary);
}

void server_signal(const struct server *server, int number)
{
    if (server->pid == 0 || kill(server->pid, number) < 0)
        fail_test("no server to send signal %d to", number);
}

int server_wait_exit(struct server *server, int64_t ms)
{
    int64_t deadline = deadline_in(ms);

    while (!reap(server)) {
        if (deadline_over(deadline))
            fail_test("the server has not ended within %lld ms", (long long)ms);
        look_again();
    }
    return server->status;
}

static bool log_is_clean(const struct server *server, const char *log)
{
    static const char *const reports[] = {"ERROR: AddressSanitizer",
                                          "runtime error:", "LeakSanitizer", "ThreadSanitizer"};

    for (size_t i = 0; i < sizeof(reports) / sizeof(*reports); i++) {
        const char *at = strstr(log, reports[i]);
        if (at == NULL || server->reports_allowed)
            continue;
        fprintf(stderr, "---- a sanitizer's report in the log:\n%.8000s\n----\n",
                at - (at - log > 200 ? 200 : at - log));
        return false;
    }
    return true;
}

static bool server_end(struct server *server)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    bool good = true;

    if (!reap(server))
        kill(server->pid, SIGTERM);
    while (!reap(server) && !deadline_over(deadline))
        look_again();
    if (server->pid != 0) {
        fprintf(stderr, "---- the server does not end after SIGTERM\n");
        show_log(server->prefix);
        good = false;
    }
    if (server->group != 0)
        kill(-server->group, SIGKILL);
    if (server->pid != 0)
        waitpid(server->pid, &server->status, 0);
    return log_is_clean(server, server_log(server)) && good;
}

void server_started_as(struct server *server, pid_t pid)
{
    server->pid = server->group = pid;
    keeper_group(pid);
}

void server_detached(struct server *server)
{
    server->group = atoi(file_read(server_path(server, "run/pillion.pid"), NULL));
    if (server->group <= 1)
        fail_test("the pid file holds no process id");
    keeper_group(server->group);
}

bool servers_end(void)
{
    bool good = true;

    for (; servers != NULL; servers = servers->next) {
        good = server_end(servers) && good;
        directory_remove(servers->prefix);
    }
    return good;
}

/* ---- logs ---- */

static char *read_if_there(const char *path)
{
    return access(path, R_OK) == 0 ? file_read(path, NULL) : keep(strdup(""));
}

char *server_log(const struct server *server)
{
    return keep_printf("%s%s", read_if_there(server_path(server, "logs/stderr.log")),
                       read_if_there(server_path(server, "logs/error.log")));
}

bool server_logged(const struct server *server, const char *text)
{
    return strstr(server_log(server), text) != NULL;
}

char *server_wait_log(const struct server *server, const char *text)
{
    return server_wait_log_times(server, text, 1);
}

static bool is_logged(const struct server *server, const char *text, int times)
{
    for (const char *at = server_log(server); times > 0; at += strlen(text), times--) {
        if ((at = strstr(at, text)) == NULL)
            return false;
    }
    return true;
}

char *server_wait_log_times(const struct server *server, const char *text, int times)
{
    wait_until(is_logged(server, text, times), "the log never says \"%s\" %d times", text, times);
    return server_log(server);
}

/* ---- processes ---- */

/* proc_pid_stat(5). -1 when there is no such process. */
static pid_t parent_of(const char *pid)
{
    char path[288], line[512];
    int parent = -1;

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    const char *name_end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
    fclose(file);
    return name_end != NULL && sscanf(name_end, ") %*c %d", &parent) == 1 ? parent : -1;
}

/* The kernel's own list, /proc/PID/task/TID/children, leaves some out while others end
 * (proc_tid_children(5)). */
size_t children_of(pid_t pid, pid_t *pids, size_t most)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    size_t count = 0;

    while (directory != NULL && count < most && (entry = readdir(directory)) != NULL) {
        if (atoi(entry->d_name) > 0 && parent_of(entry->d_name) == pid)
            pids[count++] = atoi(entry->d_name);
    }
    if (directory != NULL)
        closedir(directory);
    return count;
}

void server_kill_all(const struct server *server, int number)
{
    pid_t children[64];
    size_t count = children_of(server->pid, children, 64);

    kill(server->pid, number);
    for (size_t i = 0; i < count; i++)
        kill(children[i], number);
}

pid_t server_child(const struct server *server, const char *title)
{
    pid_t pids[64];
    size_t count = children_of(server->pid, pids, 64);

    for (size_t i = 0; i < count; i++) {
        char path[64], shown[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pids[i]);
        FILE *file = fopen(path, "re");
        if (file == NULL) /* it has ended meanwhile */
            continue;
        size_t size = fread(shown, 1, sizeof(shown) - 1, file);
        fclose(file);
        shown[size] = '\0';
        if (strncmp(shown, title, strlen(title)) == 0)
            return pids[i];
    }
    return 0;
}

pid_t server_vault(const struct server *server)
{
    pid_t vault = 0;

    wait_until((vault = server_child(server, "pillion: vault 0")) != 0, "there is no vault");
    return vault;
}

bool process_lives(pid_t pid)
{
    char path[64], line[512] = "";

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t size = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *state = strrchr(line, ')'); /* proc_pid_stat(5): the name may hold anything */
    return state != NULL && state[1] == ' ' && strchr("ZXx", state[2]) == NULL;
}

bool process_has(pid_t pid, const void *bytes, size_t size)
{
    FILE *maps = fopen(keep_printf("/proc/%d/maps", (int)pid), "re");
    FILE *memory = fopen(keep_printf("/proc/%d/mem", (int)pid), "re");
    bool readable = maps != NULL && memory != NULL, found = false;
    char line[4096];

    while (readable && !found && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w' ||
            to - from > (64u << 20))
            continue;
        char *data = malloc(to - from);
        ssize_t got = pread(fileno(memory), data, to - from, (off_t)from);
        found = got > 0 && memmem(data, (size_t)got, bytes, size) != NULL;
        free(data);
    }
    if (maps != NULL)
        fclose(maps);
    if (memory != NULL)
        fclose(memory);
    if (!readable && process_lives(pid))
        fail_test("the memory of process %d cannot be read", (int)pid);
    return found;
}

const cJSON *server_stats(const struct server *server)
{
    int client = client_connect(server);

    client_send_frame(client, "{\"in\": \"rpc.stats\"}");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(client_receive_json(client), "result");
    close(client);
    if (result == NULL)
        fail_test("rpc.stats gave no result");
    return result;
}

double server_stat(const struct server *server, const char *path)
{
    const cJSON *value = server_stats(server);
    char name[64];

    for (const char *at = path; *at != '\0'; at += at[0] == '.') {
        int size = (int)strcspn(at, ".");
        snprintf(name, sizeof(name), "%.*s", size, at);
        value = cJSON_GetObjectItemCaseSensitive(value, name);
        at += size;
    }
    if (!cJSON_IsNumber(value))
        fail_test("rpc.stats has no number %s", path);
    return value->valuedouble;
}

double server_metric(const struct server *server, const char *module, const char *name)
{
    const cJSON *modules = cJSON_GetObjectItem(server_stats(server), "modules");

    return cJSON_GetNumberValue(cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetObjectItem(modules, module), "metrics"), name));
}

double server_calls(const struct server *server, const char *method, const char *count)
{
    const cJSON *methods = cJSON_GetObjectItem(server_stats(server), "methods");

    return cJSON_GetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItemCaseSensitive(methods, method), count));
}

size_t server_workers(const struct server *server, pid_t *pids, size_t most)
{
    const cJSON *workers = cJSON_GetObjectItemCaseSensitive(server_stats(server), "workers");
    const cJSON *worker;
    size_t count = 0;

    cJSON_ArrayForEach(worker, workers)
    {
        const cJSON *pid = cJSON_GetObjectItemCaseSensitive(worker, "pid");
        if (count < most && cJSON_IsNumber(pid) && pid->valueint > 0)
            pids[count++] = pid->valueint;
    }
    if (count == 0)
        fail_test("rpc.stats names no workers");
    return count;
}

void server_kill_workers(const struct server *server)
{
    pid_t pids[16];
    size_t count = server_workers(server, pids, 16);

    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
}
