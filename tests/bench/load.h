/* The bare client's parts: load.c is its loops, load_lane.c its connections, load_plan.c its
 * command line and its outcome, load_tls.c its TLS. Knows nothing of Pillion. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEADER 4u

/* What stands around a request and a reply. */
enum wrap { FRAME, LINE, HTTP, RAW };

/* The command line. */
struct plan {
    uint16_t port;
    unsigned connections, in_flight;
    enum wrap wrap;
    const char *path, *fields; /* of HTTP's requests: the target, and further header lines */
    bool reconnects;
    double rate; /* requests a second, sent when they are due; 0: a closed loop */
    char *batch; /* the same request `in_flight` times */
    size_t batch_size, request_size;
    size_t reply_size; /* of one reply, with what stands around it */
    char *reply;       /* the first one, unless it is a frame */
    uint64_t measured_ns, warm_up_ns;
    char *cpu_of; /* process ids, or NULL */
    bool tls;
    enum {
        HANDSHAKES_NONE,
        HANDSHAKES_WHOLE,
        HANDSHAKES_RESUMED
    } handshakes; /* and nothing else */
};

/* Latencies: 16 buckets for each power of two of nanoseconds. */
#define LATENCY_STEPS   16u
#define LATENCY_BUCKETS (64u * LATENCY_STEPS)

struct result {
    uint64_t requests, elapsed_ns, server_cpu_ns, latencies;
    uint32_t latency[LATENCY_BUCKETS];
};

/* One connection: its requests and replies since it was opened. */
struct lane {
    int fd;
    void *tls; /* NULL without */
    bool waits_to_send;
    uint64_t asked;       /* requests that are sent or to be sent */
    uint64_t sent;        /* bytes of them */
    uint64_t replies;     /* whole ones */
    unsigned header_size; /* bytes of the next reply's header that are there */
    unsigned char header[FRAME_HEADER];
    size_t missing; /* frames: missing bytes of a reply; others: received ones */
    uint64_t began_ns;
};

extern struct plan plan;
extern int epoll;

/* Ends the program with a message, and errno's reason. */
void load_fail(const char *what) __attribute__((noreturn));

/* Reads the command line and builds the batch. Ends the program when the command line is wrong. */
void plan_read(int argc, char **argv);

/* The CPU time of all threads of "PID,PID...", in nanoseconds (proc(5), schedstat). 0 for NULL. */
uint64_t cpu_of(const char *pids);

void latency_add(struct result *result, uint64_t ns);
void result_print(const struct result *result);

uint64_t clock_ns(void);

/* Sends one request before all others: learns how a reply looks, and fails on an error. */
void first_call(void);

/* A connection. */
int lane_connect(void);

/* Does the handshake on a blocking socket, which becomes non-blocking; NULL without TLS. */
void *tls_on(int fd);
void tls_off(void *tls);

/* As send(2) and recv(2), without waiting. */
ssize_t tls_send(void *tls, int fd, const void *data, size_t size);
ssize_t tls_recv(void *tls, int fd, void *data, size_t size);

/* Does handshakes in the place of requests. */
void handshakes_run(struct result *result);

/* Connects, and watches for replies. */
void lane_open(struct lane *lane);

/* Adds `count` requests, and sends as many as the socket takes. */
void lane_ask(struct lane *lane, uint64_t count);

/* Receives once. Ends the program when the server has closed the connection, or has sent more
 * replies than there were requests. */
void lane_receive(struct lane *lane);

#endif
