/* Workers that have been taken over (modules/captive.c): what the sandbox refuses them is refused
 * and logged, the request that did it is answered, and nobody else notices. docs/security.md names
 * these tests. */
#include "harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__ /* its library traces its own process */
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define REST "quarantine_crashes off; worker_rlimit_core 0;"

/* With one worker, in front of whose clients there is no other. */
static struct server *serve_captive(const char *load, const char *more)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server, keep_printf("%s %s %s", load, REST, more), "method attempt; method ping;");
    server_start_alone(server);
    return server;
}

#define LOAD "load_module modules/captive.so;"

static const char *params(const char *what, int pid, const char *path)
{
    return keep_printf("{\"what\":\"%s\",\"pid\":%d,\"port\":%d,\"path\":\"%s\"}", what, pid, pid,
                       path);
}

/* The result of the attempt: a number, or the code of an error. */
static const char *attempt_with(struct server *server, const char *what, int pid, const char *path)
{
    int client = client_connect(server);
    const cJSON *reply;

    client_send_frame(client,
                      keep_printf("{\"in\":\"attempt\",\"params\":%s}", params(what, pid, path)));
    reply = client_receive_json(client);
    close(client);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    const cJSON *code = cJSON_GetObjectItem(result, "code");
    if (cJSON_IsNumber(result))
        return keep_printf("%d", (int)result->valuedouble);
    return keep_printf("%s", cJSON_IsString(code) ? code->valuestring : "?");
}

static const char *attempt(struct server *server, const char *what, int pid)
{
    return attempt_with(server, what, pid, "");
}

/* The attempt ends its worker, and the log says what it has called. */
static void expect_refused(struct server *server, const char *what, int pid, const char *called)
{
    pid_t workers[4];

    wait_until(server_workers(server, workers, 4) == 1, "there is not one worker");
    expect_text(attempt(server, what, pid), "module_crashed");
    const char *said = keep_printf("(pid %d) died while it ran", (int)workers[0]);
    const char *line = strstr(server_wait_log(server, said), said);
    line = keep_printf("%.*s", (int)strcspn(line, "\n"), line);
    expect_part(line, "\"attempt\"");
    expect_part(line, "SIGSYS");
    expect_part(line, keep_printf("it called %s", called));
}

static void expect_errno(struct server *server, const char *what, int pid, const char *path,
                         int number)
{
    const char *result = attempt_with(server, what, pid, path);

    if (strcmp(result, keep_printf("%d", -number)) != 0)
        fail_test("%s gives %s, not errno %d", what, result, number);
}

/* A number that is no errno. */
static void expect_allowed(struct server *server, const char *what, int pid, const char *path)
{
    const char *result = attempt_with(server, what, pid, path);

    if (result[0] < '0' || result[0] > '9')
        fail_test("%s gives %s, and is not allowed", what, result);
}

START_TEST(calls_of_shellcode_are_refused_and_logged)
{
    static const struct {
        const char *what, *called;
    } calls[] = {
        {"execve", "execve(2), which the sandbox refuses: its module has to declare "
                   "PILLION_NEEDS_PROCESSES, or `load_module` to say needs=processes"},
        {"execveat", "execveat(2)"},
        {"fork", "clone(2)"},
        {"namespace", "clone(2)"},
        {"mount", "mount(2), which the sandbox refuses (sandbox)"},
        {"unshare", "unshare(2)"},
        {"io_uring", "io_uring_setup(2)"},
        {"bpf", "bpf(2)"},
        {"userfaultfd", "userfaultfd(2)"},
        {"keyctl", "keyctl(2)"},
        {"handle", "open_by_handle_at(2)"},
        {"socket", "socket(2), which the sandbox refuses: its module has to declare "
                   "PILLION_NEEDS_NETWORK"},
        {"thread", "execve(2)"},
#ifdef __x86_64__
        {"int80", "system call 11 of another architecture"},
        {"x32", "system call 1073742344"},
#endif
    };
    struct server *server = serve_captive(LOAD, "");
    int idle = client_connect(server), busy = client_connect(server);
    pid_t vault = server_vault(server);

    client_expect_alive(idle);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        if (strcmp(calls[i].what, "fork") == 0 && SANITIZED)
            continue; /* which is how sanitizers look for leaks */
        expect_refused(server, calls[i].what, 0, calls[i].called);
        client_expect_alive(busy);
    }
    client_expect_alive(idle);
    ck_assert_int_eq(server_vault(server), vault);
    ck_assert(process_lives(server->pid));
}
END_TEST

START_TEST(calls_that_libraries_try_get_an_errno)
{
    struct server *server = serve_captive(LOAD, "");
    int idle = client_connect(server);

    expect_errno(server, "unix_socket", 0, "", EACCES);
    expect_errno(server, "perf", 0, "", EACCES);
    expect_errno(server, "dumpable", 0, "", SANITIZED ? 0 : EPERM);
    expect_errno(server, "outlive", 0, "", SANITIZED ? 0 : EPERM);
    expect_errno(server, "type", 0, "", EPERM);
    expect_errno(server, "setuid", 0, "", EPERM);
    expect_errno(server, "unknown", 0, "", ENOSYS);
    expect_text(attempt(server, "nothing", 0), "0");
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
    client_expect_alive(idle);
}
END_TEST

START_TEST(a_blocked_signal_does_not_help)
{
    struct server *server = serve_captive(LOAD, "");
    int idle = client_connect(server);

    client_expect_alive(idle);
    expect_text(attempt(server, "blocked", 0), "module_crashed");
    server_wait_log(server, "SIGSYS");
    client_expect_alive(idle);
}
END_TEST

/* By every way into the process that the kernel has. */
static void expect_unreachable(struct server *server, const char *whose, int pid)
{
    static const struct {
        const char *what, *called;
    } calls[] = {{"ptrace", "ptrace(2)"},
                 {"kill", "kill(2)"},
                 {"tgkill", "tgkill(2)"},
                 {"vm_read", "process_vm_readv(2)"},
                 {"vm_write", "process_vm_writev(2)"},
                 {"take_descriptor", "pidfd_getfd(2)"}};

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        if (strcmp(calls[i].what, "ptrace") == 0 && SANITIZED)
            continue;
        expect_refused(server, calls[i].what, pid, calls[i].called);
        if (!process_lives(pid))
            fail_test("%s has ended after %s", whose, calls[i].what);
    }
    expect_errno(server, "memory", pid, "", EACCES);
    expect_errno(server, "environment", pid, "", EACCES);
    expect_errno(server, "limit", pid, "", EPERM);
}

START_TEST(the_master_is_out_of_reach)
{
    struct server *server = serve_captive(LOAD, "");
    int idle = client_connect(server);

    client_expect_alive(idle);
    expect_unreachable(server, "the master", server->pid);
    client_expect_alive(idle);
}
END_TEST

START_TEST(the_vault_is_out_of_reach)
{
    struct server *server = serve_captive(LOAD, "");
    pid_t vault = server_vault(server);

    expect_unreachable(server, "the vault", vault);
    ck_assert_int_eq(server_vault(server), vault);
}
END_TEST

/* An attempt by any other worker than `pid`: which one has a new connection is not known. */
static const char *attempt_on_another(struct server *server, const char *what, pid_t pid)
{
    const char *got = "itself";

    wait_until(strcmp(got = attempt(server, what, pid), "itself") != 0, "no other worker serves");
    return got;
}

/* As expect_unreachable, from one worker of two to the other. */
START_TEST(other_workers_are_out_of_reach)
{
    static const char *const calls[] = {"vm_read", "vm_write", "take_descriptor", "tgkill", "kill"};
    struct server *server = server_new();
    pid_t workers[4];

    server->reports_allowed = true;
    server_conf(server, LOAD REST, "method attempt; method ping;");
    server_start(server);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        wait_until(server_workers(server, workers, 4) == 2, "there are not two workers");
        expect_text(attempt_on_another(server, calls[i], workers[0]), "module_crashed");
        ck_assert(process_lives(workers[0]));
    }
    wait_until(server_workers(server, workers, 4) == 2, "there are not two workers");
    expect_text(attempt_on_another(server, "memory", workers[0]), keep_printf("%d", -EACCES));
}
END_TEST

START_TEST(files_that_nobody_has_named_stay_closed)
{
    struct server *server = serve_captive(LOAD, "");

    expect_errno(server, "read", 0, "/etc/passwd", EACCES);
    expect_errno(server, "read", 0, server->conf, EACCES);
    expect_errno(server, "create", 0, "/tmp/pillion-captive", EACCES);
    expect_errno(server, "unlink", 0, "/tmp/pillion-captive", EACCES);
    expect_allowed(server, "read", 0, "/usr/share/zoneinfo/UTC");
    expect_allowed(server, "read", 0, "/dev/urandom");
}
END_TEST

/* A folder of the server's that every user may write to. */
static const char *open_folder(struct server *server, const char *name)
{
    const char *path = server_path(server, name);

    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    chmod(server->prefix, 0755);
    return path;
}

START_TEST(a_module_that_needs_files_has_those_of_its_directives)
{
    struct server *server = server_new();
    const char *named = open_folder(server, "named"), *other = open_folder(server, "other");

    server->reports_allowed = true;
    server_conf(server,
                keep_printf("load_module modules/captive_files.so { file named/log; } %s", REST),
                "method attempt; method ping;");
    server_start(server);
    expect_allowed(server, "create", 0, keep_printf("%s/log", named));
    expect_allowed(server, "unlink", 0, keep_printf("%s/log", named));
    expect_allowed(server, "create", 0, keep_printf("%s/log", named)); /* moved away, say */
    expect_errno(server, "create", 0, keep_printf("%s/log", other), EACCES);
    expect_errno(server, "read", 0, "/etc/passwd", EACCES);
}
END_TEST

START_TEST(the_configuration_opens_files_and_takes_needs_back)
{
    struct server *server = server_new();
    const char *named = open_folder(server, "named"), *written = open_folder(server, "written");
    const char *folders = "sandbox_read /etc/passwd; sandbox_write written;";
    const char *methods = "method attempt; method ping;";

    server->reports_allowed = true;
    server_conf(server,
                keep_printf("load_module modules/captive_files.so { file named/log; } %s %s",
                            folders, REST),
                methods);
    server_start_alone(server);
    expect_allowed(server, "read", 0, "/etc/passwd");
    expect_allowed(server, "create", 0, keep_printf("%s/file", written));
    expect_errno(server, "read", 0, "/etc/group", EACCES);
    server_conf(
        server,
        keep_printf("load_module modules/captive_files.so needs=none { file named/log; } %s", REST),
        methods);
    server_reload(server);
    expect_errno(server, "create", 0, keep_printf("%s/log", named), EACCES);
    expect_errno(server, "read", 0, "/etc/passwd", EACCES);
}
END_TEST

START_TEST(needs_of_the_configuration_are_enough)
{
    char *address;
    int listener = listen_anywhere(&address), port = atoi(strrchr(address, ':') + 1);
    struct server *server =
        serve_captive("load_module modules/captive.so needs=network,processes;", "");

    expect_allowed(server, "connect", port, "");
    expect_allowed(server, "fork", 0, "");
    expect_refused(server, "namespace", 0, "clone(2)");
    expect_refused(server, "bpf", 0, "bpf(2)");
    expect_part(server_log(server), "network and processes (captive.so)");
    close(listener);
}
END_TEST

START_TEST(connections_go_to_the_ports_that_are_named)
{
    char *address;
    int named = listen_anywhere(&address), port = atoi(strrchr(address, ':') + 1);
    int other = listen_anywhere(&address), other_port = atoi(strrchr(address, ':') + 1);
    struct server *server = serve_captive("load_module modules/captive.so needs=network;",
                                          keep_printf("sandbox_connect %d;", port));

    expect_allowed(server, "connect", port, "");
    if (strstr(server_log(server), ", TCP") != NULL) /* from Linux 6.7 on */
        expect_errno(server, "connect", other_port, "", EACCES);
    close(named);
    close(other);
    server_conf(server, LOAD "sandbox_connect 80 0x50;", "method ping;");
    server_reload_refused(server, "must be ports, 1 to 65535, not \"0x50\"");
}
END_TEST

/* A worker without sockets of its own has its clients', which connect(2) could turn into such. */
START_TEST(a_clients_socket_connects_nowhere_else)
{
    struct server *server = serve_captive(LOAD, "");

    expect_refused(server, "reconnect", 5, "connect(2)");
}
END_TEST

START_TEST(one_modules_needs_are_open_to_all_of_the_process)
{
    struct server *server = serve_captive(LOAD "load_module modules/redis.so;", "");

    expect_allowed(server, "socket", 0, "");
    expect_part(server_log(server), "open to their modules: network (redis.so)");
}
END_TEST

START_TEST(constructors_are_locked_down_in_the_probe_already)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server, "load_module modules/captive_early.so;", "method attempt;");
    server_spawn(server, (const char *const[]){NULL});
    ck_assert_int_ne(server_wait_exit(server, PATIENCE_MS), 0);
    expect_part(server_log(server), "captive_early.so crashed while loading (SIGSYS");
    expect_part(server_log(server), "it called execve(2), which the sandbox refuses");
}
END_TEST

START_TEST(a_need_that_no_server_knows_is_refused)
{
    struct server *server = server_new();

    server_conf(server, "load_module modules/captive_unknown.so;", "method attempt;");
    struct run run = pillion("-t", "-p", server->prefix);
    ck_assert_int_ne(run.status, 0);
    expect_part(run.err, ".needs has bits that this server does not know (0x40)");
    server_conf(server, "load_module modules/captive.so needs=network,fils;", "method attempt;");
    run = pillion("-t", "-p", server->prefix);
    expect_part(run.err, "\"needs=\" takes network, files and processes");
    expect_part(run.err, "not \"network,fils\"");
}
END_TEST

START_TEST(modules_that_cannot_declare_needs_go_on_unless_sandbox_is_on)
{
    struct server *server =
        serve_captive("load_module modules/abi-1.5.so { word one; }" LOAD, "sandbox auto;");

    expect_allowed(server, "read", 0, "/etc/passwd");
    expect_allowed(server, "socket", 0, "");
    expect_refused(server, "bpf", 0, "bpf(2)");
    expect_errno(server, "memory", server->pid, "", EACCES);
    expect_part(server_log(server), "all that modules of before 1.6 may (abi-1.5.so)");
    server_conf(server, "load_module modules/abi-1.5.so { word one; }" LOAD REST "sandbox on;",
                "method attempt; method ping;");
    server_reload(server);
    expect_errno(server, "read", 0, "/etc/passwd", EACCES);
}
END_TEST

START_TEST(sandbox_off_refuses_nothing)
{
    struct server *server = serve_captive(LOAD, "sandbox off;");

    expect_allowed(server, "read", 0, "/etc/passwd");
    expect_allowed(server, "socket", 0, "");
    expect_allowed(server, "fork", 0, "");
    ck_assert_ptr_null(strstr(server_log(server), "locked down"));
}
END_TEST

START_TEST(garbage_on_its_channels_costs_only_that_worker)
{
    struct server *server = server_new();
    pid_t workers[4];

    server->reports_allowed = true;
    server_conf(server, LOAD REST, "method attempt; method ping;");
    server_start(server);
    int idle = client_connect(server);
    client_expect_alive(idle);
    for (int seed = 1; seed < 12; seed++) {
        int client = client_connect(server);
        client_send_frame(client, keep_printf("{\"in\":\"attempt\",\"params\":%s}",
                                              params("garbage", -seed, "")));
        wait_until(!client_is_silent(client) || client_is_closed(client), "no answer");
        close(client);
        wait_until(server_workers(server, workers, 4) == 2, "there are not two workers");
        client_expect_alive(client_connect(server));
    }
    ck_assert(process_lives(server->pid));
    server_reload(server);
    client_expect_alive(client_connect(server));
}
END_TEST

/* Has the test's process, and so the server, live on a kernel that has no Landlock. */
static void forget_landlock(void)
{
    struct sock_filter program[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
        {BPF_JMP | BPF_JGE | BPF_K, 0, 2, SYS_landlock_create_ruleset},
        {BPF_JMP | BPF_JGT | BPF_K, 1, 0, SYS_landlock_create_ruleset + 2},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog given = {sizeof(program) / sizeof(*program), program};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &given), 0);
    ck_assert(syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0 && errno == ENOSYS);
}

START_TEST(without_landlock_system_calls_are_still_refused)
{
    forget_landlock();
    struct server *server = serve_captive(LOAD, "sandbox on;");

    expect_part(server_log(server), "there is no Landlock here for files");
    expect_refused(server, "execve", 0, "execve(2)");
    expect_refused(server, "socket", 0, "socket(2)");
    expect_refused(server, "vm_read", server->pid, "process_vm_readv(2)");
    expect_errno(server, "unlink", 0, "/tmp/pillion-captive", EACCES);
    expect_text(attempt(server, "nothing", 0), "0");
}
END_TEST

START_TEST(modinfo_tells_what_a_module_needs)
{
    expect_part(pillion("modinfo", module_path("redis")).out, "sandbox:    network\n");
    expect_part(pillion("modinfo", module_path("ping")).out, "sandbox:    none\n");
    expect_part(pillion("modinfo", module_path("abi-1.5")).out, "sandbox:    undeclared");
    expect_part(pillion("modinfo", "--json", module_path("proxy_http")).out,
                "\"sandbox\": [\"network\"]");
    expect_part(pillion("modinfo", "--json", module_path("auth")).out, "\"sandbox\": [\"files\"]");
    expect_part(pillion("modinfo", "--json", module_path("abi-1.0")).out, "\"sandbox\": null");
}
END_TEST

E2E_MAIN("sandbox", calls_of_shellcode_are_refused_and_logged,
         calls_that_libraries_try_get_an_errno, a_blocked_signal_does_not_help,
         the_master_is_out_of_reach, the_vault_is_out_of_reach, other_workers_are_out_of_reach,
         files_that_nobody_has_named_stay_closed,
         a_module_that_needs_files_has_those_of_its_directives,
         the_configuration_opens_files_and_takes_needs_back, needs_of_the_configuration_are_enough,
         connections_go_to_the_ports_that_are_named, a_clients_socket_connects_nowhere_else,
         one_modules_needs_are_open_to_all_of_the_process,
         constructors_are_locked_down_in_the_probe_already, a_need_that_no_server_knows_is_refused,
         modules_that_cannot_declare_needs_go_on_unless_sandbox_is_on, sandbox_off_refuses_nothing,
         garbage_on_its_channels_costs_only_that_worker,
         without_landlock_system_calls_are_still_refused, modinfo_tells_what_a_module_needs)
