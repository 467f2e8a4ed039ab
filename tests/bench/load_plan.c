/* The bare client's command line and its outcome; see load.h. */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING "{\"in\":\"ping\",\"params\":{\"n\":1234567}}"

/* A ping whose body has `size` bytes: its params are a string of letters. */
static char *ping_of(size_t size)
{
    static const char before[] = "{\"in\":\"ping\",\"params\":\"", after[] = "\"}";
    size_t frame = sizeof(before) - 1 + sizeof(after) - 1;
    char *body = malloc(size + 1);

    if (body == NULL || size <= frame)
        load_fail("the body is too small, or too large");
    memcpy(body, before, sizeof(before) - 1);
    for (size_t i = 0; i < size - frame; i++)
        body[sizeof(before) - 1 + i] = (char)('a' + i % 26);
    memcpy(body + size - (sizeof(after) - 1), after, sizeof(after));
    return body;
}

/* The request with what stands around it; for a frame its header is added later. */
static char *wrapped(const char *body)
{
    char *text = NULL;
    int size = -1;

    if (plan.wrap == LINE)
        size = asprintf(&text, "%s\n", body);
    else if (plan.wrap == HTTP)
        size = asprintf(&text,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json"
                        "\r\nContent-Length: %zu\r\n%s\r\n%s",
                        plan.path, plan.port, strlen(body), plan.fields, body);
    else
        size = asprintf(&text, "%s", body);
    if (size < 0)
        load_fail("there is no memory for the request");
    return text;
}

static void batch_build(const char *body)
{
    char *request = wrapped(body);
    uint32_t length = (uint32_t)strlen(request);
    size_t header = plan.wrap == FRAME ? FRAME_HEADER : 0;

    plan.request_size = header + length;
    plan.batch_size = plan.request_size * plan.in_flight;
    plan.batch = malloc(plan.batch_size);
    if (plan.batch == NULL)
        load_fail("there is no memory for the requests");
    for (char *at = plan.batch; at < plan.batch + plan.batch_size; at += plan.request_size) {
        memcpy(at, &length, header);
        memcpy(at + header, request, length);
    }
    free(request);
}

static enum wrap wrap_named(const char *name)
{
    static const char *const names[] = {[FRAME] = "frame", [LINE] = "line", [HTTP] = "http"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum wrap)i;
    }
    load_fail(name);
}

/* Adds a line to the heads of HTTP's requests. */
static void field_add(const char *line)
{
    char *fields;

    if (asprintf(&fields, "%s%s\r\n", plan.fields, line) < 0)
        load_fail("there is no memory for the request");
    plan.fields = fields;
}

/* False when there is no such option. */
static bool option_read(const char *name, char *value, const char **request)
{
    if (strcmp(name, "--request") == 0) {
        *request = value;
    } else if (strcmp(name, "--body") == 0) {
        *request = ping_of((size_t)atol(value));
    } else if (strcmp(name, "--as") == 0) {
        plan.wrap = wrap_named(value);
    } else if (strcmp(name, "--path") == 0) {
        plan.path = value;
    } else if (strcmp(name, "--field") == 0) {
        field_add(value);
    } else if (strcmp(name, "--raw-request") == 0) {
        *request = value;
        plan.wrap = RAW;
    } else if (strcmp(name, "--reply-size") == 0) {
        plan.reply_size = (size_t)atol(value);
    } else if (strcmp(name, "--connect") == 0) {
        plan.reconnects = strcmp(value, "yes") == 0;
    } else if (strcmp(name, "--rate") == 0) {
        plan.rate = atof(value);
    } else if (strcmp(name, "--warm-up") == 0) {
        plan.warm_up_ns = (uint64_t)(atof(value) * 1e9);
    } else if (strcmp(name, "--tls") == 0) {
        plan.tls = strcmp(value, "yes") == 0;
    } else if (strcmp(name, "--handshakes") == 0) {
        plan.handshakes = strcmp(value, "resumed") == 0 ? HANDSHAKES_RESUMED : HANDSHAKES_WHOLE;
    } else if (strcmp(name, "--cpu-of") == 0) {
        plan.cpu_of = value;
    } else {
        return false;
    }
    return true;
}

void plan_read(int argc, char **argv)
{
    errno = 0;
    if (argc < 5 || argc % 2 == 0)
        load_fail("usage: load PORT CONNECTIONS IN_FLIGHT SECONDS [OPTION VALUE]...");
    plan = (struct plan){.port = (uint16_t)atoi(argv[1]),
                         .connections = (unsigned)atoi(argv[2]),
                         .in_flight = (unsigned)atoi(argv[3]),
                         .measured_ns = (uint64_t)(atof(argv[4]) * 1e9),
                         .warm_up_ns = 200 * 1000 * 1000,
                         .path = "/",
                         .fields = ""};
    const char *request = PING;
    for (int i = 5; i < argc; i += 2) {
        if (!option_read(argv[i], argv[i + 1], &request))
            load_fail(argv[i]);
    }
    if (plan.connections == 0 || plan.in_flight == 0)
        load_fail("there must be a connection, and a request in flight");
    if ((plan.wrap == RAW) != (plan.reply_size > 0))
        load_fail("--raw-request needs --reply-size, and nothing else does");
    batch_build(request);
}

/* The first number of schedstat: nanoseconds on a CPU. A thread that has ended has none. */
static uint64_t cpu_of_thread(const char *pid, const char *thread)
{
    char path[300];
    unsigned long long ns = 0;

    snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid, thread);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

static uint64_t cpu_of_process(const char *pid)
{
    char path[300];
    uint64_t sum = 0;

    snprintf(path, sizeof(path), "/proc/%s/task", pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        load_fail("a process of --cpu-of is gone");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.')
            sum += cpu_of_thread(pid, entry->d_name);
    }
    closedir(directory);
    return sum;
}

uint64_t cpu_of(const char *pids)
{
    uint64_t sum = 0;
    char *copy = pids == NULL ? NULL : strdup(pids), *rest = NULL;

    for (char *pid = copy == NULL ? NULL : strtok_r(copy, ",", &rest); pid != NULL;
         pid = strtok_r(NULL, ",", &rest))
        sum += cpu_of_process(pid);
    free(copy);
    return sum;
}

/* Below 16 each number has a bucket of its own; above, each power of two has 16. */
static size_t latency_bucket(uint64_t ns)
{
    if (ns < LATENCY_STEPS)
        return (size_t)ns;
    unsigned log = 63u - (unsigned)__builtin_clzll(ns);
    return (size_t)(log - 3u) * LATENCY_STEPS + (size_t)((ns >> (log - 4u)) & (LATENCY_STEPS - 1));
}

static double latency_of(size_t bucket)
{
    if (bucket < LATENCY_STEPS)
        return (double)bucket;
    size_t log = bucket / LATENCY_STEPS + 3;
    return (double)((LATENCY_STEPS + bucket % LATENCY_STEPS) << (log - 4));
}

void latency_add(struct result *result, uint64_t ns)
{
    result->latency[latency_bucket(ns)]++;
    result->latencies++;
}

/* In microseconds. */
static double latency_at(const struct result *result, double share)
{
    uint64_t rank = (uint64_t)((double)result->latencies * share), seen = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += result->latency[i];
        if (seen > rank)
            return latency_of(i) / 1000;
    }
    return 0;
}

void result_print(const struct result *result)
{
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"server_cpu_ns\": %llu, \"latencies\": %llu, "
           "\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
           (unsigned long long)result->requests, (double)result->elapsed_ns / 1e9,
           (unsigned long long)result->server_cpu_ns, (unsigned long long)result->latencies,
           latency_at(result, 0.5), latency_at(result, 0.99));
}
