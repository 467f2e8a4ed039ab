/* Reading samples, and comparing them. See sample.h. A server of another version may leave members
 * out: they count as 0. */
#include "cmd/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);
    return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : 0;
}

/* ---- Reading ---- */

static void read_worker(struct sample_worker *worker, const cJSON *item)
{
    const cJSON *state = member(item, "state");

    *worker = (struct sample_worker){
        .slot = number(item, "slot"),
        .pid = number(item, "pid"),
        .generation = number(item, "generation"),
        .age_s = number(item, "age_seconds"),
        .state_s = number(item, "state_seconds"),
        .connections = number(item, "connections"),
        .cpu_s = number(item, "cpu_seconds"),
        .lag_us = number(item, "lag_ms") * 1000,
        .private_bytes = number(item, "private_bytes"),
        .messages = number(item, "messages"),
    };
    snprintf(worker->state, sizeof(worker->state), "%s",
             cJSON_IsString(state) ? state->valuestring : "?");
}

/* The board's bucket with the limit, which the last one's is beyond. */
static uint32_t bucket_of(double limit_us)
{
    double ns = limit_us * 1000;
    return ns >= 0x1p62 ? LATENCY_BUCKETS - 1 : latency_bucket((uint64_t)(ns + 0.5));
}

static void read_buckets(struct sample_method *method, const cJSON *histogram)
{
    const cJSON *pair;

    cJSON_ArrayForEach(pair, histogram)
    {
        const cJSON *limit = cJSON_GetArrayItem(pair, 0), *count = cJSON_GetArrayItem(pair, 1);
        if (cJSON_IsNumber(limit) && limit->valuedouble >= 0 && cJSON_IsNumber(count))
            method->buckets[bucket_of(limit->valuedouble)] += count->valuedouble;
    }
}

static void read_method(struct sample_method *method, const cJSON *item)
{
    const cJSON *latency = member(item, "latency_us"), *code;

    *method = (struct sample_method){
        .name = must_strdup(item->string),
        .calls = number(item, "calls"),
        .errors = number(item, "errors"),
        .in_flight = number(item, "in_flight"),
        .p50_us = number(latency, "p50"),
        .p99_us = number(latency, "p99"),
        .quarantined = cJSON_IsTrue(member(item, "quarantined")),
    };
    cJSON_ArrayForEach(code, member(item, "errors_by_code"))
    {
        if (cJSON_IsNumber(code) && code->string != NULL)
            method->by_code[error_code_index(code->string)] += code->valuedouble;
    }
    read_buckets(method, member(item, "histogram"));
}

/* The generations one after the other, each by slot: the server has them in the order in which they
 * were started, so that after a crash a row would be elsewhere. */
static int compare_places(const void *one, const void *other)
{
    const struct sample_worker *a = one, *b = other;

    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    if (a->slot != b->slot)
        return a->slot < b->slot ? -1 : 1;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static void read_tls(struct sample *sample, const cJSON *tls)
{
    const cJSON *item;

    sample->gates = number(tls, "gates");
    sample->handshaking = number(tls, "handshaking");
    sample->tls_open = number(tls, "open");
    sample->handshakes = number(tls, "handshakes");
    sample->resumed = number(tls, "resumed");
    cJSON_ArrayForEach(item, member(tls, "failed"))
    {
        if (cJSON_IsNumber(item))
            sample->handshakes_failed += item->valuedouble;
    }
}

/* "registry:/pillion/" stands for all services below it. */
static bool is_path(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && name[size - 1] == '/';
}

/* True when the servers of `name` are among those of another one of the services. */
static bool is_below_another(const char *name, const cJSON *services)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, services)
    {
        const char *other = item->string;
        if (is_path(other) && strlen(name) > strlen(other) &&
            strncmp(name, other, strlen(other)) == 0)
            return true;
    }
    return false;
}

/* Each server counts once; a path counts as a service where nothing below it is asked for. */
static void count_services(struct sample_registry *registry, const cJSON *services)
{
    double paths = 0;
    const cJSON *item;

    cJSON_ArrayForEach(item, services)
    {
        if (is_path(item->string))
            paths++;
        else
            registry->services++;
        if (!is_below_another(item->string, services))
            registry->servers += number(item, "servers");
    }
    if (registry->services == 0)
        registry->services = paths;
}

static void read_registry(struct sample_registry *registry, const cJSON *from)
{
    registry->shown = from != NULL;
    registry->configured = member(from, "connected") != NULL;
    registry->connected = cJSON_IsTrue(member(from, "connected"));
    registry->away_s = number(from, "away_seconds");
    registry->addresses = number(from, "addresses");
    registry->registered = number(from, "registered");
    count_services(registry, member(from, "services"));
}

struct sample *sample_new(const cJSON *stats, uint64_t at_ns)
{
    struct sample *sample = must_zalloc(sizeof(*sample));
    const cJSON *connections = member(stats, "connections"), *workers = member(stats, "workers"),
                *methods = member(stats, "methods"), *item;

    sample->at_ns = at_ns;
    sample->generation = number(stats, "generation");
    sample->uptime_s = number(stats, "uptime_seconds");
    sample->started_at_ms = number(stats, "started_at_ms");
    sample->reloads = number(stats, "reloads");
    sample->reloads_failed = number(stats, "reloads_failed");
    sample->reload_failed = cJSON_IsFalse(member(member(stats, "last_reload"), "good"));
    sample->crashes = number(stats, "crashes");
    sample->hangs = number(stats, "hangs");
    sample->open = number(connections, "open");
    sample->unheld = number(member(stats, "vaults"), "unheld");
    read_tls(sample, member(stats, "tls"));
    read_registry(&sample->registry, member(stats, "registry"));
    sample->accepted = number(connections, "accepted");
    sample->adopted = number(connections, "adopted");
    sample->bytes_in = number(connections, "bytes_in");
    sample->bytes_out = number(connections, "bytes_out");
    sample->workers =
        must_zalloc(((size_t)cJSON_GetArraySize(workers) + 1) * sizeof(*sample->workers));
    cJSON_ArrayForEach(item, workers) read_worker(&sample->workers[sample->worker_count++], item);
    qsort(sample->workers, sample->worker_count, sizeof(*sample->workers), compare_places);
    sample->methods =
        must_zalloc(((size_t)cJSON_GetArraySize(methods) + 1) * sizeof(*sample->methods));
    cJSON_ArrayForEach(item, methods)
    {
        if (item->string != NULL)
            read_method(&sample->methods[sample->method_count++], item);
    }
    return sample;
}

bool sample_has_tls(const struct sample *sample)
{
    return sample->gates > 0 || sample->handshakes + sample->handshakes_failed > 0;
}

void sample_free(struct sample *sample)
{
    if (sample == NULL)
        return;
    for (size_t i = 0; i < sample->method_count; i++)
        free(sample->methods[i].name);
    free(sample->methods);
    free(sample->workers);
    free(sample);
}

/* ---- Comparing ---- */

/* The upper limit, in microseconds, of the time that `part` of all calls have taken at most. */
static double percentile(const struct sample_calls *calls, double part)
{
    double seen = 0;

    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        seen += calls->buckets[b];
        if (seen > 0 && seen >= calls->all * part)
            return (double)latency_limit(b) / 1000;
    }
    return 0;
}

static void set_percentiles(struct sample_calls *calls)
{
    calls->p50_us = percentile(calls, 0.5);
    calls->p99_us = percentile(calls, 0.99);
}

static double since(double now, double before)
{
    return now < before ? now : now - before;
}

static void compare_workers(struct sample *sample, const struct sample *before)
{
    for (size_t i = 0; i < sample->worker_count; i++) {
        struct sample_worker *worker = &sample->workers[i];
        double messages = worker->messages, cpu_s = worker->cpu_s;
        bool known = false;
        for (size_t j = 0; j < before->worker_count && !known; j++) {
            known = before->workers[j].pid == worker->pid;
            messages = known ? since(worker->messages, before->workers[j].messages) : messages;
            cpu_s = known ? since(worker->cpu_s, before->workers[j].cpu_s) : cpu_s;
        }
        worker->rate = messages / sample->interval_s;
        worker->cpu = cpu_s / sample->interval_s;
    }
}

/* The method in the sample before. Methods keep their order, and new ones are added at the end. */
static const struct sample_method *same_method(const struct sample *before, size_t at,
                                               const char *name)
{
    if (at < before->method_count && strcmp(before->methods[at].name, name) == 0)
        return &before->methods[at];
    for (size_t i = 0; i < before->method_count; i++) {
        if (strcmp(before->methods[i].name, name) == 0)
            return &before->methods[i];
    }
    return NULL;
}

static void compare_method(struct sample *sample, struct sample_method *method,
                           const struct sample_method *before)
{
    static const struct sample_method none;
    struct sample_calls *lately = &method->lately, *sum = &sample->lately;

    if (before == NULL)
        before = &none;
    lately->rate = since(method->calls, before->calls) / sample->interval_s;
    lately->error_rate = since(method->errors, before->errors) / sample->interval_s;
    for (size_t e = 0; e < ERROR_CODES_MAX; e++)
        lately->errors[e] = since(method->by_code[e], before->by_code[e]) / sample->interval_s;
    for (size_t b = 0; b < LATENCY_BUCKETS; b++) {
        lately->buckets[b] = since(method->buckets[b], before->buckets[b]);
        lately->all += lately->buckets[b];
        sum->buckets[b] += lately->buckets[b];
    }
    set_percentiles(lately);
    sum->all += lately->all;
    sum->rate += lately->rate;
    sum->error_rate += lately->error_rate;
    for (size_t e = 0; e < ERROR_CODES_MAX; e++)
        sum->errors[e] += lately->errors[e];
}

void sample_compare(struct sample *sample, const struct sample *before)
{
    if (sample->at_ns <= before->at_ns || sample->started_at_ms != before->started_at_ms)
        return;
    sample->interval_s = (double)(sample->at_ns - before->at_ns) / 1e9;
    sample->handshake_rate = since(sample->handshakes, before->handshakes) / sample->interval_s;
    sample->handshake_failed_rate =
        since(sample->handshakes_failed, before->handshakes_failed) / sample->interval_s;
    compare_workers(sample, before);
    for (size_t i = 0; i < sample->method_count; i++)
        compare_method(sample, &sample->methods[i],
                       same_method(before, i, sample->methods[i].name));
    set_percentiles(&sample->lately);
}
