/* A real Redis for end-to-end tests, which ends with the test. */
#ifndef PILLION_TESTS_REDIS_SERVER_H
#define PILLION_TESTS_REDIS_SERVER_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

struct redis {
    int port;
    const char *replicaof; /* HOST PORT, or NULL */
    const char *tls;       /* a folder of tls_make's: it speaks TLS alone, as "server"; or NULL */
    bool asks;             /* clients have to have a certificate of "authority" */
    pid_t pid;
};

/* Does not return. */
static inline void redis_run(const struct redis *redis, const char *port, const char *password)
{
    const char *tls = redis->tls == NULL ? "" : redis->tls;
    const char *const argv[] = {"redis-server",
                                "--bind",
                                "127.0.0.1",
                                "--save",
                                "",
                                "--appendonly",
                                "no",
                                "--replicaof",
                                redis->replicaof == NULL ? "no one" : redis->replicaof,
                                "--requirepass",
                                password == NULL ? "" : password,
                                "--port",
                                redis->tls == NULL ? port : "0",
                                redis->tls == NULL ? NULL : "--tls-port",
                                port,
                                "--tls-cert-file",
                                keep_printf("%s/server.pem", tls),
                                "--tls-key-file",
                                keep_printf("%s/server.key", tls),
                                "--tls-ca-cert-file",
                                keep_printf("%s/authority.pem", tls),
                                "--tls-auth-clients",
                                redis->asks ? "yes" : "no",
                                NULL};

    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static inline void redis_start(struct redis *redis, const struct server *server,
                               const char *password)
{
    char port[16];

    snprintf(port, sizeof(port), "%d", redis->port);
    redis->pid = fork();
    ck_assert_int_ge(redis->pid, 0);
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen("/dev/null", "w", stdout) != NULL && chdir(server->prefix) == 0)
            redis_run(redis, port, password);
        _exit(127);
    }
}

static inline void redis_end(struct redis *redis)
{
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
}

static inline void redis_is_there(int client)
{
    wait_until(strstr(client_call(client, "get", "{\"key\":\"nothing\"}"), "\"value\"") != NULL,
               "redis does not come");
}

#endif
