/* The bare client's parts: what it is asked to do, and what it found. load.c is the loop,
 * load_plan.c reads the command line and prints the outcome. Knows nothing of Pillion. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER 4u

struct plan {
    uint16_t port;
    unsigned connections, in_flight;
    bool framed, reconnects;
    char *batch; /* the same request `in_flight` times */
    size_t batch_size, request_size;
    size_t reply_size; /* of one reply, its header included */
    uint64_t measured_ns, warm_up_ns;
    char *cpu_of; /* process ids, or NULL */
};

/* Latencies of batches: 16 buckets for each power of two of nanoseconds. */
#define LATENCY_STEPS   16u
#define LATENCY_BUCKETS (64u * LATENCY_STEPS)

struct result {
    uint64_t requests, elapsed_ns, server_cpu_ns, batches;
    uint32_t latency[LATENCY_BUCKETS];
};

/* Ends the program with what went wrong, errno's reason included. */
void load_fail(const char *what) __attribute__((noreturn));

/* Reads the command line and builds the batch. Ends the program when it makes no sense. */
void plan_read(struct plan *plan, int argc, char **argv);

/* The CPU time of all threads of "PID,PID...", in nanoseconds (proc(5), schedstat). 0 for NULL. */
uint64_t cpu_of(const char *pids);

void latency_add(struct result *result, uint64_t ns);
void result_print(const struct result *result);

#endif
