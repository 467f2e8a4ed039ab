/* Writing samples. See sample.h. */
#include "rpc/sample.h"

#include "base/clock.h"
#include "base/json_escape.h"
#include "base/process_memory.h"
#include "base/version.h"
#include "rpc/overview.h"
#include "rpc/registry_view.h"

static void number(struct text *out, const char *name, uint64_t value)
{
    text_printf(out, "\"%s\":%llu,", name, (unsigned long long)value);
}

static void quoted(struct text *out, const char *text)
{
    text_append_char(out, '"');
    text_append_json(out, bytes_of(text));
    text_append_char(out, '"');
}

/* A list, or an object, is written with a comma behind each element. */
static void close_list(struct text *out, char end)
{
    if (out->data[out->size - 1] == ',')
        out->data[out->size - 1] = end;
    else
        text_append_char(out, end);
}

/* ---- The server, and its workers ---- */

/* How the server stands with its registry, where it has one or wants a service. */
static void write_registry(struct text *out, const struct board *board)
{
    const struct board_registry *registry = &board->registry;
    struct registry_service service;
    struct registry_state state;
    char name[DIRECTORY_NAME_MAX];

    if (atomic_load(&registry->starts) == 0)
        return;
    registry_state(registry, &state);
    text_printf(out, "\"registry\":{\"configured\":%s,\"connected\":%s,",
                atomic_load(&registry->configured) ? "true" : "false",
                state.connected ? "true" : "false");
    number(out, "away_s", state.away_s);
    number(out, "addresses", counter_read(&registry->figures[REGISTRY_KEYS]));
    number(out, "registered", counter_read(&registry->figures[REGISTRY_HELD]));
    text_append_string(out, "\"services\":[");
    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++) {
        if (!registry_service(registry, i, &service, name))
            continue;
        text_append_char(out, '[');
        quoted(out, name);
        text_printf(out, ",%u,%s],", service.servers, service.known ? "true" : "false");
    }
    close_list(out, ']');
    text_append_string(out, "},");
}

/* What the gates have done, where there are any, or were. */
static void write_tls(struct text *out, const struct board *board)
{
    uint64_t open = 0;

    if (board_gates(board) == 0 && board_sum_tls(board, TLS_BEGUN) == 0)
        return;
    for (unsigned v = 0; v < TLS_VERSIONS; v++)
        open += overview_tls_open(board, v);
    text_append_string(out, "\"tls\":{");
    number(out, "gates", board_gates(board));
    number(out, "open", open);
    number(out, "handshaking", overview_handshakes(board));
    number(out, "handshakes", overview_handshakes_done(board));
    number(out, "failed", overview_handshakes_failed(board));
    close_list(out, '}');
    text_append_char(out, ',');
}

static void write_server(struct text *out, const struct board *board)
{
    uint64_t accepted = board_sum(board, COUNT_ACCEPTED), closed = board_sum(board, COUNT_CLOSED);

    number(out, "at_ms", clock_wall_ms());
    number(out, "started_at_ms", board->started_at_ms);
    number(out, "uptime_ms", (clock_ns() - board->started_ns) / NS_PER_MS);
    number(out, "generation", atomic_load(&board->generation));
    number(out, "reloads", counter_read(&board->reloads));
    number(out, "reloads_failed", counter_read(&board->reloads_failed));
    number(out, "crashes", counter_read(&board->crashes));
    number(out, "hangs", counter_read(&board->hangs));
    number(out, "connections", accepted > closed ? accepted - closed : 0);
    number(out, "streams", overview_streams(board));
    write_tls(out, board);
    write_registry(out, board);
}

/* The method that the worker runs, as 1 + its index; 0: none, or what is no method's. */
static uint32_t running(const struct board_row *row)
{
    uint32_t method = atomic_load_explicit(&row->running, memory_order_relaxed);
    return method <= BOARD_METHODS_MAX ? method : 0;
}

static void write_worker(struct text *out, const struct board_head *head,
                         const struct board_row *row, uint32_t state)
{
    struct process_memory memory = {0};
    int32_t pid = atomic_load_explicit(&head->pid, memory_order_relaxed);

    process_memory(pid, &memory);
    text_append_char(out, '{');
    number(out, "slot", atomic_load_explicit(&head->slot, memory_order_relaxed));
    text_printf(out, "\"pid\":%d,\"state\":\"%s\",", pid, overview_state(state));
    number(out, "generation", atomic_load_explicit(&head->generation, memory_order_relaxed));
    number(out, "since_ms", (clock_ns() - counter_read(&head->state_since_ns)) / NS_PER_MS);
    number(out, "connections", atomic_load_explicit(&row->open, memory_order_relaxed));
    number(out, "messages", counter_read(&row->counters[COUNT_FRAMES]));
    number(out, "running", running(row));
    number(out, "cpu_ms", process_cpu_ns(pid) / NS_PER_MS);
    number(out, "lag_us", counter_read(&head->lag_ns) / NS_PER_US);
    number(out, "rss_bytes", memory.resident);
    number(out, "private_bytes", memory.own);
    close_list(out, '}');
}

static void write_workers(struct text *out, const struct board *board)
{
    text_append_string(out, "\"workers\":[");
    for (uint32_t i = 0; i < board->row_high; i++) {
        uint32_t state = atomic_load_explicit(&board->heads[i].state, memory_order_relaxed);
        if (state == ROW_FREE)
            continue;
        write_worker(out, &board->heads[i], &board->rows[i], state);
        text_append_char(out, ',');
    }
    close_list(out, ']');
}

/* ---- Methods ---- */

/* [index, calls, in flight, out of service, nanoseconds in all, [error, count, …], [bucket, count,
 * …]]: errors and buckets by their indexes in a whole sample's `errors` and `bounds_us`. */
static void write_method(struct text *out, const struct board *board, uint32_t index,
                         const struct sample_seen *now)
{
    struct method_counters sum;

    board_sum_method(board, index, &sum);
    text_printf(out, "[%u,%llu,%llu,%u,%llu,[", index, (unsigned long long)counter_read(&sum.calls),
                (unsigned long long)now->in_flight, now->quarantined != QUARANTINED_NOT,
                (unsigned long long)counter_read(&sum.total_ns));
    for (size_t e = 0; e < ERROR_CODES_MAX; e++) {
        if (counter_read(&sum.failures[e]) > 0)
            text_printf(out, "%zu,%llu,", e, (unsigned long long)counter_read(&sum.failures[e]));
    }
    close_list(out, ']');
    text_append_string(out, ",[");
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        if (counter_read(&sum.latency[b]) > 0)
            text_printf(out, "%u,%llu,", b, (unsigned long long)counter_read(&sum.latency[b]));
    }
    close_list(out, ']');
    text_append_char(out, ']');
}

static struct sample_seen look_at(const struct board *board, uint32_t index)
{
    return (struct sample_seen){
        .calls = board_calls(board, index),
        .in_flight = overview_in_flight(board, index),
        .quarantined = atomic_load_explicit(&board->quarantined[index], memory_order_relaxed),
    };
}

static bool is_same(const struct sample_seen *a, const struct sample_seen *b)
{
    return a->calls == b->calls && a->in_flight == b->in_flight && a->quarantined == b->quarantined;
}

/* What the indexes in samples stand for. */
static void write_names(struct text *out, const struct board *board)
{
    size_t count;
    const struct error_code *codes = error_codes(&count);

    text_append_string(out, "\"version\":\"" PILLION_VERSION "\",\"names\":[");
    for (uint32_t i = 0; i < board_methods_known(board); i++) {
        quoted(out, board->names[i]);
        text_append_char(out, ',');
    }
    close_list(out, ']');
    text_append_string(out, ",\"errors\":[");
    for (size_t e = 0; e < count; e++) {
        quoted(out, codes[e].name[0] == '\0' ? "other" : codes[e].name);
        text_append_char(out, ',');
    }
    close_list(out, ']');
    text_append_string(out, ",\"bounds_us\":[");
    for (uint32_t b = 0; b + 1 < LATENCY_BUCKETS; b++)
        text_printf(out, "%.3f,", (double)latency_limit(b) / 1000);
    text_append_string(out, "null],");
}

/* ---- The whole ---- */

static void begin(struct text *out, const struct board *board, bool whole)
{
    text_printf(out, "{\"whole\":%s,", whole ? "true" : "false");
    write_server(out, board);
}

static void begin_lists(struct text *out, const struct board *board)
{
    write_workers(out, board);
    text_append_string(out, ",\"methods\":[");
}

static void end(struct text *out)
{
    close_list(out, ']');
    text_append_char(out, '}');
}

bool sample_changes(struct sampler *sampler, const struct board *board, struct text *out)
{
    uint32_t known = board_methods_known(board);
    uint64_t generation = atomic_load(&board->generation);
    bool renamed = sampler->methods != known || sampler->generation != generation;

    begin(out, board, false);
    begin_lists(out, board);
    for (uint32_t i = 0; i < known; i++) {
        const struct sample_seen now = look_at(board, i);
        if (is_same(&sampler->seen[i], &now))
            continue;
        sampler->seen[i] = now;
        write_method(out, board, i, &now);
        text_append_char(out, ',');
    }
    end(out);
    sampler->methods = known;
    sampler->generation = generation;
    return renamed;
}

void sample_whole(const struct board *board, uint64_t interval_ns, struct text *out)
{
    begin(out, board, true);
    number(out, "interval_ms", interval_ns / NS_PER_MS);
    write_names(out, board);
    begin_lists(out, board);
    for (uint32_t i = 0; i < board_methods_known(board); i++) {
        const struct sample_seen now = look_at(board, i);
        if (now.calls == 0 && now.in_flight == 0 && now.quarantined == QUARANTINED_NOT)
            continue;
        write_method(out, board, i, &now);
        text_append_char(out, ',');
    }
    end(out);
}
