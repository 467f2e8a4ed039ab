/* A real Redis for end-to-end tests, which ends with the test. */
#ifndef PILLION_TESTS_REDIS_SERVER_H
#define PILLION_TESTS_REDIS_SERVER_H

#include <stdio.h>
#include <string.h>

#include "harness.h"

struct redis {
    int port;
    const char *replicaof; /* HOST PORT, or NULL */
    const char *tls;       /* a folder of tls_make's: it speaks TLS alone, as "server"; or NULL */
    bool asks;             /* clients have to have a certificate of "authority" */
    pid_t pid;
};

static inline void redis_start(struct redis *redis, const struct server *server,
                               const char *password)
{
    const char *tls = redis->tls == NULL ? "" : redis->tls;
    const char *port = keep_printf("%d", redis->port);
    const char *const argv[] = {"redis-server",
                                "--dir",
                                server->prefix,
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

    redis->pid = daemon_start(argv, server_path(server, "redis.log"));
}

static inline void redis_end(struct redis *redis)
{
    daemon_end(redis->pid);
}

static inline void redis_is_there(int client)
{
    wait_until(strstr(client_call(client, "get", "{\"key\":\"nothing\"}"), "\"value\"") != NULL,
               "redis does not come");
}

#endif
