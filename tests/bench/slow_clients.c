/* Clients that are not friends, beside one that is: how long the friend's requests take, at a
 * server that has the others, and at its twin, which has none.
 *
 *     slow_clients PILLION PING.SO [CLIENTS [SECONDS]]
 *
 * Two servers are started with the limits of their defaults. CLIENTS connections come to the first,
 * from addresses of 127.0.0.0/8, in equal parts: clients that ask for replies of 1 KB, 20 KB and
 * 200 KB and never read; that send half of a large message and then a byte each half second; that
 * send a small one by drops. A client that is ended comes again ten to thirty seconds later. The
 * friend asks for echoes of each size, one after the other, over a few connections. Exits with 1
 * when p99 beside the others is more than TOLERATED times that at the twin, and GRAIN_US more.
 *
 * The machine is the same for both: short rounds at the one and the other take turns, and the
 * median round counts. The others would be elsewhere, so they have the processor time that nobody
 * else wants (SCHED_IDLE). */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOLERATED   2.0
#define GRAIN_US    100.0 /* a few turns of a worker's loop */
#define FRIENDS     4u    /* connections of the friend to each server */
#define ADDRESSES   200u  /* of the others */
#define DRIP_NS     500000000ull
#define AGAIN_NS    10000000000ull
#define SPREAD      4096u /* ended clients come again within two AGAIN_NS, not together */
#define STORM_MAX_S 120
#define CALM_S      10.0 /* after the last of them has come */
#define SAMPLES_MAX 1000000u
#define ROUNDS      9u /* of each size at each server; odd */

static const size_t sizes[] = {100, 1000, 20000, 200000};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static struct side {
    char folder[32];
    struct sockaddr_in address;
    pid_t pid;
    int fds[FRIENDS]; /* of the friend */
} twin, server;

/* Of the process with the others, for the one with the friend. */
static struct {
    _Atomic unsigned begun, connected, blocked, ended;
} * shared;

static uint64_t now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- Messages ---- */

/* A request for an echo whose frame has about `size` bytes. */
static char *message(size_t size, size_t *all)
{
    static const char head[] = "{\"in\":\"ping\",\"params\":\"";
    size_t text = size > sizeof(head) + 8 ? size - sizeof(head) - 8 : 1, at = 4;
    char *frame = malloc(size + 64);

    if (frame == NULL)
        fail("malloc");
    memcpy(frame + at, head, sizeof(head) - 1);
    at += sizeof(head) - 1;
    memset(frame + at, 'x', text);
    at += text;
    memcpy(frame + at, "\"}", 2);
    at += 2;
    uint32_t length = (uint32_t)(at - 4);
    memcpy(frame, &length, 4);
    *all = at;
    return frame;
}

/* ---- The others ---- */

enum manner { READS_NEVER_1K, READS_NEVER_20K, READS_NEVER_200K, SENDS_HALF, SENDS_DROPS, MANNERS };

struct other {
    int fd; /* -1: it was ended, and comes again at `next_ns` */
    enum manner manner;
    size_t sent; /* bytes of the message */
    uint64_t next_ns;
    bool counted; /* as blocked */
};

static char *messages[MANNERS];
static size_t message_sizes[MANNERS];

static void other_connect(struct other *other, unsigned number, int epoll)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    const int small = 4096, few = 32768, on = 1;

    own.sin_addr.s_addr = htonl(0x7f000000u | (2 + number % ADDRESSES));
    other->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (other->fd < 0)
        fail("socket");
    setsockopt(other->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    /* On loopback their memory is the same machine's. */
    setsockopt(other->fd, SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
    setsockopt(other->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(other->fd, (struct sockaddr *)&own, sizeof(own)) < 0)
        fail("bind");
    if (connect(other->fd, (struct sockaddr *)&server.address, sizeof(server.address)) < 0 &&
        errno != EINPROGRESS)
        fail("connect");
    struct epoll_event event = {.events = EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = number};
    epoll_ctl(epoll, EPOLL_CTL_ADD, other->fd, &event);
    other->sent = 0;
    shared->connected++;
}

static void other_ended(struct other *other)
{
    close(other->fd);
    other->fd = -1;
    other->next_ns = now_ns() + AGAIN_NS + AGAIN_NS * 2 / SPREAD * ((unsigned)rand() % SPREAD);
    shared->ended++;
    shared->connected--;
}

/* Sends as much as its manner says and the socket takes. */
static void other_send(struct other *other)
{
    size_t all = message_sizes[other->manner];
    size_t until = other->manner == SENDS_HALF ? all / 2 : all;

    if (other->manner == SENDS_DROPS)
        return;
    for (unsigned rounds = 0; rounds < 64; rounds++) {
        if (other->sent == until && other->manner != SENDS_HALF)
            other->sent = 0; /* the next request */
        if (other->sent >= until)
            return;
        ssize_t put = send(other->fd, messages[other->manner] + other->sent, until - other->sent,
                           MSG_NOSIGNAL);
        if (put < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
            shared->blocked += !other->counted;
            other->counted = true;
            return;
        }
        if (put < 0) {
            other_ended(other);
            return;
        }
        other->sent += (size_t)put;
    }
}

static void other_drip(struct other *other, unsigned number, int epoll, uint64_t now)
{
    if (now < other->next_ns)
        return;
    other->next_ns = now + DRIP_NS;
    if (other->fd < 0) {
        other_connect(other, number, epoll);
        return;
    }
    if (other->manner < SENDS_HALF)
        return;
    if (send(other->fd, messages[other->manner] + other->sent, 1, MSG_NOSIGNAL) == 1)
        other->sent++;
    else if (errno != EAGAIN && errno != ENOTCONN)
        other_ended(other);
}

static _Noreturn void run_others(unsigned count)
{
    static const size_t of[MANNERS] = {1000, 20000, 200000, 900000, 100};
    struct other *others = calloc(count, sizeof(*others));
    struct epoll_event events[256];
    int epoll = epoll_create1(0);
    unsigned at = 0, begun = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) < 0)
        fail("sched_setscheduler");
    for (unsigned m = 0; m < MANNERS; m++)
        messages[m] = message(of[m], &message_sizes[m]);
    for (;;) {
        for (unsigned i = 0; i < 32 && begun < count; i++, begun++) {
            others[begun].manner = (enum manner)(begun % MANNERS);
            other_connect(&others[begun], begun, epoll);
            others[begun].next_ns = now_ns() + DRIP_NS;
        }
        shared->begun = begun;
        int ready = epoll_wait(epoll, events, 256, begun < count ? 0 : 2);
        for (int i = 0; i < ready; i++) {
            struct other *other = &others[events[i].data.u32];
            if (other->fd >= 0 && (events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)))
                other_ended(other);
            else if (other->fd >= 0)
                other_send(other);
        }
        uint64_t now = now_ns();
        for (unsigned i = 0; i < 64 && begun > 0; i++, at++)
            other_drip(&others[at % begun], at % begun, epoll, now);
    }
}

/* ---- The friend ---- */

static int friend_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (unsigned i = 0; connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0; i++) {
        if (i == 500)
            fail("connect");
        usleep(20000);
    }
    return fd;
}

static void friend_ask(int fd, const char *frame, size_t size, char *reply, size_t room)
{
    size_t got = 0, wanted = 4;

    for (size_t at = 0; at < size;) {
        ssize_t put = send(fd, frame + at, size - at, MSG_NOSIGNAL);
        if (put < 0)
            fail("the friend is disconnected");
        at += (size_t)put;
    }
    while (got < wanted) {
        ssize_t more = recv(fd, reply + got, room - got, 0);
        if (more <= 0)
            fail("the friend gets no answer");
        got += (size_t)more;
        if (got >= 4) {
            uint32_t length;
            memcpy(&length, reply, 4);
            wanted = 4 + (size_t)length;
        }
    }
    if (memmem(reply, got, "\"pong\"", 6) == NULL) {
        fprintf(stderr, "the friend got %.*s\n", got < 300 ? (int)got - 4 : 296, reply + 4);
        exit(2);
    }
}

struct measured {
    double p50_us, p99_us, most_us;
};

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static struct measured measure(const int *fds, size_t size, double seconds)
{
    static uint32_t samples[SAMPLES_MAX];
    static char reply[1 << 20];
    size_t all;
    char *frame = message(size, &all);
    uint64_t begin = now_ns(), until = begin + (uint64_t)(seconds * 1e9);
    unsigned count = 0;

    while (now_ns() < until && count < SAMPLES_MAX) {
        uint64_t start = now_ns();
        friend_ask(fds[count % FRIENDS], frame, all, reply, sizeof(reply));
        samples[count++] = (uint32_t)((now_ns() - start) / 100);
    }
    free(frame);
    qsort(samples, count, sizeof(*samples), compare);
    return (struct measured){.p50_us = samples[count / 2] / 10.0,
                             .p99_us = samples[(size_t)count * 99 / 100] / 10.0,
                             .most_us = samples[count - 1] / 10.0};
}

static int compare_p99(const void *a, const void *b)
{
    double x = ((const struct measured *)a)->p99_us, y = ((const struct measured *)b)->p99_us;
    return (x > y) - (x < y);
}

/* The round whose p99 is the median of all, with the longest request of any. */
static struct measured middle(struct measured rounds[ROUNDS])
{
    double most_us = 0;

    for (size_t i = 0; i < ROUNDS; i++)
        most_us = rounds[i].most_us > most_us ? rounds[i].most_us : most_us;
    qsort(rounds, ROUNDS, sizeof(*rounds), compare_p99);
    rounds[ROUNDS / 2].most_us = most_us;
    return rounds[ROUNDS / 2];
}

/* ---- The whole ---- */

static void side_start(struct side *side, const char *pillion, const char *module)
{
    char path[256], ping[PATH_MAX];
    struct sockaddr_in *at = &side->address;
    socklen_t size = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    strcpy(side->folder, "/tmp/slow_clients.XXXXXX");
    if (realpath(module, ping) == NULL || mkdtemp(side->folder) == NULL ||
        bind(fd, (struct sockaddr *)at, size) < 0 ||
        getsockname(fd, (struct sockaddr *)at, &size) < 0)
        fail("cannot prepare");
    close(fd);
    snprintf(path, sizeof(path), "%s/pillion.conf", side->folder);
    FILE *conf = fopen(path, "w");
    if (conf == NULL)
        fail(path);
    fprintf(conf,
            "worker_processes 2; error_log %s/log; pid %s/pid; control %s/control;\n"
            "load_module %s;\nserver { listen 127.0.0.1:%u; method ping; %s }\n",
            side->folder, side->folder, side->folder, ping, ntohs(at->sin_port),
            getenv("SLOW_CLIENTS_LIMITS") == NULL ? "" : getenv("SLOW_CLIENTS_LIMITS"));
    fclose(conf);
    side->pid = fork();
    if (side->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl(pillion, pillion, "-p", side->folder, "-c", path, (char *)NULL);
        _exit(127);
    }
    for (unsigned i = 0; i < FRIENDS; i++)
        side->fds[i] = friend_connect(at);
}

static void side_end(const struct side *side)
{
    char command[256];

    kill(side->pid, SIGTERM);
    waitpid(side->pid, NULL, 0);
    snprintf(command, sizeof(command), "%s %s/log >&2; rm -r %s",
             getenv("SLOW_CLIENTS_LOG") == NULL ? ":" : "tail -n 20", side->folder, side->folder);
    if (system(command) != 0)
        fail(side->folder);
}

/* The worst second while they come. False when some never did. */
static bool storm(unsigned clients)
{
    struct measured worst = {0};
    unsigned lasted = 0;

    for (; shared->begun < clients && lasted < STORM_MAX_S; lasted++) {
        struct measured second = measure(server.fds, sizes[0], 1);
        worst = second.p99_us > worst.p99_us ? second : worst;
    }
    printf("%u of %u clients came in %u s; the friend's requests of 100 B in the worst of them: "
           "p50 %.0f us, p99 %.0f us, most %.0f us\n",
           shared->begun, clients, lasted, worst.p50_us, worst.p99_us, worst.most_us);
    return shared->begun == clients;
}

/* False when the friend is worse off beside the others. */
static bool compare_sides(size_t size, double seconds)
{
    struct measured at_twin[ROUNDS], at_server[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        at_twin[i] = measure(twin.fds, size, seconds / ROUNDS);
        at_server[i] = measure(server.fds, size, seconds / ROUNDS);
    }
    struct measured alone = middle(at_twin), beside = middle(at_server);
    double ratio = beside.p99_us / alone.p99_us;
    bool good = ratio <= TOLERATED || beside.p99_us - alone.p99_us <= GRAIN_US;
    printf("%7zu B   %8.1f %8.1f us    %8.1f %8.1f us  %5.2f    %8.0f %8.0f us%s\n", size,
           alone.p50_us, beside.p50_us, alone.p99_us, beside.p99_us, ratio, alone.most_us,
           beside.most_us, good ? "" : "  the friend is worse off");
    fflush(stdout);
    return good;
}

int main(int count, char **words)
{
    struct rlimit limit;

    if (count < 3) {
        fprintf(stderr, "usage: slow_clients PILLION PING.SO [CLIENTS [SECONDS]]\n");
        return 2;
    }
    unsigned clients = count > 3 ? (unsigned)atoi(words[3]) : 6000;
    double seconds = count > 4 ? atof(words[4]) : 4;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    side_start(&twin, words[1], words[2]);
    side_start(&server, words[1], words[2]);
    pid_t others = fork();
    if (others == 0)
        run_others(clients);
    bool good = storm(clients);
    measure(server.fds, sizes[0], CALM_S);
    printf("%u clients are connected, %u were ended\n\n", shared->connected, shared->ended);
    printf("   size      p50 alone   beside      p99 alone   beside   ratio     most alone   "
           "beside\n");
    for (size_t i = 0; i < SIZES; i++)
        good &= compare_sides(sizes[i], seconds);
    printf("\n%u clients are connected, %u were ended in all\n", shared->connected, shared->ended);
    kill(others, SIGKILL);
    waitpid(others, NULL, 0);
    side_end(&twin);
    side_end(&server);
    return !good;
}
