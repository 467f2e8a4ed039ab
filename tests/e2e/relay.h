/* A TCP relay between a module and its server, in a process of its own. It can hold back the bytes
 * of new connections, close them, or silence all existing ones. It ends with the test. */
#ifndef PILLION_TESTS_RELAY_H
#define PILLION_TESTS_RELAY_H

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define RELAY_MOST 64 /* connections at a time */

enum relay_way { RELAY_PASSES, RELAY_HOLDS, RELAY_CLOSES };

struct relay {
    int port;          /* where it listens */
    int server;        /* the server's port */
    _Atomic int way;   /* for connections that are not passed on yet */
    atomic_uint muted; /* raising it silences all existing connections */
    atomic_uint held;  /* number of held connections that have sent bytes */
};

struct relay_pair {
    int client, server; /* `server` is -1 until it is passed on */
    unsigned muted;
    bool held;
};

static inline int relay_socket(int port, bool listens)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listens ? bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0
                : connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline bool relay_copy(int from, int to)
{
    char data[16384];
    ssize_t got = recv(from, data, sizeof(data), 0);

    return got > 0 && send(to, data, (size_t)got, MSG_NOSIGNAL) == got;
}

/* False when the pair has ended. */
static inline bool relay_serve(struct relay *relay, struct relay_pair *pair, bool said,
                               bool replied)
{
    if (pair->server >= 0)
        return (!said || relay_copy(pair->client, pair->server)) &&
               (!replied || relay_copy(pair->server, pair->client));
    if (!said)
        return true;
    if (relay->way == RELAY_CLOSES)
        return false;
    if (relay->way == RELAY_HOLDS) {
        relay->held += !pair->held;
        pair->held = true;
        return true;
    }
    pair->server = relay_socket(relay->server, false);
    return pair->server >= 0;
}

static inline void relay_run(struct relay *relay, int listening)
{
    struct relay_pair pairs[RELAY_MOST];
    size_t count = 0;

    for (;;) {
        struct pollfd polls[1 + 2 * RELAY_MOST] = {{.fd = listening, .events = POLLIN}};
        for (size_t i = 0; i < count; i++) {
            bool mute = pairs[i].muted != relay->muted;
            polls[1 + 2 * i] = (struct pollfd){.fd = mute || pairs[i].held ? -1 : pairs[i].client,
                                               .events = POLLIN};
            polls[2 + 2 * i] = (struct pollfd){.fd = mute ? -1 : pairs[i].server, .events = POLLIN};
        }
        poll(polls, 1 + 2 * count, 5);
        for (size_t i = count; i-- > 0;) {
            bool said = polls[1 + 2 * i].revents != 0 ||
                        (pairs[i].held && pairs[i].server < 0 && relay->way != RELAY_HOLDS);
            if (relay_serve(relay, &pairs[i], said, polls[2 + 2 * i].revents != 0)) {
                pairs[i].held = pairs[i].held && pairs[i].server < 0;
                continue;
            }
            close(pairs[i].client);
            if (pairs[i].server >= 0)
                close(pairs[i].server);
            pairs[i] = pairs[--count];
        }
        if (polls[0].revents != 0 && count < RELAY_MOST)
            pairs[count++] = (struct relay_pair){
                .client = accept(listening, NULL, NULL), .server = -1, .muted = relay->muted};
    }
}

/* A relay to the port `server` of 127.0.0.1. */
static inline struct relay *relay_start(int server)
{
    struct relay *relay =
        mmap(NULL, sizeof(*relay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(relay, MAP_FAILED);
    relay->port = free_port();
    relay->server = server;
    int listening = relay_socket(relay->port, true);
    ck_assert_int_ge(listening, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        relay_run(relay, listening);
    }
    close(listening);
    return relay;
}

#endif
