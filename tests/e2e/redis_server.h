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
    pid_t pid;
};

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
            execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save",
                   "", "--appendonly", "no", "--replicaof",
                   redis->replicaof == NULL ? "no one" : redis->replicaof,
                   password == NULL ? NULL : "--requirepass", password, NULL);
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
