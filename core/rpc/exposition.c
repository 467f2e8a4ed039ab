/* Writing metrics. See exposition.h. */
#include "rpc/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/process_memory.h"
#include "base/version.h"
#include "rpc/exposition_registry.h"
#include "rpc/exposition_text.h"
#include "rpc/metric.h"
#include "rpc/offload.h"
#include "rpc/overview.h"

/* Durations: the powers of two from 16 us to 69 s, in nanoseconds. */
#define BOUND_FIRST_LOG 14u
#define BOUND_LAST_LOG  36u

/* ---- The server as a whole ---- */

static void write_server(const struct board *board, struct text *out)
{
    family(out, "build_info", "gauge", "The version that runs; always 1.");
    text_printf(out, "pillion_build_info{version=\"%s\"} 1\n", PILLION_VERSION);
    one(out, "start_time_seconds", "gauge", "When the server was started, in Unix time.",
        board->started_at_ms / 1000);
    one(out, "config_generation", "gauge", "The configuration in use, counted from 1.",
        atomic_load(&board->generation));
    family(out, "reloads_total", "counter", "Reloads by their result.");
    text_append_string(out, "pillion_reloads_total{result=\"ok\"}");
    count(out, counter_read(&board->reloads));
    text_append_string(out, "pillion_reloads_total{result=\"failed\"}");
    count(out, counter_read(&board->reloads_failed));
    one(out, "last_reload_success", "gauge", "1 unless the last reload has failed.",
        !atomic_load(&board->reload_failed));
    one(out, "last_reload_timestamp_seconds", "gauge",
        "When the last reload ended, or the start, in Unix time.",
        (uint64_t)atomic_load(&board->reloaded_at));
    family(out, "certificate_expiry_timestamp_seconds", "gauge",
           "When the first certificate of TLS that is in use expires, in Unix time.");
    int64_t expires = atomic_load(&board->certificate_expires);
    if (expires > 0)
        text_printf(out, "pillion_certificate_expiry_timestamp_seconds %lld\n", (long long)expires);
    one(out, "worker_crashes_total", "counter", "Workers that died.",
        counter_read(&board->crashes));
    one(out, "worker_hangs_total", "counter", "Workers ended because a handler took too long.",
        counter_read(&board->hangs));
    one(out, "vault_restarts_total", "counter", "Vaults that died and were replaced.",
        counter_read(&board->vault_restarts));
    one(out, "gate_restarts_total", "counter",
        "Gates that died, with their clients' connections, and were replaced.",
        counter_read(&board->gate_restarts));
    one(out, "handovers", "gauge", "Workers whose connections are not all taken over yet.",
        board->handovers);
    one(out, "log_lines_lost_total", "counter", "Lines of the log that could not be written.",
        counter_read(&board->log_lost) + board_sum(board, COUNT_LOG_LOST));
}

/* ---- Connections ---- */

static const struct {
    enum worker_counter counter;
    const char *name, *help;
} counters[] = {
    {COUNT_ACCEPTED, "connections_accepted_total", "Connections accepted."},
    {COUNT_CLOSED, "connections_closed_total", "Connections closed, by either side."},
    {COUNT_ADOPTED, "connections_adopted_total", "Connections taken over from another worker."},
    {COUNT_INVALID, "connection_records_invalid_total",
     "Connections closed because their record was damaged."},
    {COUNT_BYTES_IN, "received_bytes_total", "Bytes read from clients."},
    {COUNT_BYTES_OUT, "sent_bytes_total", "Bytes written to clients."},
    {COUNT_FRAMES, "messages_total", "Messages handled, refused ones among them."},
    {COUNT_REFUSED, "messages_refused_total",
     "Messages answered with an error before any handler ran."},
    {COUNT_GUILTY, "requests_guilty_total", "Requests that a worker has died of."},
    {COUNT_ORPHANED, "requests_orphaned_total",
     "Requests answered for a worker that died of another one."},
    {COUNT_RETRIED, "requests_retried_total",
     "Requests of idempotent methods that were run once more after a crash."},
    {COUNT_QUARANTINED, "requests_quarantined_total", "Requests for methods out of service."},
    {COUNT_DEFERRED, "requests_deferred_total", "Requests that their handlers deferred."},
    {COUNT_TIMEOUTS, "requests_timed_out_total", "Deferred requests that were not answered."},
    {COUNT_CANCELLED, "requests_cancelled_total", "Deferred requests whose clients have gone."},
    {COUNT_SLOW, "requests_slow_total", "Requests that took as long as their slow_threshold."},
    {COUNT_PAUSED_OUTPUT, "pauses_output_total", "Times a client was paused that did not read."},
    {COUNT_PAUSED_ARENA, "pauses_arena_total", "Times a client was paused for want of memory."},
    {COUNT_PAUSED_ACCEPT, "pauses_accept_total",
     "Times accepting was paused for want of room for another connection."},
};
static_assert(sizeof(counters) / sizeof(*counters) == COUNT_ENDED - 3,
              "all but the two below, and the lost lines above, are there");

static void write_ended(const struct board *board, struct text *out)
{
    family(out, "connections_ended_total", "counter",
           "Connections that the server has refused or ended, by the directive that says so.");
    for (unsigned c = COUNT_ENDED; c < WORKER_COUNTERS; c++) {
        enum worker_counter which = (enum worker_counter)c;
        text_printf(out, "pillion_connections_ended_total{reason=\"%s\"}",
                    worker_counter_name(which));
        count(out, overview_ended(board, which));
    }
    text_append_string(out, "pillion_connections_ended_total{reason=\"ssl_handshakes\"}");
    count(out, board_sum_tls(board, TLS_REFUSED_HANDSHAKES));
}

static void write_connections(const struct board *board, struct text *out)
{
    uint64_t accepted = board_sum(board, COUNT_ACCEPTED), closed = board_sum(board, COUNT_CLOSED);
    const struct holdings sum = overview_holdings(board);

    one(out, "connections", "gauge", "Connections that are open.",
        accepted > closed ? accepted - closed : 0);
    for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
        one(out, counters[i].name, "counter", counters[i].help,
            board_sum(board, counters[i].counter));
    write_ended(board, out);
    family(out, "adoptions_corrected_total", "counter",
           "Adoptions whose count of bytes was corrected from the kernel's.");
    text_append_string(out, "pillion_adoptions_corrected_total{direction=\"in\"}");
    count(out, board_sum(board, COUNT_CORRECTED_IN));
    text_append_string(out, "pillion_adoptions_corrected_total{direction=\"out\"}");
    count(out, board_sum(board, COUNT_CORRECTED_OUT));
    one(out, "vaults", "gauge", "Vault processes.", board->vault_count);
    one(out, "vault_room", "gauge", "Connections that all vaults together can hold.",
        (uint64_t)board->vault_count * board->vault_room);
    one(out, "vault_connections", "gauge", "Connections that the vaults hold.", sum.held);
    one(out, "vault_refused_total", "counter", "Connections that no vault had room for.",
        sum.refused);
    one(out, "connections_unheld", "gauge", "Connections that no vault holds now.", sum.unheld);
}

/* ---- TLS ---- */

static void write_handshakes(const struct board *board, struct text *out)
{
    family(out, "tls_handshakes_total", "counter",
           "Handshakes of TLS that were done, by version, and whether with a ticket.");
    for (unsigned v = 0; v < TLS_VERSIONS; v++) {
        uint64_t resumed = board_sum_tls(board, TLS_RESUMED + v);
        const char *version = tls_version_name(v);
        text_printf(out, "pillion_tls_handshakes_total{version=\"%s\",resumed=\"no\"}", version);
        count(out, board_sum_tls(board, TLS_MET + v) - resumed);
        text_printf(out, "pillion_tls_handshakes_total{version=\"%s\",resumed=\"yes\"}", version);
        count(out, resumed);
    }
    family(out, "tls_handshakes_failed_total", "counter", "Handshakes of TLS that failed.");
    for (unsigned c = TLS_FAILED; c < TLS_FAILED_END; c++) {
        text_printf(out, "pillion_tls_handshakes_failed_total{reason=\"%s\"}",
                    tls_counter_name((enum tls_counter)c));
        count(out, board_sum_tls(board, (enum tls_counter)c));
    }
}

static void write_tls(const struct board *board, struct text *out)
{
    one(out, "gates", "gauge", "Processes that end TLS.", board_gates(board));
    one(out, "gates_leaving", "gauge",
        "Gates of former certificates or binaries, whose clients have not gone.",
        board_gates_leaving(board));
    write_handshakes(board, out);
    one(out, "tls_handshakes_pending", "gauge", "Handshakes of TLS that are under way.",
        overview_handshakes(board));
    family(out, "tls_connections", "gauge", "Connections of TLS that are open.");
    for (unsigned v = 0; v < TLS_VERSIONS; v++) {
        text_printf(out, "pillion_tls_connections{version=\"%s\"}", tls_version_name(v));
        count(out, overview_tls_open(board, v));
    }
}

/* ---- Workers ---- */

/* What is shown of the workers of a slot: two of them while one follows the other. */
struct slot {
    uint64_t connections, resident, own, cpu_ns, lag_ns;
    bool used;
};

static void slots_read(const struct board *board, struct slot slots[WORKER_PROCESSES_MAX])
{
    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_head *head = &board->heads[i];
        struct process_memory memory = {0};
        if (atomic_load(&head->state) == ROW_FREE || head->slot >= WORKER_PROCESSES_MAX)
            continue;
        struct slot *slot = &slots[head->slot];
        uint64_t lag_ns = counter_read(&head->lag_ns);
        slot->used = true;
        slot->connections += atomic_load_explicit(&board->rows[i].open, memory_order_relaxed);
        slot->cpu_ns += process_cpu_ns(head->pid);
        slot->lag_ns = lag_ns > slot->lag_ns ? lag_ns : slot->lag_ns;
        if (process_memory(head->pid, &memory)) {
            slot->resident += memory.resident;
            slot->own += memory.own;
        }
    }
}

static void write_slots(const struct slot *slots, struct text *out, const char *name,
                        const char *help, size_t member, double unit)
{
    family(out, name, "gauge", help);
    for (uint32_t i = 0; i < WORKER_PROCESSES_MAX; i++) {
        uint64_t value;
        if (!slots[i].used)
            continue;
        memcpy(&value, (const char *)&slots[i] + member, sizeof(value));
        text_printf(out, "pillion_%s{worker=\"%u\"} %.9g\n", name, i, (double)value / unit);
    }
}

static void write_workers(const struct board *board, struct text *out)
{
    struct slot slots[WORKER_PROCESSES_MAX] = {0};
    uint32_t states[ROW_LEAVING + 1] = {0};

    for (uint32_t i = 0; i < board->row_high; i++) {
        uint32_t state = atomic_load(&board->heads[i].state);
        states[state <= ROW_LEAVING ? state : ROW_FREE]++;
    }
    family(out, "workers", "gauge", "Worker processes by their state.");
    for (uint32_t s = ROW_STARTING; s <= ROW_LEAVING; s++)
        text_printf(out, "pillion_workers{state=\"%s\"} %u\n", overview_state(s), states[s]);
    slots_read(board, slots);
    write_slots(slots, out, "worker_connections", "Connections of a worker.",
                offsetof(struct slot, connections), 1);
    write_slots(slots, out, "worker_resident_memory_bytes",
                "Memory of a worker in RAM, with what it shares.", offsetof(struct slot, resident),
                1);
    write_slots(slots, out, "worker_private_memory_bytes", "Memory of a worker's own in RAM.",
                offsetof(struct slot, own), 1);
    write_slots(slots, out, "worker_cpu_seconds",
                "Processor time of the workers that run now in this slot; begins again with "
                "another worker.",
                offsetof(struct slot, cpu_ns), 1e9);
    write_slots(slots, out, "worker_loop_lag_seconds",
                "How long a worker's event loop took to answer the master's last question.",
                offsetof(struct slot, lag_ns), 1e9);
}

/* ---- Pools of threads ---- */

/* Of the workers' own pools, whose label is empty, and of the named ones: "pool:slow busy". */
static void write_pool(const struct board *board, struct text *out, const char *name,
                       const char *shown, const char *help, uint64_t of_workers)
{
    static const char prefix[] = OFFLOAD_METRIC;

    family(out, name, "gauge", help);
    text_printf(out, "pillion_%s{pool=\"\"}", name);
    count(out, of_workers);
    for (uint32_t i = 0; i < board_metrics_known(board); i++) {
        char pool[BOARD_NAME_MAX];
        if (strncmp(board->metric_names[i], prefix, sizeof(prefix) - 1) != 0)
            continue;
        snprintf(pool, sizeof(pool), "%.*s", BOARD_NAME_MAX - (int)sizeof(prefix),
                 board->metric_names[i] + sizeof(prefix) - 1);
        char *space = strchr(pool, ' ');
        if (space == NULL || strcmp(space + 1, shown) != 0)
            continue;
        *space = '\0';
        text_printf(out, "pillion_%s{pool=\"", name);
        label(out, pool);
        text_printf(out, "\"} %lld\n", (long long)board_sum_metric(board, i));
    }
}

static void write_pools(const struct board *board, struct text *out)
{
    const struct pools own = overview_pools(board);

    write_pool(board, out, "pool_threads_busy", "busy", "Threads at work.", own.busy);
    write_pool(board, out, "pool_queued", "queued", "Work that waits for a thread.", own.queued);
    write_pool(board, out, "pool_threads_stuck", "stuck", "Threads that do not come back.",
               own.stuck);
}

/* ---- Methods ---- */

static void sample(struct text *out, const char *name, const struct board *board, uint32_t method)
{
    text_printf(out, "pillion_%s{server=\"", name);
    label(out, board->servers[method]);
    text_append_string(out, "\",method=\"");
    label(out, board->names[method]);
    text_append_string(out, "\"");
}

/* Prometheus sees no increase in a number that was not there before: errors that alerts are about
 * are there from the start. */
static bool is_always_shown(const char *code)
{
    return strcmp(code, ERROR_MODULE_CRASHED) == 0 || strcmp(code, ERROR_TIMEOUT) == 0;
}

/* Calls that were answered well are those that no error has. */
static void write_requests(const struct board *board, struct text *out)
{
    size_t codes_count;
    const struct error_code *codes = error_codes(&codes_count);

    family(out, "requests_total", "counter", "Requests by server, method and outcome.");
    for (uint32_t m = 0; m < board_methods_known(board); m++) {
        struct method_counters sum;
        board_sum_method(board, m, &sum);
        uint64_t calls = counter_read(&sum.calls), failed = method_failures(&sum);
        sample(out, "requests_total", board, m);
        text_append_string(out, ",code=\"ok\"}");
        count(out, calls > failed ? calls - failed : 0);
        for (size_t e = 0; e < codes_count; e++) {
            uint64_t times = counter_read(&sum.failures[e]);
            if (times == 0 && !is_always_shown(codes[e].name))
                continue;
            sample(out, "requests_total", board, m);
            text_printf(out, ",code=\"%s\"}", codes[e].name[0] == '\0' ? "other" : codes[e].name);
            count(out, times);
        }
    }
}

static void write_duration(const struct board *board, struct text *out, uint32_t method,
                           const struct method_counters *sum)
{
    uint64_t below = 0, all = overview_calls(sum);
    uint32_t b = 0;

    for (uint32_t log = BOUND_FIRST_LOG; log <= BOUND_LAST_LOG; log++) {
        for (; b < LATENCY_BUCKETS && latency_limit(b) < 1ull << log; b++)
            below += counter_read(&sum->latency[b]);
        sample(out, "request_duration_seconds_bucket", board, method);
        text_printf(out, ",le=\"%.9g\"}", (double)(1ull << log) / 1e9);
        count(out, below);
    }
    sample(out, "request_duration_seconds_bucket", board, method);
    text_append_string(out, ",le=\"+Inf\"}");
    count(out, all);
    sample(out, "request_duration_seconds_sum", board, method);
    text_printf(out, "} %.9g\n", (double)counter_read(&sum->total_ns) / 1e9);
    sample(out, "request_duration_seconds_count", board, method);
    text_append_string(out, "}");
    count(out, all);
}

static void write_methods(const struct board *board, struct text *out)
{
    write_requests(board, out);
    family(out, "request_duration_seconds", "histogram",
           "Time from a request's first filter to its reply, of those that a handler took.");
    for (uint32_t m = 0; m < board_methods_known(board); m++) {
        struct method_counters sum;
        board_sum_method(board, m, &sum);
        write_duration(board, out, m, &sum);
    }
    family(out, "requests_in_flight", "gauge", "Requests that run or wait.");
    for (uint32_t m = 0; m < board_methods_known(board); m++) {
        sample(out, "requests_in_flight", board, m);
        text_append_string(out, "}");
        count(out, overview_in_flight(board, m));
    }
    family(out, "method_quarantined", "gauge", "1 while a method is out of service.");
    for (uint32_t m = 0; m < board_methods_known(board); m++) {
        sample(out, "method_quarantined", board, m);
        text_append_string(out, "}");
        count(out, atomic_load(&board->quarantined[m]) != QUARANTINED_NOT);
    }
}

/* ---- Modules ---- */

/* Writes the samples of the server's own metric `suffix`, such as " memory_bytes", of all
 * modules. */
static void write_modules(const struct board *board, struct text *out, const char *name,
                          const char *suffix, const char *help)
{
    family(out, name, "gauge", help);
    for (uint32_t i = 0; i < board_metrics_known(board); i++) {
        char module[BOARD_NAME_MAX];
        snprintf(module, sizeof(module), "%s", board->metric_names[i]);
        char *space = strchr(module, ' ');
        if (space == NULL || strcmp(space + 1, suffix) != 0 || strchr(module, '.') != NULL)
            continue;
        *space = '\0';
        text_printf(out, "pillion_%s{module=\"", name);
        label(out, module);
        text_printf(out, "\"} %lld\n", (long long)board_sum_metric(board, i));
    }
}

/* The name of a metric of a module's own: "redis.commands" is module_redis_commands. Characters
 * that a name cannot have there become underscores. */
static void own_name(struct bytes full, char name[BOARD_NAME_MAX + 16])
{
    snprintf(name, BOARD_NAME_MAX + 16, "module_%.*s", (int)full.size, full.data);
    for (char *c = name; *c != '\0'; c++) {
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '_';
    }
}

static void write_histogram(const struct board *board, struct text *out, struct bytes full)
{
    char name[BOARD_NAME_MAX + 16];
    struct histogram_view view;
    uint64_t below = 0;

    own_name(full, name);
    overview_histogram(board, full, &view);
    family(out, name, "histogram", "A metric of the module.");
    for (uint32_t i = 0; i < view.used && isfinite(view.buckets[i].bound); i++) {
        char bound[METRIC_BOUND_SIZE];
        below += (uint64_t)view.buckets[i].count;
        metric_bound(bound, view.buckets[i].bound);
        text_printf(out, "pillion_%s_bucket{le=\"%s\"}", name, bound);
        count(out, below);
    }
    text_printf(out, "pillion_%s_bucket{le=\"+Inf\"}", name);
    count(out, view.count);
    text_printf(out, "pillion_%s_sum %.17g\npillion_%s_count", name, view.sum, name);
    count(out, view.count);
}

static void write_own(const struct board *board, struct text *out, uint32_t index)
{
    struct bytes full = bytes_of(board->metric_names[index]);
    bool gauge = board->metric_kind[index] == BOARD_GAUGE;
    char name[BOARD_NAME_MAX + 16];

    own_name(full, name);
    size_t size = strlen(name);
    bool total = size > 6 && strcmp(name + size - 6, "_total") == 0;
    snprintf(name + size, sizeof(name) - size, "%s", gauge || total ? "" : "_total");
    family(out, name, gauge ? "gauge" : "counter", "A metric of the module.");
    text_printf(out, "pillion_%s %lld\n", name, (long long)board_sum_metric(board, index));
}

/* The metrics that modules have declared. A histogram is many in the board: its sum, which comes
 * once, stands for it. */
static void write_all_own(const struct board *board, struct text *out)
{
    for (uint32_t i = 0; i < board_metrics_known(board); i++) {
        const char *full = board->metric_names[i];
        const struct bytes histogram = metric_histogram_name(full);
        if (strcspn(full, ".") > strcspn(full, " "))
            continue;
        if (histogram.data == NULL)
            write_own(board, out, i);
        else if (board->metric_kind[i] == BOARD_SUM)
            write_histogram(board, out, histogram);
    }
}

void exposition_write(const struct board *board, struct text *out)
{
    write_server(board, out);
    write_connections(board, out);
    write_tls(board, out);
    exposition_write_registry(board, out);
    write_workers(board, out);
    write_pools(board, out);
    write_methods(board, out);
    write_modules(board, out, "module_memory_bytes", "memory_bytes",
                  "Memory that a module has by pillion_malloc.");
    write_modules(board, out, "module_cjson_bytes", "cjson_bytes",
                  "Memory in cJSON trees that a module has not deleted.");
    write_modules(board, out, "module_requests_waiting", "waiting",
                  "Requests that a module has deferred.");
    write_modules(board, out, "module_timers", "timers", "Timers that a module has set.");
    write_modules(board, out, "module_descriptors", "watched",
                  "Descriptors that a module watches.");
    write_all_own(board, out);
}
