/* A server that root starts takes no configuration and no module that others may write. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHER 4321 /* a user, and a group, that is not root and owns no checkout */

/* Only root refuses files, and gives them away. */
static bool is_root(void)
{
    if (geteuid() != 0)
        printf("left out: only root's servers refuse files that others may write\n");
    return geteuid() == 0;
}

/* A server whose configuration includes a file, in a directory of its own, and a module by a link
 * in a directory where everybody may make files (sticky). */
static struct server *new_server(void)
{
    struct server *server = server_new();

    server_conf(server, "include conf/more/*.conf; load_module shared/hello.so;", "method ping;");
    mkdir(server_path(server, "conf/more"), 0755);
    server_write(server, "conf/more/one.conf", "worker_connections 100;");
    mkdir(server_path(server, "shared"), 0755);
    chmod(server_path(server, "shared"), 01777);
    ck_assert_int_eq(symlink("../modules/hello.so", server_path(server, "shared/hello.so")), 0);
    return server;
}

/* How a file of the server is made one that others may write, and what is said then. */
static const struct fault {
    const char *path;
    mode_t mode; /* 0: as it is */
    uid_t owner; /* 0: root */
    gid_t group; /* likewise */
    const char *says, *remedy;
} faults[] = {
    {"conf/pillion.conf", 0646, 0, 0, "conf/pillion.conf: everybody may write ", "chmod o-w "},
    {"conf/pillion.conf", 0664, 0, OTHER, ": the group 4321 may write ", "chmod g-w "},
    {"conf/pillion.conf", 0, OTHER, 0, ": its owner, user 4321, may write ", "chown root "},
    {"conf", 0777, 0, 0, "everybody may write ", "chmod o-w "},
    {"conf/more/one.conf", 0666, 0, 0, "conf/more/one.conf: everybody may write ", "chmod o-w "},
    {"conf/more", 0775, 0, OTHER, "conf/more/one.conf: the group 4321 may write ", "chmod g-w "},
    {"modules/ping.so", 0666, 0, 0, "ping.so: everybody may write ", "chmod o-w "},
    {"modules/hello.so", 0644, OTHER, 0, "hello.so: its owner, user 4321, may ", "chown root "},
    {"modules", 0777, 0, 0, "cannot load the module ", "chmod o-w "},
    {"modules", 0755, OTHER, 0, "its owner, user 4321, may write ", "chown root "},
    {"shared", 01777, OTHER, 0, "hello.so: its owner, user 4321, may write ", "chown root "},
    {"shared/hello.so", 0, OTHER, 0, "user 4321, may write ", "chown -h root "},
};
#define FAULTS (sizeof(faults) / sizeof(*faults))

/* Makes the fault, and returns how it was before. */
static struct stat make_fault(struct server *server, const struct fault *fault)
{
    const char *path = server_path(server, fault->path);
    struct stat before;

    ck_assert_int_eq(lstat(path, &before), 0);
    ck_assert_int_eq(lchown(path, fault->owner, fault->group), 0);
    if (fault->mode != 0)
        chmod(path, fault->mode);
    return before;
}

static void mend(struct server *server, const struct fault *fault, const struct stat *before)
{
    const char *path = server_path(server, fault->path);

    ck_assert_int_eq(lchown(path, before->st_uid, before->st_gid), 0);
    if (!S_ISLNK(before->st_mode))
        chmod(path, before->st_mode & 07777);
}

static void expect_words(const struct server *server, const struct fault *fault, const char *text)
{
    expect_part(text, fault->says);
    expect_part(text, keep_printf("`%s%s/%s`", fault->remedy, server->prefix, fault->path));
}

/* `pillion -t` says it, and a start, which makes no log and no pid file then. */
START_TEST(files_that_others_may_write_are_refused)
{
    struct server *server = new_server();

    if (!is_root())
        return;
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    for (size_t i = 0; i < FAULTS; i++) {
        struct stat before = make_fault(server, &faults[i]);
        run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_words(server, &faults[i], run.err);
        run = pillion("-p", server->prefix);
        expect_status(&run, 1);
        expect_words(server, &faults[i], run.err);
        ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
        mend(server, &faults[i], &before);
    }
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
}
END_TEST

START_TEST(a_reload_and_an_upgrade_refuse_them_and_the_server_serves_on)
{
    struct server *server = new_server();

    if (!is_root())
        return;
    server_start(server);
    int client = client_connect(server);
    client_expect_alive(client);
    for (size_t i = 0; i < FAULTS; i++) {
        struct stat before = make_fault(server, &faults[i]);
        server_reload_refused(server, faults[i].says);
        client_expect_alive(client);
        mend(server, &faults[i], &before);
    }
    struct stat before = make_fault(server, &faults[0]);
    struct run run = server_ask(server, "upgrade");
    expect_status(&run, 1);
    expect_words(server, &faults[0], run.err);
    client_expect_alive(client);
    run = server_ask(server, "reopen"); /* orders find the server all the same */
    expect_status(&run, 0);
    mend(server, &faults[0], &before);
    run = server_order(server, "upgrade");
    client_expect_alive(client);
}
END_TEST

/* A directory is named once, however many modules are in it. */
START_TEST(a_directory_is_reported_once)
{
    struct server *server = server_new();

    if (!is_root())
        return;
    server_conf(server, "load_module modules/hello.so;", "method ping;");
    chmod(server_path(server, "modules"), 0777);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    const char *first = strstr(run.err, "everybody may write ");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "everybody may write "));
}
END_TEST

/* What only root's group may write, what is in /tmp, and what is not there at all is no fault. */
START_TEST(files_that_only_root_may_write_are_good)
{
    struct server *server = new_server();

    chmod(server->conf, 0664);
    chmod(server_path(server, "modules"), 02775);
    chmod(server_path(server, "run"), 0777); /* holds neither configuration nor modules */
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    server_conf(server, "load_module shared/none.so;", "method ping;");
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "No such file");
}
END_TEST

/* A checkout of another user, whose group may write it, in which root has built. */
START_TEST(users_who_may_write_the_binary_may_write_the_rest)
{
    struct server *server = new_server();
    char *binary = server_path(server, "pillion");
    const char *const argv[] = {binary, "-t", "-p", server->prefix, NULL};

    if (!is_root())
        return;
    file_copy(pillion_binary(), binary);
    chmod(binary, 0755);
    ck_assert_int_eq(chown(server->conf, OTHER, OTHER), 0);
    chmod(server->conf, 0664);
    struct run run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 1);
    ck_assert_int_eq(chown(server->prefix, OTHER, OTHER), 0);
    chmod(server->prefix, 0775);
    run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 0);
    chmod(server->conf, 0666); /* that concerns everybody */
    run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 1);
    expect_part(run.err, "everybody may write ");
}
END_TEST

START_TEST(files_of_a_mount_that_nobody_writes_are_good)
{
    struct server *server = new_server();
    const char *test = "mount --bind \"$1/conf\" \"$1/conf\" && "
                       "mount -o remount,ro,bind \"$1/conf\" || exit 77; exec \"$0\" -t -p \"$1\"";
    const char *const argv[] = {"/usr/bin/unshare", "-m",           "sh", "-c", test,
                                pillion_binary(),   server->prefix, NULL};

    if (!is_root())
        return;
    chmod(server->conf, 0666);
    struct run run = run_command(argv, NULL, PATIENCE_MS);
    if (run.status == 77 || strstr(run.err, "unshare") != NULL) {
        printf("left out: file systems cannot be mounted here\n");
        return;
    }
    expect_status(&run, 0);
}
END_TEST

/* The root of a user namespace sees the machine's root, who owns /, as nobody. */
START_TEST(a_namespace_s_root_trusts_users_outside_of_it)
{
    struct server *server = new_server();
    char *binary = server_path(server, "pillion");
    const char *const argv[] = {"/usr/bin/setpriv",
                                "--reuid=4321",
                                "--regid=4321",
                                "--clear-groups",
                                "/usr/bin/unshare",
                                "-r",
                                binary,
                                "-t",
                                "-p",
                                server->prefix,
                                NULL};
    const char *const *own = geteuid() == 0 ? argv : argv + 4;

    file_copy(pillion_binary(), binary);
    chmod(binary, 0755);
    chmod(server->prefix, 0755);
    chmod(server_path(server, "run"), 0777);
    struct run run = run_command(own, NULL, PATIENCE_MS);
    if (strstr(run.err, "unshare: ") != NULL) {
        printf("left out: there are no user namespaces here\n");
        return;
    }
    ck_assert_ptr_null(strstr(run.err, "may write")); /* it may become no other user, though */
    chmod(server->conf, 0666);
    run = run_command(own, NULL, PATIENCE_MS);
    expect_part(run.err, "everybody may write ");
}
END_TEST

START_TEST(another_user_s_server_refuses_nothing)
{
    struct server *server = new_server();
    char *binary = server_path(server, "pillion");
    const char *const argv[] = {"/usr/bin/setpriv",
                                "--reuid=65534",
                                "--regid=65534",
                                "--clear-groups",
                                binary,
                                "-t",
                                "-p",
                                server->prefix,
                                NULL};

    file_copy(pillion_binary(), binary);
    chmod(binary, 0755);
    chmod(server->prefix, 0755);
    chmod(server_path(server, "run"), 0777);
    chmod(server->conf, 0666);
    chmod(server_path(server, "modules"), 0777);
    struct run run =
        geteuid() == 0 ? run_command(argv, NULL, PATIENCE_MS) : pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
}
END_TEST

START_TEST(only_the_command_line_trusts_what_others_may_write)
{
    struct server *server = server_new();

    server_conf(server, "strict_modes off;", "method ping;");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "a file cannot vouch for itself");
    server_conf(server, "", "method ping;");
    chmod(server->conf, 0666);
    server_start_with(server, (const char *const[]){"-g", "strict_modes off;", NULL});
    server_reload(server);
    run = server_order(server, "upgrade");
}
END_TEST

E2E_MAIN("writers", files_that_others_may_write_are_refused,
         a_reload_and_an_upgrade_refuse_them_and_the_server_serves_on, a_directory_is_reported_once,
         files_that_only_root_may_write_are_good, users_who_may_write_the_binary_may_write_the_rest,
         files_of_a_mount_that_nobody_writes_are_good,
         a_namespace_s_root_trusts_users_outside_of_it, another_user_s_server_refuses_nothing,
         only_the_command_line_trusts_what_others_may_write)
