/* A real etcd for tests, of one member or several, which ends with the test, and whose folder goes
 * then, also when the test fails or is killed. It needs <check.h> alone, so that unit tests can
 * have it, too.
 *
 *     struct etcd_cluster cluster = {.count = 3};
 *     etcd_cluster_start(&cluster);     // all members, on free ports of 127.0.0.1
 *     etcd_cluster_wait(&cluster);      // until each answers
 *     … cluster.urls, cluster.members[0].pid …
 *     etcd_cluster_end(&cluster); */
#ifndef PILLION_TESTS_ETCD_SERVER_H
#define PILLION_TESTS_ETCD_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ports.h"

#define ETCD_MEMBERS_MAX 3

struct etcd_member_process {
    pid_t pid; /* 0: it does not run */
    int client_port, peer_port;
};

struct etcd_cluster {
    int count;             /* of members; 0 counts as 1 */
    const char *parent;    /* where its folder is made; NULL: TMPDIR */
    const char *arguments; /* more of etcd's, with spaces between; NULL: none */
    const char *ca;        /* of TLS for clients, which need a certificate by it; NULL: none */
    const char *cert, *key;

    char folder[256];
    int alive; /* a pipe that ends with the test: see etcd_sweep */
    char text[ETCD_MEMBERS_MAX][64];
    const char *urls[ETCD_MEMBERS_MAX + 1];
    struct etcd_member_process members[ETCD_MEMBERS_MAX];
};

static inline bool etcd_is_installed(void)
{
    return system("command -v etcd >/dev/null 2>&1") == 0;
}

/* A port that nobody listens on, below those that the kernel gives to clients. A UDP socket marks
 * it as taken, as long as this process lives, as those of harness_server.c do. */
static inline int etcd_free_port(void)
{
    static unsigned last;

    if (last == 0)
        last = (unsigned)getpid() * 7919u;
    for (int i = 0; i < 10000; i++) {
        int port = 12000 + (int)(last++ % 18000);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int mark = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_addr.s_addr = htonl(PORT_MARKS);
        bool bound = bind(mark, (struct sockaddr *)&address, sizeof(address)) == 0;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bound = bound && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        if (bound)
            return port;
        close(mark);
    }
    ck_abort_msg("no port is free");
}

/* Starts a member that does not run; with what it has on disk, where it ran before. */
static inline void etcd_member_start(struct etcd_cluster *cluster, int at)
{
    const struct etcd_member_process *member = &cluster->members[at];
    const char *scheme = cluster->ca == NULL ? "http" : "https";
    char command[4096];
    int used = snprintf(
        command, sizeof(command),
        "exec etcd --name m%d --data-dir %s/m%d --log-level error --listen-client-urls "
        "%s://127.0.0.1:%d --advertise-client-urls %s://127.0.0.1:%d --listen-peer-urls "
        "http://127.0.0.1:%d --initial-advertise-peer-urls http://127.0.0.1:%d "
        "--heartbeat-interval 50 --election-timeout 500 %s --initial-cluster ",
        at, cluster->folder, at, scheme, member->client_port, scheme, member->client_port,
        member->peer_port, member->peer_port, cluster->arguments == NULL ? "" : cluster->arguments);

    for (int i = 0; i < cluster->count; i++)
        used +=
            snprintf(command + used, sizeof(command) - (size_t)used, "%sm%d=http://127.0.0.1:%d",
                     i == 0 ? "" : ",", i, cluster->members[i].peer_port);
    if (cluster->ca != NULL)
        used += snprintf(command + used, sizeof(command) - (size_t)used,
                         " --trusted-ca-file %s --cert-file %s --key-file %s --client-cert-auth",
                         cluster->ca, cluster->cert, cluster->key);
    snprintf(command + used, sizeof(command) - (size_t)used, " >>%s/m%d.log 2>&1", cluster->folder,
             at);
    pid_t own = getpid(), pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == own)
            execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    cluster->members[at].pid = pid;
}

/* Kills it, at once. */
static inline void etcd_member_kill(struct etcd_cluster *cluster, int at)
{
    struct etcd_member_process *member = &cluster->members[at];

    if (member->pid == 0)
        return;
    kill(member->pid, SIGKILL);
    waitpid(member->pid, NULL, 0);
    member->pid = 0;
}

/* Takes away what a member that does not run has on disk. */
static inline void etcd_member_forget(struct etcd_cluster *cluster, int at)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf %s/m%d", cluster->folder, at);
    ck_assert_int_eq(system(command), 0);
}

/* Has a process remove the folder when the test is no more, however it has ended. It is in a
 * session of its own, and no child of the test: nobody kills it or waits for it. */
static inline void etcd_sweep(struct etcd_cluster *cluster)
{
    static const char script[] = "read nothing; i=0; while rm -rf \"$0\"; [ -e \"$0\" ] && "
                                 "[ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done";
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        setsid();
        if (fork() == 0) {
            int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
            dup2(ends[0], STDIN_FILENO);
            dup2(nowhere, STDOUT_FILENO);
            dup2(nowhere, STDERR_FILENO);
            execl("/bin/sh", "sh", "-c", script, cluster->folder, NULL);
        }
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    close(ends[0]);
    cluster->alive = ends[1];
}

static inline void etcd_cluster_start(struct etcd_cluster *cluster)
{
    const char *parent = cluster->parent != NULL ? cluster->parent : getenv("TMPDIR");

    if (cluster->count == 0)
        cluster->count = 1;
    snprintf(cluster->folder, sizeof(cluster->folder), "%s/etcd-XXXXXX",
             parent == NULL ? "/tmp" : parent);
    ck_assert_ptr_nonnull(mkdtemp(cluster->folder));
    etcd_sweep(cluster);
    for (int i = 0; i < cluster->count; i++) {
        cluster->members[i].client_port = etcd_free_port();
        cluster->members[i].peer_port = etcd_free_port();
        snprintf(cluster->text[i], sizeof(cluster->text[i]), "%s://127.0.0.1:%d",
                 cluster->ca == NULL ? "http" : "https", cluster->members[i].client_port);
        cluster->urls[i] = cluster->text[i];
    }
    for (int i = 0; i < cluster->count; i++)
        etcd_member_start(cluster, i);
}

/* Asks a member without TLS, as another program would: the answer's head and body, or "" when none
 * comes within five seconds. Stays until the next call. */
static inline const char *etcd_request_as(const struct etcd_cluster *cluster, int at,
                                          const char *token, const char *path, const char *body)
{
    static char reply[65536];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cluster->members[at].client_port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t size = 0;
    ssize_t got;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        dprintf(fd, "POST %s HTTP/1.0\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", path,
                token == NULL ? "" : "Authorization: ", token == NULL ? "" : token,
                token == NULL ? "" : "\r\n", strlen(body), body);
        while (size < sizeof(reply) - 1 &&
               (got = recv(fd, reply + size, sizeof(reply) - 1 - size, 0)) > 0)
            size += (size_t)got;
    }
    close(fd);
    reply[size] = '\0';
    return reply;
}

static inline const char *etcd_request(const struct etcd_cluster *cluster, int at, const char *path,
                                       const char *body)
{
    return etcd_request_as(cluster, at, NULL, path, body);
}

/* Where a name is asked for, any answer will do; with TLS, that it listens. */
static inline bool etcd_member_answers(const struct etcd_cluster *cluster, int at)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cluster->members[at].client_port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool listens = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    if (!listens || cluster->ca != NULL)
        return listens;
    const char *reply = etcd_request(cluster, at, "/v3/kv/range", "{\"key\":\"AAAA\"}");
    return strstr(reply, " 200 ") != NULL || strstr(reply, " 400 ") != NULL;
}

/* "NAME":"…" in an answer, without its quotes; "" when it has none. Stays until the next call. */
static inline const char *etcd_answer_text(const char *answer, const char *name)
{
    static char value[512];
    char member[64];

    snprintf(member, sizeof(member), "\"%s\":\"", name);
    const char *at = strstr(answer, member);
    value[0] = '\0';
    if (at != NULL) {
        at += strlen(member);
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\""), at);
    }
    return value;
}

static inline void etcd_member_wait(const struct etcd_cluster *cluster, int at)
{
    char command[512];
    bool is = false;

    for (int i = 0; i < 1500 && !(is = etcd_member_answers(cluster, at)); i++)
        usleep(20000);
    if (!is) {
        snprintf(command, sizeof(command), "tail -n 5 %s/m%d.log >&2", cluster->folder, at);
        ck_abort_msg("etcd does not come (%d)",
                     system(command)); /* its folder goes with the test */
    }
}

static inline void etcd_cluster_wait(const struct etcd_cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++)
        etcd_member_wait(cluster, i);
}

static inline void etcd_cluster_end(struct etcd_cluster *cluster)
{
    char command[512];

    for (int i = 0; i < cluster->count; i++)
        etcd_member_kill(cluster, i);
    close(cluster->alive);
    snprintf(command, sizeof(command), "rm -rf %s", cluster->folder);
    ck_assert_int_eq(system(command), 0);
}

#endif
