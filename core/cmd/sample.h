/* What a server has counted, at one moment and between two of them: for `pillion status` and
 * `pillion top`, from the object that rpc.stats gives. */
#ifndef PILLION_CMD_SAMPLE_H
#define PILLION_CMD_SAMPLE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/board.h"
#include "wire/error_code.h"

#define SAMPLE_STATE_MAX 16u

/* A worker process. The rates are of the time since the sample before; 0 without one. */
struct sample_worker {
    double slot, pid, generation, age_s, state_s, connections, cpu_s, lag_us, private_bytes,
        messages;
    char state[SAMPLE_STATE_MAX];
    double rate; /* messages a second */
    double cpu;  /* processors: 0.5 is half of one */
};

/* Calls of the time since the sample before, or since the server's start. */
struct sample_calls {
    double rate, error_rate;              /* a second; 0 without a sample before */
    double errors[ERROR_CODES_MAX];       /* by error_code_index, a second */
    double buckets[LATENCY_BUCKETS], all; /* calls by their time, as on the board */
    double p50_us, p99_us;                /* upper limits; 0 without calls */
};

struct sample_method {
    char *name;
    double calls, errors, in_flight;
    double by_code[ERROR_CODES_MAX];
    double buckets[LATENCY_BUCKETS];
    double p50_us, p99_us; /* since the server's start, as rpc.stats has them */
    bool quarantined;
    struct sample_calls lately;
};

/* How the server stands with its registry. */
struct sample_registry {
    bool shown;      /* there is one, or a service is wanted */
    bool configured; /* there is one */
    bool connected;
    double away_s, addresses, registered, services, servers; /* servers of all services */
};

struct sample {
    uint64_t at_ns;    /* clock_ns() when it was taken */
    double interval_s; /* since the sample before; 0: there was none */
    double generation, uptime_s, started_at_ms, reloads, reloads_failed, crashes, hangs;
    bool reload_failed; /* the last one */
    double open, unheld, accepted, adopted, bytes_in, bytes_out;
    struct sample_registry registry;
    double gates, tls_open, handshakes, resumed, handshakes_failed, handshaking; /* of TLS */
    double handshake_rate, handshake_failed_rate; /* a second; 0 without a sample before */
    struct sample_worker *workers;
    size_t worker_count;
    struct sample_method *methods;
    size_t method_count;
    struct sample_calls lately; /* of all methods */
};

/* The sample in `stats`, taken at `at_ns`. Free it with sample_free. */
struct sample *sample_new(const cJSON *stats, uint64_t at_ns);
void sample_free(struct sample *sample);

/* The server ends TLS, or has: that all its gates have died is to be seen. */
bool sample_has_tls(const struct sample *sample);

/* Sets what has happened since `before`, unless the server was started in between. A counter that
 * has gone down has begun anew, as those of a module do: what it has counted since then is taken.
 */
void sample_compare(struct sample *sample, const struct sample *before);

#endif
