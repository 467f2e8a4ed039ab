/* A real PostgreSQL for end-to-end tests, which ends with the test, and a server whose module talks
 * to it. */
#ifndef PILLION_TESTS_POSTGRES_SERVER_H
#define PILLION_TESTS_POSTGRES_SERVER_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* PostgreSQL refuses to run as root. */
struct postgres {
    const char *bin, *data;
    const char *option; /* NAME=VALUE, or NULL */
    int port;
    pid_t pid;
};

static inline const char *find_bin(void)
{
    for (int version = 30; version > 9; version--) {
        const char *bin = keep_printf("/usr/lib/postgresql/%d/bin", version);
        if (access(bin, X_OK) == 0)
            return bin;
    }
    return "/usr/bin";
}

static inline void become_somebody(void)
{
    const struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

    if (user != NULL &&
        (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
}

static inline pid_t run_as_somebody(const struct postgres *postgres, const char *const argv[])
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    become_somebody();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    int log = open(keep_printf("%s/log", postgres->data), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (chdir(postgres->data) == 0)
        execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static inline void postgres_start(struct postgres *postgres)
{
    postgres->pid = run_as_somebody(
        postgres,
        (const char *const[]){
            keep_printf("%s/postgres", postgres->bin), "-D", keep_printf("%s/db", postgres->data),
            "-p", keep_printf("%d", postgres->port), "-h", "127.0.0.1", "-k", postgres->data, "-c",
            "fsync=off", "-c", postgres->option == NULL ? "fsync=off" : postgres->option, NULL});
}

static inline void postgres_end(struct postgres *postgres)
{
    kill(postgres->pid, SIGQUIT); /* at once; its children end with it */
    waitpid(postgres->pid, NULL, 0);
}

static inline void postgres_init(struct postgres *postgres, const struct server *server)
{
    int status;

    postgres->bin = find_bin();
    postgres->data = server_path(server, "pg");
    ck_assert_int_eq(chmod(server->prefix, 0755), 0);
    ck_assert_int_eq(mkdir(postgres->data, 0777), 0);
    chmod(postgres->data, 0777);
    pid_t pid = run_as_somebody(
        postgres, (const char *const[]){keep_printf("%s/initdb", postgres->bin), "-D",
                                        keep_printf("%s/db", postgres->data), "-U", "test", "-A",
                                        "trust", "-N", "-E", "UTF8", "--locale=C", NULL});
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_test("initdb failed: %s", file_read(keep_printf("%s/log", postgres->data), NULL));
}

static inline void postgres_conf(const struct server *server, const struct postgres *postgres,
                                 const char *settings, const char *methods)
{
    server_conf(
        server,
        keep_printf("load_module modules/postgres.so { conninfo \"hostaddr=127.0.0.1 port=%d"
                    " user=test dbname=postgres\"; %s }",
                    postgres->port, settings),
        methods);
}

static inline void postgres_is_there(int client)
{
    int64_t until = deadline_in(3 * PATIENCE_MS);

    while (strcmp(client_call(client, "one", "null"), "{\"out\":\"result\",\"result\":1}") != 0) {
        if (deadline_over(until))
            fail_test("postgres does not come");
        look_again();
    }
}

static inline struct run try_sql(const struct postgres *postgres, const char *sql)
{
    return run_command((const char *const[]){keep_printf("%s/psql", postgres->bin), "-q", "-h",
                                             "127.0.0.1", "-p", keep_printf("%d", postgres->port),
                                             "-U", "test", "-c", sql, "postgres", NULL},
                       NULL, PATIENCE_MS);
}

static inline void run_sql(const struct postgres *postgres, const char *sql)
{
    struct run run = try_sql(postgres, sql);
    expect_status(&run, 0);
}

static inline void make_table(const struct postgres *postgres)
{
    run_sql(postgres, "create table users (id int primary key, name text)");
}

static inline void gives(int client, const char *method, const char *params, const char *result)
{
    const char *reply = client_call(client, method, params);

    if (strcmp(reply, keep_printf("{\"out\":\"result\",\"result\":%s}", result)) != 0)
        fail_test("%s %s gives %s and not %s", method, params, reply, result);
}

#endif
