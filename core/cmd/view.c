/* Tables of counters. See view.h. */
#include "cmd/view.h"

#include "cmd/columns.h"
#include "cmd/figures.h"
#include "cmd/registry_line.h"
#include "cmd/sample.h"
#include "cmd/tls_line.h"

#define WIDTH 80

#define WORKER(member) offsetof(struct sample_worker, member)
static const struct column worker_columns[] = {
    {"WORKER", 6, true, 0, CELL_NUMBER, WORKER(slot)},
    {"PID", 9, false, 0, CELL_NUMBER, WORKER(pid)},
    {"GEN", 6, false, 0, CELL_NUMBER, WORKER(generation)},
    {"STATE", 11, true, 0, CELL_WORD, WORKER(state)},
    {"AGE", 6, false, 0, CELL_AGE, WORKER(age_s)},
    {"CONNS", 8, false, 0, CELL_COUNT, WORKER(connections)},
    {"CPU", 12, false, 0, CELL_SECONDS, WORKER(cpu_s)},
    {"LAG", 9, false, 0, CELL_TIME, WORKER(lag_us)},
    {"MEMORY", 9, false, 0, CELL_BYTES, WORKER(private_bytes)},
};

#define METHOD(member) offsetof(struct sample_method, member)
static const struct column method_columns[] = {
    {"METHOD", 28, true, 0, CELL_NAME, METHOD(name)},
    {"CALLS", 8, false, 0, CELL_COUNT, METHOD(calls)},
    {"ERRORS", 8, false, 0, CELL_COUNT, METHOD(errors)},
    {"UNDER", 7, false, 0, CELL_COUNT, METHOD(in_flight)},
    {"P50", 8, false, 0, CELL_TIME, METHOD(p50_us)},
    {"P99", 8, false, 0, CELL_TIME, METHOD(p99_us)},
    {"STATE", 13, true, 0, CELL_STATE, METHOD(quarantined)},
};

#define COUNT(columns) (sizeof(columns) / sizeof(*(columns)))

static void append_sums(struct text *out, const struct sample *sample)
{
    text_printf(out, "generation %.0f, up ", sample->generation);
    figure_age(out, sample->uptime_s, 0);
    text_printf(out, "; %.0f reloads, %.0f failed%s; %.0f crashes, %.0f hangs\n", sample->reloads,
                sample->reloads_failed, sample->reload_failed ? " (the last one)" : "",
                sample->crashes, sample->hangs);
    text_printf(out, "%.0f connections, %.0f of them in no vault; accepted ", sample->open,
                sample->unheld);
    figure_count(out, sample->accepted, 0);
    text_append_string(out, ", adopted ");
    figure_count(out, sample->adopted, 0);
    text_append_string(out, "; in ");
    figure_bytes(out, sample->bytes_in, 0);
    text_append_string(out, ", out ");
    figure_bytes(out, sample->bytes_out, 0);
    if (sample_has_tls(sample)) {
        text_append_char(out, '\n');
        tls_line(out, sample);
    }
    if (sample->registry.shown) {
        text_append_char(out, '\n');
        registry_line(out, &sample->registry);
    }
    text_append_string(out, "\n\n");
}

static bool is_worth_a_row(const struct sample_method *method)
{
    return method->calls > 0 || method->in_flight > 0 || method->quarantined;
}

void view_append(struct text *out, const cJSON *stats)
{
    struct sample *sample = sample_new(stats, 0);
    const struct columns workers = columns_fit(worker_columns, COUNT(worker_columns), WIDTH, 0),
                         methods = columns_fit(method_columns, COUNT(method_columns), WIDTH, 0);

    append_sums(out, sample);
    columns_titles(out, &workers, workers.count);
    for (size_t i = 0; i < sample->worker_count; i++) {
        text_append_char(out, '\n');
        columns_row(out, &workers, &sample->workers[i]);
    }
    text_append_string(out, "\n\n");
    columns_titles(out, &methods, methods.count);
    for (size_t i = 0; i < sample->method_count; i++) {
        if (!is_worth_a_row(&sample->methods[i]))
            continue;
        text_append_char(out, '\n');
        columns_row(out, &methods, &sample->methods[i]);
    }
    text_append_char(out, '\n');
    sample_free(sample);
}
