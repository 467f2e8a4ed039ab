/* Files and descriptors that are not the server's own: what it is told to write over, what another
 * server has, what its starter left open. */
#include "harness.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* `pillion -t`, and a start, fail with `says`. */
static void expect_refused(struct server *server, const char *says)
{
    struct run run = pillion("-t", "-p", server->prefix);

    expect_status(&run, 1);
    expect_part(run.err, says);
    server_spawn(server, (const char *const[]){NULL});
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_ne(status, 0);
    expect_part(server_log(server), says);
}

/* ---- slips ---- */

START_TEST(a_slip_in_the_configuration_spoils_no_file)
{
    static const struct {
        const char *statement, *file, *says;
    } rows[] = {
        {"control data.db;", "data.db", "conf/pillion.conf:1:9: the control socket, \"control\", "},
        {"pid conf/pillion.conf;", "conf/pillion.conf", "is the configuration"},
        {"pid data.db;", "data.db", "holds something else than the number of a process"},
        {"pid link;", "data.db", "is a symbolic link"},
        {"error_log modules/ping.so;", "modules/ping.so", "is a module, which would be spoiled"},
        {"error_log modules/hello.so;", "modules/hello.so", "is no log but some other file"},
        {"error_log conf/pillion.conf;", "conf/pillion.conf", "is the configuration"},
        {"error_log run/x; pid run/x;", "data.db", "is the log (\"error_log\") already"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *server = server_new();
        char *path = server_path(server, rows[i].file);
        size_t size, left;

        server_write(server, "data.db", "precious");
        ck_assert_int_eq(symlink("data.db", server_path(server, "link")), 0);
        server_write(server, "conf/pillion.conf",
                     "%s load_module modules/ping.so; server { listen 127.0.0.1:%d; method ping; }",
                     rows[i].statement, server->port);
        char *before = file_read(path, &size);
        expect_refused(server, rows[i].says);
        char *after = file_read(path, &left);
        ck_assert_msg(size == left && memcmp(before, after, size) == 0, "%s was changed by \"%s\"",
                      rows[i].file, rows[i].statement);
    }
}
END_TEST

/* ---- other servers ---- */

/* A server at run/s.sock and at its port, with `main_text`. */
static struct server *serve_path(const char *main_text)
{
    return server_serve(main_text, "listen unix:run/s.sock; method ping;");
}

static char *pid_of(const struct server *server)
{
    return file_read(server_path(server, "run/pillion.pid"), NULL);
}

START_TEST(a_second_start_takes_nothing_from_the_server_that_runs)
{
    struct server *server = serve_path("");
    char *pid = pid_of(server), *number = keep_printf("%d\n", (int)server->pid);

    ck_assert_str_eq(pid, number);
    struct run run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "a server is running here already");
    run = pillion("-p", server->prefix, "-g", "control run/other;");
    expect_status(&run, 1);
    expect_part(run.err, keep_printf("another server, process %d, has the pid file", server->pid));
    ck_assert_int_ne(access(server_path(server, "run/other"), F_OK), 0);
    /* As cleaners of temporary files do. */
    unlink(server_path(server, "run/pillion.control"));
    run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "another server, process ");
    ck_assert_str_eq(pid_of(server), number);
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect_unix(server_path(server, "run/s.sock")));
    run = server_ask(server, "stop"); /* by the pid file */
    expect_status(&run, 0);
    server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
}
END_TEST

START_TEST(a_pid_file_that_a_dead_server_left_is_taken)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    server_write(server, "run/pillion.pid", "1234567890 \n");
    server_start(server);
    ck_assert_str_eq(pid_of(server), keep_printf("%d\n", (int)server->pid));
}
END_TEST

START_TEST(a_server_that_ends_removes_its_own_files_only)
{
    struct server *first = serve_path(""), *second = server_new();
    char *path = server_path(first, "run/s.sock");

    unlink(path);
    server_conf(second,
                keep_printf("control %s/run/pillion.control; pid %s/run/pillion.pid;",
                            first->prefix, first->prefix),
                keep_printf("listen unix:%s; method ping;", path));
    unlink(server_path(first, "run/pillion.control"));
    unlink(server_path(first, "run/pillion.pid"));
    server_start(second);
    client_expect_alive(client_connect_unix(path));
    server_signal(first, SIGTERM);
    server_wait_exit(first, PATIENCE_MS);
    client_expect_alive(client_connect_unix(path));
    ck_assert_str_eq(pid_of(first), keep_printf("%d\n", (int)second->pid));
    server_order(second, "stop");
    server_wait_exit(second, PATIENCE_MS);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_ne(access(server_path(first, "run/pillion.control"), F_OK), 0);
}
END_TEST

/* The binary where every user reaches it. */
static char *public_binary(const struct server *server)
{
    char *path = server_path(server, "pillion");

    file_copy(pillion_binary(), path);
    chmod(path, 0755);
    return path;
}

/* A server that one may not look at is not dead for that. */
START_TEST(a_control_socket_that_may_not_be_asked_is_left_alone)
{
    struct server *server = serve_path("");
    char *control = server_path(server, "run/pillion.control"), *binary = public_binary(server);
    struct run run;

    chmod(server_path(server, "run"), 0777);
    unlink(server_path(server, "run/pillion.pid"));
    if (geteuid() == 0) {
        run =
            run_command((const char *const[]){"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                              "--clear-groups", binary, "-p", server->prefix, NULL},
                        NULL, PATIENCE_MS);
    } else {
        chmod(control, 0);
        run = pillion("-p", server->prefix);
        chmod(control, 0600);
    }
    expect_status(&run, 1);
    expect_part(run.err, "cannot look whether another process listens on unix:");
    expect_part(run.err, "EACCES");
    server_reload(server);
}
END_TEST

START_TEST(one_of_two_servers_that_start_at_once_serves)
{
    struct server *one = server_new();

    server_write(one, "conf/pillion.conf",
                 "worker_processes 2; load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d reuseport; method ping; }",
                 one->port);
    for (int round = 0; round < 10; round++) {
        struct server other = *one;
        server_spawn(one, (const char *const[]){NULL});
        server_spawn(&other, (const char *const[]){NULL});
        pid_t pids[] = {one->pid, other.pid}, lost = 0;
        int status;
        wait_until((lost = waitpid(-1, &status, WNOHANG)) > 0, "both serve");
        ck_assert_int_ne(status, 0);
        bool first_lost = lost == pids[0];
        *one = first_lost ? other : *one;
        server_wait_ready(one);
        ck_assert_str_eq(pid_of(one), keep_printf("%d\n", (int)one->pid));
        server_order(one, "stop");
        server_wait_exit(one, PATIENCE_MS);
    }
}
END_TEST

/* ---- rights ---- */

static unsigned mode_of(const struct server *server, const char *path)
{
    struct stat status;

    ck_assert_int_eq(lstat(server_path(server, path), &status), 0);
    return status.st_mode & 0777;
}

START_TEST(files_have_their_rights_whatever_the_mask)
{
    struct server *server = server_new();

    server_conf(server, "", "listen unix:run/s.sock; method ping;");
    mode_t mask = umask(0);
    server_start(server);
    umask(mask);
    ck_assert_uint_eq(mode_of(server, "run/pillion.pid"), 0644);
    ck_assert_uint_eq(mode_of(server, "run/pillion.control"), 0600);
    ck_assert_uint_eq(mode_of(server, "run/s.sock"), 0666);
}
END_TEST

static gid_t group_of(const struct server *server, const char *path)
{
    struct stat status;

    ck_assert_int_eq(lstat(server_path(server, path), &status), 0);
    return status.st_gid;
}

/* Only root has another group to give it, which every Debian has. */
START_TEST(a_unix_socket_s_rights_are_as_listen_says_also_after_a_reload)
{
    const struct group *other = geteuid() == 0 ? getgrnam("daemon") : NULL;
    const char *word = other == NULL ? "" : "group=daemon";
    struct server *server =
        server_serve("", keep_printf("listen unix:run/s.sock mode=0660 %s; method ping;", word));

    ck_assert_uint_eq(mode_of(server, "run/s.sock"), 0660);
    if (other != NULL)
        ck_assert_uint_eq(group_of(server, "run/s.sock"), other->gr_gid);
    int client = client_connect_unix(server_path(server, "run/s.sock"));
    server_conf(server, "", "listen unix:run/s.sock mode=600; method ping;");
    server_reload(server);
    ck_assert_uint_eq(mode_of(server, "run/s.sock"), 0600);
    client_expect_alive(client);

    /* A reload that fails changes nothing. */
    server_conf(server, "load_module modules/start_fails.so;",
                "listen unix:run/s.sock; method ping;");
    server_reload_refused(server, "start_fails");
    ck_assert_uint_eq(mode_of(server, "run/s.sock"), 0600);
}
END_TEST

/* Runs `pillion -s reload` as user nobody of this group. */
static struct run ask_as(struct server *server, const char *binary, const char *group)
{
    const char *const argv[] = {"/usr/bin/setpriv",
                                "--reuid=65534",
                                keep_printf("--regid=%s", group),
                                "--clear-groups",
                                binary,
                                "-p",
                                server->prefix,
                                "-s",
                                "reload",
                                NULL};

    return run_command(argv, NULL, PATIENCE_MS);
}

/* Root gives the socket to the group that every Debian has. */
START_TEST(whose_right_to_connect_control_gives_may_order)
{
    bool root = geteuid() == 0;
    const char *path = "run/pillion.control", *word = root ? "group=daemon" : "";
    const char *main_text = keep_printf("control %s mode=0660 %s;", path, word);
    struct server *server = server_serve(main_text, "method ping;");
    char *binary = public_binary(server);

    ck_assert_uint_eq(mode_of(server, path), 0660);
    chmod(server->prefix, 0755);
    if (root) {
        ck_assert_uint_eq(group_of(server, path), getgrnam("daemon")->gr_gid);
        struct run run = ask_as(server, binary, "daemon");
        expect_status(&run, 0);
        run = ask_as(server, binary, "nogroup");
        expect_status(&run, 1);
        expect_part(run.err, "cannot reach the server at ");
    }

    /* Neither the file's removal nor an upgrade changes them. */
    unlink(server_path(server, path));
    server_signal(server, SIGHUP);
    wait_until(access(server_path(server, path), F_OK) == 0, "no socket is made anew");
    struct run run = server_order(server, "upgrade");
    ck_assert_uint_eq(mode_of(server, path), 0660);
    if (root)
        ck_assert_uint_eq(group_of(server, path), getgrnam("daemon")->gr_gid);

    /* A reload does, unless it fails. */
    server_conf(server, "load_module modules/start_fails.so;", "method ping;");
    server_reload_refused(server, "start_fails");
    ck_assert_uint_eq(mode_of(server, path), 0660);
    server_conf(server, "", "method ping;");
    server_reload(server);
    ck_assert_uint_eq(mode_of(server, path), 0600);
    if (root) {
        run = ask_as(server, binary, "daemon");
        expect_status(&run, 1);
    }
}
END_TEST

START_TEST(control_takes_rights_as_listen_does)
{
    static const struct {
        const char *words, *says;
    } cases[] = {
        {"run/c mode=888", "\"mode\" must be the rights of a file in octal digits"},
        {"run/c group=no-such-group", "there is no group \"no-such-group\" here"},
        {"run/c backlog=1", "unexpected \"backlog=1\""},
        {"\"\"", "\"control\" needs a path that is not empty"},
    };
    struct server *server = server_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, keep_printf("control %s;", cases[i].words), "method ping;");
        struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_part(run.err, cases[i].says);
    }
}
END_TEST

START_TEST(rights_that_no_file_has_are_refused)
{
    static const struct {
        const char *listen, *words;
    } cases[] = {
        {"unix:run/s.sock mode=888", "\"mode\" must be the rights of a file in octal digits"},
        {"unix:run/s.sock mode=1777", "such as 0660, not \"1777\""},
        {"unix:run/s.sock mode=66", "such as 0660, not \"66\""},
        {"unix:run/s.sock mode=-66", "such as 0660, not \"-66\""},
        {"unix:run/s.sock mode=", "such as 0660, not \"\""},
        {"unix:run/s.sock group=no-such-group", "there is no group \"no-such-group\" here"},
        {"127.0.0.1:1 mode=0660", "\"mode\" is for Unix sockets: \"127.0.0.1:1\" has no file"},
        {"127.0.0.1:1 group=daemon", "\"group\" is for Unix sockets"},
    };
    struct server *server = server_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, "", keep_printf("listen %s;", cases[i].listen));
        struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_part(run.err, cases[i].words);
    }
}
END_TEST

/* Root does not leave its id where another user may write another one. */
START_TEST(a_pid_file_of_another_user_is_replaced)
{
    struct server *server = server_new();
    char *path = server_path(server, "run/pillion.pid");
    struct stat status;

    server_conf(server, "", "method ping;");
    server_write(server, "run/pillion.pid", "1\n");
    if (geteuid() == 0) {
        chmod(path, 0666);
        ck_assert_int_eq(chown(path, 65534, 65534), 0);
    }
    server_start(server);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_uid, geteuid());
    ck_assert_str_eq(pid_of(server), keep_printf("%d\n", (int)server->pid));
}
END_TEST

/* ---- reloads ---- */

START_TEST(a_reload_makes_removed_and_replaced_files_anew)
{
    struct server *server = serve_path("");
    char *path = server_path(server, "run/s.sock");
    int before = client_connect_unix(path);

    for (int round = 0; round < 2; round++) {
        unlink(path);
        unlink(server_path(server, "run/pillion.pid"));
        unlink(server_path(server, "run/pillion.control"));
        if (round == 1) { /* a server that is dead by now had its own there */
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
            ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
            close(fd);
            server_write(server, "run/pillion.pid", "77\n");
        }
        server_signal(server, SIGHUP);
        server_wait_log(server, keep_printf("generation %d serves", round + 2));
        client_expect_alive(client_connect_unix(path));
        client_expect_alive(before);
        ck_assert_str_eq(pid_of(server), keep_printf("%d\n", (int)server->pid));
    }
    server_reload(server);
    client_expect_alive(before);
    client_expect_alive(client_connect_unix(path));
    server_order(server, "upgrade");
    client_expect_alive(before);
    unlink(path);
    server_reload(server);
    client_expect_alive(before);
    client_expect_alive(client_connect_unix(path));
    server_order(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.control"), F_OK), 0);
}
END_TEST

/* A socket from which no worker will accept would keep clients waiting. */
START_TEST(a_reload_that_fails_removes_the_sockets_it_has_bound)
{
    struct server *server = serve_path("");
    char *path = server_path(server, "run/s.sock");

    unlink(path);
    server_conf(server, "load_module modules/check_fails.so;",
                "listen unix:run/s.sock; listen unix:run/t.sock; method ping;");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/t.sock"), F_OK), 0);
    client_expect_alive(client_connect(server));
    server_conf(server, "", "listen unix:run/s.sock; method ping;");
    server_reload(server);
    client_expect_alive(client_connect_unix(path));
}
END_TEST

START_TEST(a_reload_fails_where_another_server_has_taken_the_path)
{
    struct server *server = serve_path(""), *other = server_new();
    char *path = server_path(server, "run/s.sock");

    unlink(path);
    server_conf(other, "", keep_printf("listen unix:%s; method ping;", path));
    server_start(other);
    server_reload_refused(server, "another process listens there");
    client_expect_alive(client_connect_unix(path));
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_reload_moves_control_socket_and_pid_file)
{
    struct server *server = serve_path("");

    server_conf(server, "control run/there.control; pid run/there.pid;", "method ping;");
    struct run run =
        pillion("-s", "reload", "-p", server->prefix, "-g", "control run/pillion.control;");
    expect_status(&run, 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.control"), F_OK), 0);
    ck_assert_str_eq(file_read(server_path(server, "run/there.pid"), NULL),
                     keep_printf("%d\n", (int)server->pid));
    run = server_order(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_ne(access(server_path(server, "run/there.pid"), F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/there.control"), F_OK), 0);
}
END_TEST

/* ---- reuseport ---- */

/* Sockets that listen at 127.0.0.1:port, by proc_net(5). */
static int listening(int port)
{
    int count = 0;

    for (const char *line = file_read("/proc/net/tcp", NULL); line != NULL;
         line = strchr(line + 1, '\n')) {
        unsigned address, local, state;
        if (sscanf(line, " %*d: %x:%x %*x:%*x %x", &address, &local, &state) == 3)
            count += local == (unsigned)port && state == 0x0a;
    }
    return count;
}

static void conf_reuseport(const struct server *server, int workers, const char *reuseport,
                           const char *module)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes %d; load_module modules/ping.so; %s\n"
                 "server { listen 127.0.0.1:%d %s; method ping; }",
                 workers, module, server->port, reuseport);
}

static void expect_all_served(const struct server *server)
{
    for (int i = 0; i < 40; i++) {
        int client = client_connect(server);
        client_expect_alive(client);
        close(client);
    }
}

START_TEST(reuseport_comes_and_goes_by_reload)
{
    struct server *server = server_new();

    conf_reuseport(server, 2, "", "");
    server_start(server);
    int kept = client_connect(server);
    client_expect_alive(kept);
    ck_assert_int_eq(listening(server->port), 1);
    for (int round = 0; round < 2; round++) {
        conf_reuseport(server, 3, "reuseport", "");
        server_reload(server);
        ck_assert_int_eq(listening(server->port), 3);
        expect_all_served(server);
        conf_reuseport(server, 2, "", "");
        server_reload(server);
        ck_assert_int_eq(listening(server->port), 3);
        expect_all_served(server);
        client_expect_alive(kept);
    }
}
END_TEST

START_TEST(a_reload_that_fails_adds_no_queue_that_nobody_serves)
{
    struct server *server = server_new();

    conf_reuseport(server, 2, "reuseport", "");
    server_start(server);
    conf_reuseport(server, 6, "reuseport", "load_module modules/check_fails.so;");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    ck_assert_int_eq(listening(server->port), 2);
    expect_all_served(server);
    conf_reuseport(server, 6, "reuseport", "");
    server_reload(server);
    ck_assert_int_eq(listening(server->port), 6);
    expect_all_served(server);
}
END_TEST

/* ---- what the starter left ---- */

START_TEST(with_daemon_on_nothing_is_kept_of_the_starter)
{
    struct server *server = server_new();
    char *path = server_path(server, "lock");

    server_conf(server, "", "method ping;");
    file_write(path, "", 0);
    int fd = open(path, O_RDONLY); /* inherited */
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    struct run run = pillion("-p", server->prefix, "-g", "daemon on; error_log logs/error.log;");
    expect_status(&run, 0);
    server_detached(server);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(flock(fd, LOCK_EX | LOCK_NB) == 0, "the server holds its starter's lock");
    close(fd);
    client_expect_alive(client_connect(server));
    run = server_order(server, "stop");
}
END_TEST

static void expect_null(pid_t pid, int number)
{
    char target[64] = "";

    ck_assert_int_gt(
        readlink(keep_printf("/proc/%d/fd/%d", (int)pid, number), target, sizeof(target) - 1), 0);
    ck_assert_str_eq(target, "/dev/null");
}

START_TEST(descriptors_0_to_2_closed_at_the_start_lead_nowhere)
{
    static const char *const daemon[] = {"off", "on"};

    for (int i = 0; i < 2; i++) {
        struct server *server = server_new();
        server_conf(server, "", "method ping;");
        char *command = keep_printf("setsid %s -p %s -g 'daemon %s; error_log logs/error.log;' "
                                    "<&- >&- 2>&- &",
                                    pillion_binary(), server->prefix, daemon[i]);
        struct run run =
            run_command((const char *const[]){"/bin/sh", "-c", command, NULL}, NULL, PATIENCE_MS);
        expect_status(&run, 0);
        server_wait_log(server, "generation 1 serves");
        server_detached(server);
        pid_t pids[16];
        size_t count = children_of(server->group, pids, 15);
        pids[count++] = server->group;
        for (size_t p = 0; p < count; p++) {
            for (int number = 0; number <= 2; number++)
                expect_null(pids[p], number);
        }
        server_reload(server);
        client_expect_alive(client_connect(server));
        server_wait_log(server, "generation 2 serves");
        run = server_order(server, "stop");
    }
}
END_TEST

/* ---- limits of the machine ---- */

START_TEST(a_limit_on_the_size_of_files_is_named_and_kills_nothing)
{
    static const char *const blocks[] = {"2", "2048", "1048576"}; /* of 512 bytes */
    static const char *const options[] = {"-t", ""};
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    for (int i = 0; i < 6; i++) {
        char *command = keep_printf("ulimit -f %s; exec %s -p %s %s", blocks[i / 2],
                                    pillion_binary(), server->prefix, options[i % 2]);
        struct run run =
            run_command((const char *const[]){"/bin/sh", "-c", command, NULL}, NULL, PATIENCE_MS);
        expect_status(&run, 1);
        expect_part(run.err, "RLIMIT_FSIZE (`ulimit -f`) allows files of ");
    }
    struct run test = pillion("-t", "-p", server->prefix);
    expect_status(&test, 0);
}
END_TEST

E2E_MAIN("files", a_slip_in_the_configuration_spoils_no_file,
         a_second_start_takes_nothing_from_the_server_that_runs,
         a_pid_file_that_a_dead_server_left_is_taken, a_server_that_ends_removes_its_own_files_only,
         a_control_socket_that_may_not_be_asked_is_left_alone,
         one_of_two_servers_that_start_at_once_serves, files_have_their_rights_whatever_the_mask,
         whose_right_to_connect_control_gives_may_order, control_takes_rights_as_listen_does,
         a_unix_socket_s_rights_are_as_listen_says_also_after_a_reload,
         rights_that_no_file_has_are_refused, a_pid_file_of_another_user_is_replaced,
         a_reload_makes_removed_and_replaced_files_anew,
         a_reload_that_fails_removes_the_sockets_it_has_bound,
         a_reload_fails_where_another_server_has_taken_the_path,
         a_reload_moves_control_socket_and_pid_file, reuseport_comes_and_goes_by_reload,
         a_reload_that_fails_adds_no_queue_that_nobody_serves,
         with_daemon_on_nothing_is_kept_of_the_starter,
         descriptors_0_to_2_closed_at_the_start_lead_nowhere,
         a_limit_on_the_size_of_files_is_named_and_kills_nothing)
