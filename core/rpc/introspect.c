/* The server as a method can see it. See introspect.h. */
#include "rpc/introspect.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/process_memory.h"
#include "rpc/metric_shown.h"
#include "rpc/offload.h"
#include "rpc/overview.h"
#include "rpc/registry_view.h"

/* cJSON's numbers are doubles, exact up to 2^53; a counter is exact always. */
static void add_counter(cJSON *object, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    cJSON_AddRawToObject(object, name, text);
}

static cJSON *describe(const struct method *method)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", method->name.data);
    cJSON_AddStringToObject(item, "summary", method->summary);
    cJSON_AddStringToObject(item, "module", method->instance->name);
    return item;
}

cJSON *introspect_methods(const struct introspect *introspect)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < introspect->methods->count; i++)
        cJSON_AddItemToArray(list, describe(&introspect->methods->methods[i]));
    return list;
}

static void add_schema(cJSON *item, const char *name, const char *schema)
{
    cJSON *tree = schema == NULL ? NULL : cJSON_Parse(schema);
    if (tree != NULL)
        cJSON_AddItemToObject(item, name, tree);
    else
        cJSON_AddNullToObject(item, name);
}

cJSON *introspect_describe(const struct introspect *introspect, const char *name)
{
    const struct method *method = method_table_find(introspect->methods, bytes_of(name));

    if (method == NULL)
        return NULL;
    cJSON *item = describe(method);
    cJSON_AddStringToObject(item, "version", method->instance->version);
    if (method->title != NULL)
        cJSON_AddStringToObject(item, "title", method->title);
    cJSON_AddBoolToObject(item, "read_only", method->read_only);
    cJSON_AddBoolToObject(item, "additive", method->additive);
    cJSON_AddBoolToObject(item, "idempotent", method->idempotent);
    add_schema(item, "params", method->params_schema);
    add_schema(item, "result", method->result_schema);
    return item;
}

static void add_pool(cJSON *object, const struct pools *pools)
{
    cJSON *pool = cJSON_AddObjectToObject(object, "pool");

    add_counter(pool, "busy", pools->busy);
    add_counter(pool, "queued", pools->queued);
    add_counter(pool, "stuck", pools->stuck);
}

static cJSON *describe_vaults(const struct board *board, const struct holdings *sum)
{
    cJSON *vaults = cJSON_CreateObject();

    cJSON_AddNumberToObject(vaults, "processes", board->vault_count);
    add_counter(vaults, "room", (uint64_t)board->vault_count * board->vault_room);
    add_counter(vaults, "held", sum->held);
    add_counter(vaults, "refused", sum->refused);
    cJSON_AddNumberToObject(vaults, "unheld", sum->unheld);
    return vaults;
}

cJSON *introspect_health(const struct introspect *introspect)
{
    const struct board *board = introspect->board;
    cJSON *health = cJSON_CreateObject();
    uint64_t stuck = board == NULL ? 0 : overview_pools(board).stuck;

    cJSON_AddStringToObject(health, "status", stuck > 0 ? "degraded" : "ok");
    if (stuck > 0)
        add_counter(health, "stuck_threads", stuck);
    add_counter(health, "generation", introspect->generation);
    if (board != NULL) {
        struct holdings sum = overview_holdings(board);
        bool full = sum.crowded > 0 && sum.crowded >= overview_serving(board);
        if (sum.unheld > 0 || full)
            cJSON_SetValuestring(cJSON_GetObjectItemCaseSensitive(health, "status"),
                                 sum.unheld > 0 ? "unheld" : "full");
        cJSON_AddNumberToObject(health, "workers", board->workers);
        cJSON_AddNumberToObject(health, "serving", overview_serving(board));
        add_counter(health, "uptime_seconds", (clock_ns() - board->started_ns) / NS_PER_S);
        cJSON_AddItemToObject(health, "vaults", describe_vaults(board, &sum));
    }
    return health;
}

/* ---- Counters ---- */

static void add_workers(cJSON *stats, const struct board *board)
{
    cJSON *list = cJSON_AddArrayToObject(stats, "workers");

    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_head *head = &board->heads[i];
        uint32_t state = atomic_load_explicit(&head->state, memory_order_relaxed);
        if (state == ROW_FREE)
            continue;
        cJSON *worker = cJSON_CreateObject();
        cJSON_AddNumberToObject(worker, "slot", head->slot);
        cJSON_AddNumberToObject(worker, "pid", head->pid);
        add_counter(worker, "generation", head->generation);
        cJSON_AddStringToObject(worker, "state", overview_state(state));
        cJSON_AddNumberToObject(worker, "connections", board->rows[i].open);
        add_counter(worker, "age_seconds", (clock_ns() - head->since_ns) / NS_PER_S);
        add_counter(worker, "state_seconds",
                    (clock_ns() - counter_read(&head->state_since_ns)) / NS_PER_S);
        add_counter(worker, "messages", counter_read(&board->rows[i].counters[COUNT_FRAMES]));
        cJSON_AddNumberToObject(worker, "cpu_seconds", (double)process_cpu_ns(head->pid) / 1e9);
        cJSON_AddNumberToObject(worker, "lag_ms", (double)counter_read(&head->lag_ns) / 1e6);
        struct process_memory memory;
        if (process_memory(head->pid, &memory)) {
            add_counter(worker, "rss_bytes", memory.resident);
            add_counter(worker, "private_bytes", memory.own);
        }
        struct pools pool = {0};
        overview_pools_add(&pool, &board->rows[i]);
        add_pool(worker, &pool);
        cJSON_AddItemToArray(list, worker);
    }
}

/* The upper limit in microseconds of the bucket that holds the given part of all calls; with 1 that
 * of the longest. */
static double percentile(const struct method_counters *sum, uint64_t total, double part)
{
    uint64_t wanted = (uint64_t)((double)total * part), seen = 0;

    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        seen += counter_read(&sum->latency[b]);
        if (seen > wanted || (seen == total && seen > 0))
            return (double)latency_limit(b) / 1000.0;
    }
    return 0;
}

/* {"timeout": 2, …}: the errors by their codes; those of modules' own codes are one. */
static void add_failures(cJSON *item, const struct method_counters *sum)
{
    cJSON *failures = cJSON_AddObjectToObject(item, "errors_by_code");
    size_t count;
    const struct error_code *codes = error_codes(&count);

    for (size_t e = 0; e < count; e++) {
        uint64_t times = counter_read(&sum->failures[e]);
        if (times > 0)
            add_counter(failures, codes[e].name[0] == '\0' ? "other" : codes[e].name, times);
    }
}

static void add_method(cJSON *methods, const struct board *board, uint32_t index)
{
    struct method_counters sum;

    board_sum_name(board, index, &sum);
    uint64_t calls = counter_read(&sum.calls), total = overview_calls(&sum);
    cJSON *item = cJSON_AddObjectToObject(methods, board->names[index]);
    add_counter(item, "calls", calls);
    add_counter(item, "errors", method_failures(&sum));
    add_failures(item, &sum);
    uint64_t in_flight = 0;
    for (uint32_t i = index; i != BOARD_NO_METHOD; i = board_next_of_name(board, i))
        in_flight += overview_in_flight(board, i);
    add_counter(item, "in_flight", in_flight);
    cJSON *latency = cJSON_AddObjectToObject(item, "latency_us");
    cJSON_AddNumberToObject(
        latency, "mean",
        total == 0 ? 0 : (double)counter_read(&sum.total_ns) / (double)total / 1000.0);
    cJSON_AddNumberToObject(latency, "p50", percentile(&sum, total, 0.5));
    cJSON_AddNumberToObject(latency, "p90", percentile(&sum, total, 0.9));
    cJSON_AddNumberToObject(latency, "p99", percentile(&sum, total, 0.99));
    cJSON_AddNumberToObject(latency, "p999", percentile(&sum, total, 0.999));
    cJSON_AddNumberToObject(latency, "max", percentile(&sum, total, 1));
    cJSON *histogram = cJSON_AddArrayToObject(item, "histogram");
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        uint64_t count = counter_read(&sum.latency[b]);
        if (count == 0)
            continue;
        cJSON *pair = cJSON_CreateArray();
        cJSON_AddItemToArray(pair, cJSON_CreateNumber((double)latency_limit(b) / 1000.0));
        cJSON_AddItemToArray(pair, cJSON_CreateNumber((double)count));
        cJSON_AddItemToArray(histogram, pair);
    }
    if (atomic_load_explicit(&board->quarantined[index], memory_order_relaxed) != 0)
        cJSON_AddTrueToObject(item, "quarantined");
}

/* {"count": 7, "sum": 1.25, "buckets": [[0.5, 6], [null, 1]]} */
static void add_histogram(cJSON *own, const char *name, const struct board *board,
                          struct bytes full)
{
    struct histogram_view view;

    overview_histogram(board, full, &view);
    cJSON *histogram = cJSON_AddObjectToObject(own, name);
    add_counter(histogram, "count", view.count);
    cJSON_AddNumberToObject(histogram, "sum", view.sum);
    cJSON *list = cJSON_AddArrayToObject(histogram, "buckets");
    for (uint32_t i = 0; i < view.used; i++) {
        cJSON *pair = cJSON_CreateArray();
        cJSON_AddItemToArray(pair, cJSON_CreateNumber(view.buckets[i].bound)); /* infinite: null */
        cJSON_AddItemToArray(pair, cJSON_CreateNumber((double)view.buckets[i].count));
        cJSON_AddItemToArray(list, pair);
    }
}

static void add_metric(cJSON *object, const char *name, const struct board *board, uint32_t index)
{
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)board_sum_metric(board, index));
    cJSON_AddRawToObject(object, name, number);
}

/* The metric of the module's own with this name in the board, shown in the object `own`. */
static void add_own(cJSON *own, const struct board *board, uint32_t index, const char *full)
{
    struct bytes histogram = metric_histogram_name(full);
    char name[BOARD_NAME_MAX];

    snprintf(name, sizeof(name), "%.*s",
             (int)(histogram.data == NULL ? sizeof(name) - 1 : histogram.size), full);
    const char *last = strchr(name, '.') + 1;
    if (histogram.data == NULL)
        add_metric(own, last, board, index);
    else if (cJSON_GetObjectItemCaseSensitive(own, last) == NULL)
        add_histogram(own, last, board, histogram);
}

/* {"redis": {"memory_bytes": 0, …, "metrics": {"commands": 7}}, …} from names such as "redis
 * memory_bytes" and "redis.commands". */
static void add_modules(cJSON *stats, const struct board *board)
{
    cJSON *modules = cJSON_AddObjectToObject(stats, "modules");

    for (uint32_t i = 0; i < board_metrics_known(board); i++) {
        const char *full = board->metric_names[i];
        if (strncmp(full, OFFLOAD_METRIC, strlen(OFFLOAD_METRIC)) == 0)
            continue;
        size_t size = strcspn(full, " .");
        char module[BOARD_NAME_MAX];
        if (size == BOARD_NAME_MAX || full[size] == '\0')
            continue;
        snprintf(module, sizeof(module), "%.*s", (int)size, full);
        cJSON *object = cJSON_GetObjectItemCaseSensitive(modules, module);
        if (object == NULL)
            object = cJSON_AddObjectToObject(modules, module);
        if (full[size] == '.') {
            cJSON *own = cJSON_GetObjectItemCaseSensitive(object, "metrics");
            add_own(own != NULL ? own : cJSON_AddObjectToObject(object, "metrics"), board, i, full);
        } else {
            add_metric(object, full + size + 1, board, i);
        }
    }
}

/* {"slow": {"threads": 8, "busy": 2, …}, …}, of the named pools that workers have now. */
static void add_named_pools(cJSON *stats, const struct board *board)
{
    static const char prefix[] = OFFLOAD_METRIC;
    cJSON *pools = cJSON_AddObjectToObject(stats, "pools"), *pool;

    for (uint32_t i = 0; i < board_metrics_known(board); i++) {
        char name[BOARD_NAME_MAX];
        if (strncmp(board->metric_names[i], prefix, sizeof(prefix) - 1) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", BOARD_NAME_MAX - (int)sizeof(prefix),
                 board->metric_names[i] + sizeof(prefix) - 1);
        char *shown = strchr(name, ' ');
        if (shown == NULL)
            continue;
        *shown++ = '\0';
        int64_t value = board_sum_metric(board, i);
        pool = cJSON_GetObjectItemCaseSensitive(pools, name);
        if (strcmp(shown, "threads") == 0 && value > 0)
            pool = cJSON_AddObjectToObject(pools, name);
        if (pool != NULL)
            add_counter(pool, shown, value < 0 ? 0 : (uint64_t)value);
    }
}

static uint64_t sum_versions(const struct board *board, enum tls_counter first)
{
    uint64_t sum = 0;

    for (unsigned v = 0; v < TLS_VERSIONS; v++)
        sum += board_sum_tls(board, first + v);
    return sum;
}

/* {"gates": 2, "handshaking": 0, "open": 12, "handshakes": 43, "resumed": 3,
 * "versions": {"TLSv1.3": {"open": 12, "handshakes": 40, "resumed": 3}, …},
 * "failed": {"timeout": 1, …}} */
static void add_tls(cJSON *stats, const struct board *board)
{
    cJSON *tls = cJSON_AddObjectToObject(stats, "tls");
    uint64_t open = 0;

    cJSON *versions = cJSON_AddObjectToObject(tls, "versions");
    for (unsigned v = 0; v < TLS_VERSIONS; v++) {
        cJSON *version = cJSON_AddObjectToObject(versions, tls_version_name(v));
        uint64_t of_version = overview_tls_open(board, v);
        add_counter(version, "open", of_version);
        add_counter(version, "handshakes", board_sum_tls(board, TLS_MET + v));
        add_counter(version, "resumed", board_sum_tls(board, TLS_RESUMED + v));
        open += of_version;
    }
    cJSON_AddNumberToObject(tls, "gates", board_gates(board));
    add_counter(tls, "handshaking", overview_handshakes(board));
    add_counter(tls, "open", open);
    add_counter(tls, "handshakes", overview_handshakes_done(board));
    add_counter(tls, "resumed", sum_versions(board, TLS_RESUMED));
    cJSON *failed = cJSON_AddObjectToObject(tls, "failed");
    for (unsigned c = TLS_FAILED; c < TLS_FAILED_END; c++)
        add_counter(failed, tls_counter_name((enum tls_counter)c),
                    board_sum_tls(board, (enum tls_counter)c));
}

cJSON *introspect_stats(const struct introspect *introspect)
{
    const struct board *board = introspect->board;
    cJSON *stats = cJSON_CreateObject();

    if (board == NULL)
        return stats;
    add_counter(stats, "generation", introspect->generation);
    add_counter(stats, "uptime_seconds", (clock_ns() - board->started_ns) / NS_PER_S);
    add_counter(stats, "started_at_ms", board->started_at_ms);
    add_counter(stats, "reloads", counter_read(&board->reloads));
    add_counter(stats, "reloads_failed", counter_read(&board->reloads_failed));
    cJSON *last = cJSON_AddObjectToObject(stats, "last_reload");
    cJSON_AddBoolToObject(last, "good", !atomic_load(&board->reload_failed));
    add_counter(last, "at", (uint64_t)atomic_load(&board->reloaded_at));
    add_counter(stats, "crashes", counter_read(&board->crashes));
    add_counter(stats, "hangs", counter_read(&board->hangs));
    add_counter(stats, "vault_restarts", counter_read(&board->vault_restarts));
    add_counter(stats, "gate_restarts", counter_read(&board->gate_restarts));
    cJSON_AddNumberToObject(stats, "handovers", board->handovers);
    add_counter(stats, "log_lines_lost",
                counter_read(&board->log_lost) + board_sum(board, COUNT_LOG_LOST));
    add_workers(stats, board);
    const struct pools pools = overview_pools(board);
    add_pool(stats, &pools);
    add_named_pools(stats, board);
    cJSON *connections = cJSON_AddObjectToObject(stats, "connections");
    uint64_t accepted = board_sum(board, COUNT_ACCEPTED), closed = board_sum(board, COUNT_CLOSED);
    add_counter(connections, "open", accepted > closed ? accepted - closed : 0);
    for (uint32_t c = 0; c < COUNT_LOG_LOST; c++)
        add_counter(connections, worker_counter_name((enum worker_counter)c),
                    board_sum(board, (enum worker_counter)c));
    cJSON *ended = cJSON_AddObjectToObject(connections, "ended");
    for (uint32_t c = COUNT_ENDED; c < WORKER_COUNTERS; c++)
        add_counter(ended, worker_counter_name((enum worker_counter)c),
                    overview_ended(board, (enum worker_counter)c));
    add_counter(ended, tls_counter_name(TLS_REFUSED_HANDSHAKES),
                board_sum_tls(board, TLS_REFUSED_HANDSHAKES));
    struct holdings sum = overview_holdings(board);
    add_counter(connections, "vault_held", sum.held);
    cJSON_AddItemToObject(stats, "vaults", describe_vaults(board, &sum));
    add_tls(stats, board);
    cJSON *registry = registry_view(board);
    if (registry != NULL)
        cJSON_AddItemToObject(stats, "registry", registry);
    cJSON *methods = cJSON_AddObjectToObject(stats, "methods");
    for (uint32_t i = 0; i < board_methods_known(board); i++) {
        if (board_first_of_name(board, i))
            add_method(methods, board, i);
    }
    add_modules(stats, board);
    return stats;
}
