/* What a container is to a server: it is process 1, is ended by SIGTERM, may write nowhere, may
 * have no /proc, and gets the time of so many processors. Namespaces and control groups take root;
 * what the machine does not permit is left out, with a word. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONF    "load_module modules/dawdles.so;\n"
#define METHODS "method ping; method dawdle_timer; method orphan;"

/* Runs the shell's `script`, in which "$@" is the command of the server, with `directives` in front
 * of those of the configuration. */
static void run_in(struct server *server, const char *script, const char *directives)
{
    server_run(server, (const char *const[]){"/bin/sh", "-c", script, "sh", pillion_binary(), "-p",
                                             server->prefix, "-g", directives, NULL});
}

/* False, with a word, where the shell's `script` fails. */
static bool permits(const char *what, const char *script)
{
    struct run run =
        run_command((const char *const[]){"/bin/sh", "-c", script, NULL}, NULL, PATIENCE_MS);

    if (run.status == 0)
        return true;
    fprintf(stderr, "left out: this machine permits no %s\n", what);
    return false;
}

/* AddressSanitizer reads /proc. */
static bool sanitized(void)
{
    return getenv("ASAN_OPTIONS") != NULL;
}

static struct server *server_prepared(const char *main_text)
{
    struct server *server = server_new();

    server_conf(server, keep_printf(CONF "%s", main_text), METHODS);
    return server;
}

/* The status of GET on a connection of its own. */
static int status_of(const struct server *server, const char *path)
{
    const char *request = keep_printf("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                      "\r\n",
                                      path);
    int client = client_try_connect(server->port), status = 0;

    if (client < 0)
        return -1;
    client_send(client, request, strlen(request));
    sscanf(client_receive_rest(client), "HTTP/1.1 %d", &status);
    return status;
}

/* ---- Process 1 ---- */

#define AS_PROCESS_1 "exec unshare --pid --fork --mount-proc --kill-child \"$@\""

/* The server, as processes outside know it. */
static pid_t master_of(const struct server *server)
{
    pid_t pid = 0;

    wait_until(children_of(server->pid, &pid, 1) == 1, "the server has not started");
    return pid;
}

static bool permits_process_1(void)
{
    return permits("namespaces of processes", "unshare --pid --fork --mount-proc true");
}

static unsigned zombies_of(pid_t pid)
{
    pid_t pids[64];
    size_t count = children_of(pid, pids, sizeof(pids) / sizeof(*pids));
    unsigned zombies = 0;

    for (size_t i = 0; i < count; i++)
        zombies += !process_lives(pids[i]);
    return zombies;
}

START_TEST(as_process_1_it_reaps_what_it_never_started)
{
    if (!permits_process_1())
        return;
    struct server *server = server_prepared("");
    run_in(server, AS_PROCESS_1, "worker_processes 1; sandbox off;");
    server_wait_ready(server);
    pid_t master = master_of(server), pids[64];
    size_t before = children_of(master, pids, 64);

    client_call(client_connect(server), "orphan", "{\"ms\":1500}");
    wait_until(children_of(master, pids, 64) == before + 1, "the orphan is not process 1's");
    wait_until(children_of(master, pids, 64) == before, "the orphan was not reaped");
    ck_assert_uint_eq(zombies_of(master), 0);
    client_expect_alive(client_connect(server));
    kill(master, SIGTERM); /* unshare(1) ignores it */
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(process_1_quits_by_sigterm_and_requests_are_answered)
{
    if (!permits_process_1())
        return;
    struct server *server = server_prepared("quit_delay 300ms;\n");
    run_in(server, AS_PROCESS_1, "worker_processes 1;");
    server_wait_ready(server);
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"dawdle_timer\",\"params\":{\"ms\":2000}}");
    wait_until(server_stat(server, "connections.deferred") >= 1, "nothing is deferred");
    kill(master_of(server), SIGTERM);
    client_expect(client, "{\"out\":\"dawdled\",\"result\":null}");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    server_wait_log(server, ": quit");
    server_wait_log(server, "the server has ended");
}
END_TEST

/* ---- The end ---- */

START_TEST(readiness_fails_before_listeners_close)
{
    struct server *server = server_serve_with("sigterm quit; quit_delay 1h;", CONF, METHODS);

    ck_assert_int_eq(status_of(server, "/readyz"), 200);
    server_signal(server, SIGTERM);
    wait_until(status_of(server, "/readyz") == 503, "/readyz does not fail");
    /* all of the rest is as before, for new clients too, and for workers that come later */
    ck_assert_int_eq(status_of(server, "/healthz"), 200);
    client_expect_alive(client_connect(server));
    pid_t workers[8];
    size_t count = server_workers(server, workers, 8);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    wait_until(server_stat(server, "crashes") >= (double)count, "no worker was replaced");
    wait_until(status_of(server, "/readyz") == 503, "/readyz does not fail after a crash");
    /* reloads come too late, and a second SIGTERM waits for nothing */
    struct run reload = server_ask(server, "reload");
    expect_status(&reload, 1);
    expect_part(reload.err, "the server is ending");
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(an_order_to_quit_waits_for_balancers_and_then_ends)
{
    struct server *server = server_serve_with("quit_delay 500ms;", CONF, METHODS);
    int64_t before = now_ms();
    struct run quit = server_ask(server, "quit");

    expect_status(&quit, 0);
    ck_assert_int_ge(now_ms() - before, 500);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(elsewhere_sigterm_ends_at_once)
{
    struct server *server = server_serve_with("quit_delay 1h;", CONF, METHODS);

    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    server_wait_log(server, ": stop");
}
END_TEST

/* ---- Processors ---- */

/* The directory of a new control group with half a processor, or NULL with a word. */
static const char *make_group(void)
{
    const char *name = keep_printf("pillion-test-%d", (int)getpid());
    const char *two = keep_printf("/sys/fs/cgroup/%s", name),
               *one = keep_printf("/sys/fs/cgroup/cpu/%s", name);

    if (permits("control groups of version 1",
                keep_printf("mkdir %s && echo 100000 >%s/cpu.cfs_period_us && "
                            "echo 50000 >%s/cpu.cfs_quota_us",
                            one, one, one)))
        return one;
    rmdir(one);
    if (permits("control groups of version 2",
                keep_printf("mkdir %s && echo 50000 100000 >%s/cpu.max", two, two)))
        return two;
    rmdir(two);
    return NULL;
}

START_TEST(workers_are_no_more_than_a_control_group_has_processors)
{
    if (!permits("second processor", "test $(nproc) -gt 1"))
        return;
    const char *group = make_group();
    if (group == NULL)
        return;
    struct server *server = server_prepared("");
    run_in(server, keep_printf("echo $$ >%s/cgroup.procs && exec \"$@\"", group),
           "worker_processes auto;");
    server_wait_ready(server);
    pid_t workers[8];
    size_t count = server_workers(server, workers, 8);
    server_signal(server, SIGTERM);
    server_wait_exit(server, PATIENCE_MS);
    wait_until(rmdir(group) == 0, "the control group stays");
    ck_assert_uint_eq(count, 1);
}
END_TEST

/* ---- Files ---- */

START_TEST(a_root_that_is_read_only_is_enough)
{
    if (!permits("namespaces of mounts", "unshare -m sh -c 'mount -o remount,ro,bind /'"))
        return;
    struct server *server = server_prepared("");
    run_in(server,
           keep_printf("exec unshare -m sh -c 'mount --bind / / && cd / && "
                       "for at in / /tmp /var /run /dev/shm; do "
                       "mount -o remount,ro,bind $at 2>/dev/null; done; "
                       "mount -t tmpfs none %s/run && "
                       "if touch %s/conf/written 2>/dev/null; then exit 98; fi && "
                       "exec \"$@\"' sh \"$@\"",
                       server->prefix, server->prefix),
           "worker_processes 1; error_log stdout;");
    server_wait_ready(server);
    pid_t worker;
    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    kill(worker, SIGKILL);
    wait_until(server_stat(server, "crashes") == 1, "the worker did not die");
    server_signal(server, SIGHUP);
    server_wait_log(server, "generation 2 serves");
    client_expect_alive(client_connect(server));
    server_signal(server, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(without_proc_it_serves_and_says_what_is_missing)
{
    if (sanitized() || !permits("namespaces of mounts", "unshare -m mount -t tmpfs none /proc"))
        return;
    struct server *server = server_prepared("");
    run_in(server, "exec unshare -m sh -c 'mount -t tmpfs none /proc && exec \"$@\"' sh \"$@\"",
           "worker_processes 2;");
    server_wait_ready(server);
    server_wait_log(server, "/proc is not mounted here");
    pid_t workers[8];
    int idle = client_connect(server);
    client_expect_alive(idle);
    size_t count = server_workers(server, workers, 8);
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    wait_until(server_stat(server, "crashes") == 2, "the workers did not die");
    client_expect_alive(idle);
    server_signal(server, SIGHUP);
    server_wait_log(server, "generation 2 serves");
    client_expect_alive(idle);
    server_signal(server, SIGUSR2);
    server_wait_log(server, "upgrade");
    client_expect_alive(idle);
    server_signal(server, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* ---- The files in conf/container ---- */

START_TEST(the_manifest_is_yaml_and_has_probes)
{
    static const char program[] =
        "import sys, yaml\n"
        "documents = list(yaml.safe_load_all(open(sys.argv[1])))\n"
        "assert [d['kind'] for d in documents] == ['Deployment', 'Service', 'ConfigMap']\n"
        "spec = documents[0]['spec']['template']['spec']\n"
        "container = spec['containers'][0]\n"
        "assert container['readinessProbe']['httpGet']['path'] == '/readyz'\n"
        "assert container['livenessProbe']['httpGet']['path'] == '/healthz'\n"
        "assert container['securityContext']['readOnlyRootFilesystem'] is True\n"
        "assert container['securityContext']['capabilities'] == {'drop': ['ALL']}\n"
        "assert spec['securityContext']['runAsNonRoot'] is True\n"
        "assert spec['securityContext']['seccompProfile'] == {'type': 'RuntimeDefault'}\n"
        "print(documents[2]['data']['pillion.conf'])\n";
    const char *path = keep_printf("%s/conf/container/kubernetes.yaml", getenv("PILLION_BUILD"));

    if (!permits("python3 with yaml", "python3 -c 'import yaml'"))
        return;
    struct run run = run_command(
        (const char *const[]){"/bin/sh", "-c", "exec python3 - \"$1\"", "sh", path, NULL}, program,
        PATIENCE_MS);
    expect_status(&run, 0);
    /* its configuration is one, at another place for what is written */
    struct server *server = server_new();
    server_write(server, "conf/pillion.conf", "%s", run.out);
    struct run test =
        pillion("-t", "-p", server->prefix, "-g", "pid run/pid; control run/control;");
    expect_status(&test, 0);
}
END_TEST

START_TEST(the_image_s_configuration_is_good)
{
    struct server *server = server_new();

    file_copy(keep_printf("%s/conf/container/pillion.conf", getenv("PILLION_BUILD")), server->conf);
    struct run test =
        pillion("-t", "-p", server->prefix, "-g", "pid run/pid; control run/control;");
    expect_status(&test, 0);
}
END_TEST

E2E_MAIN("container", as_process_1_it_reaps_what_it_never_started,
         process_1_quits_by_sigterm_and_requests_are_answered,
         readiness_fails_before_listeners_close, an_order_to_quit_waits_for_balancers_and_then_ends,
         elsewhere_sigterm_ends_at_once, workers_are_no_more_than_a_control_group_has_processors,
         a_root_that_is_read_only_is_enough, without_proc_it_serves_and_says_what_is_missing,
         the_manifest_is_yaml_and_has_probes, the_image_s_configuration_is_good)
