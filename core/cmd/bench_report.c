/* The report of a load. See bench_report.h. */
#include "cmd/bench_report.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/printable.h"
#include "cmd/reply_text.h"
#include "wire/envelope.h"

/* Appends "CODE: MESSAGE" of the first error reply, or its text when it was cut and is no JSON any
 * more. */
void bench_first_error(const struct load_result *result, struct text *out)
{
    struct bytes body = {text_string(&result->errors.first), result->errors.first.size};
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (body.size > 0 && body.data[0] == '{' && json_check(body, &limits, &error))
        reply_text_append_error(out, reply_text_error(body));
    else
        text_append_line(out, body);
}

static const struct {
    const char *name;
    double share;
} percentiles[] = {{"p10", 0.1},  {"p25", 0.25}, {"p50", 0.5},     {"p75", 0.75}, {"p90", 0.9},
                   {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

#define PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

static double microseconds(const struct histogram *times, size_t which)
{
    return (double)histogram_percentile(times, percentiles[which].share) / 1e3;
}

static double mean_us(const struct histogram *times)
{
    return times->count == 0 ? 0 : (double)times->sum / (double)times->count / 1e3;
}

static double per_second(const struct load_result *result, uint64_t what)
{
    return result->seconds > 0 ? (double)what / result->seconds : 0;
}

static void add_first_error(cJSON *report, const struct load_result *result)
{
    struct text first = {0};

    bench_first_error(result, &first);
    cJSON_AddItemToObject(report, "first_error",
                          result->errors.count > 0 ? cJSON_CreateString(text_string(&first))
                                                   : cJSON_CreateNull());
    text_free(&first);
}

/* Replies that are no errors have the code "ok". */
static void add_codes(cJSON *report, const struct load_result *result)
{
    cJSON *codes = cJSON_AddObjectToObject(report, "codes");
    struct text name = {0};

    if (result->replies > result->errors.count)
        cJSON_AddNumberToObject(codes, "ok", (double)(result->replies - result->errors.count));
    for (size_t i = 0; i < REPLY_CODES && result->errors.codes[i].count > 0; i++) {
        text_clear(&name);
        text_append_line(&name, bytes_of(result->errors.codes[i].name));
        cJSON_AddNumberToObject(codes, text_string(&name), (double)result->errors.codes[i].count);
    }
    text_free(&name);
}

void bench_print_json(const char *method, const struct load_plan *plan,
                      const struct load_result *result, double cpu_us)
{
    cJSON *report = cJSON_CreateObject();

    cJSON_AddStringToObject(report, "method", method);
    cJSON_AddStringToObject(report, "server", plan->server);
    cJSON_AddStringToObject(report, "protocol", protocols[plan->dialect->protocol].name);
    cJSON_AddBoolToObject(report, "jsonrpc", plan->dialect->jsonrpc);
    cJSON_AddBoolToObject(report, "tls", plan->dialect->secure.on);
    cJSON_AddNumberToObject(report, "connections", plan->connections);
    cJSON_AddNumberToObject(report, "in_flight", plan->in_flight);
    if (plan->rate > 0)
        cJSON_AddNumberToObject(report, "rate", plan->rate);
    else
        cJSON_AddNullToObject(report, "rate");
    cJSON_AddNumberToObject(report, "seconds", result->seconds);
    cJSON_AddNumberToObject(report, "requests", (double)result->replies);
    cJSON_AddNumberToObject(report, "errors", (double)result->errors.count);
    add_first_error(report, result);
    cJSON_AddNumberToObject(report, "unanswered", (double)result->unanswered);
    cJSON_AddNumberToObject(report, "failed_connections", result->failed);
    cJSON_AddNumberToObject(report, "requests_per_second", per_second(result, result->replies));
    cJSON_AddNumberToObject(report, "bytes_per_second", per_second(result, result->bytes));
    cJSON_AddNumberToObject(report, "client_cpu_us_per_request",
                            result->replies == 0 ? 0 : cpu_us / (double)result->replies);
    cJSON *latency = cJSON_AddObjectToObject(report, "latency_us");
    cJSON_AddNumberToObject(latency, "mean", mean_us(result->times));
    for (size_t i = 0; i < PERCENTILES; i++)
        cJSON_AddNumberToObject(latency, percentiles[i].name, microseconds(result->times, i));
    add_codes(report, result);
    char *text = cJSON_Print(report);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(report);
}

/* A time in three digits or more, and its unit. */
static void append_time(struct text *out, double us, int width)
{
    if (us < 1000)
        text_printf(out, "%*.1f us", width, us);
    else if (us < 1e6)
        text_printf(out, "%*.2f ms", width, us / 1e3);
    else
        text_printf(out, "%*.2f s", width, us / 1e6);
}

static void append_summary(struct text *out, const char *method, const struct load_plan *plan,
                           const struct load_result *result, double cpu_us)
{
    const struct dialect *dialect = plan->dialect;

    text_printf(out, "%s at %s", method, plan->server);
    if (dialect->protocol != PROTOCOL_FRAME || dialect->jsonrpc)
        text_printf(out, " by %s%s", protocols[dialect->protocol].name,
                    dialect->jsonrpc ? ", JSON-RPC" : "");
    text_append_string(out, dialect->secure.on ? " over TLS" : "");
    text_printf(out, ": %u connection%s, ", plan->connections, plan->connections == 1 ? "" : "s");
    if (plan->rate > 0)
        text_printf(out, "%g requests a second\n\n", plan->rate);
    else
        text_printf(out, "%u request%s in flight on each\n\n", plan->in_flight,
                    plan->in_flight == 1 ? "" : "s");
    text_printf(out, "  %llu repl%s in %.2f s, %llu of them errors\n",
                (unsigned long long)result->replies, result->replies == 1 ? "y" : "ies",
                result->seconds, (unsigned long long)result->errors.count);
    text_printf(out, "  %.0f requests a second, %.2f MB/s, %.2f us of this client's CPU each\n  ",
                per_second(result, result->replies), per_second(result, result->bytes) / 1e6,
                result->replies == 0 ? 0 : cpu_us / (double)result->replies);
    append_time(out, (double)histogram_percentile(result->times, 0) / 1e3, 0);
    text_append_string(out, " at least, ");
    append_time(out, mean_us(result->times), 0);
    text_append_string(out, " on average, ");
    append_time(out, (double)result->times->max / 1e3, 0);
    text_append_string(out, " at most\n");
}

#define BAR 40u /* columns of the longest bar */

/* The next of 1, 2, 5, 10, 20, 50, … microseconds. */
static uint64_t next_bound(uint64_t bound)
{
    uint64_t power = 1000;

    while (power * 10 <= bound)
        power *= 10;
    return bound < power       ? power
           : bound < 2 * power ? 2 * power
           : bound < 5 * power ? 5 * power
                               : 10 * power;
}

static void append_bound(struct text *out, uint64_t bound)
{
    static const char units[][3] = {"us", "ms", "s "};
    unsigned unit = 0;

    for (bound /= 1000; unit < 2 && bound >= 1000; unit++)
        bound /= 1000;
    text_printf(out, "  up to %5llu %s", (unsigned long long)bound, units[unit]);
}

/* Rows from the shortest time to the longest; their bounds grow with them, because times of a
 * thousandth and of a thousandfold occur in one run. */
static void append_histogram(struct text *out, const struct histogram *times)
{
    uint64_t largest = 0, before = 0, count = 0;

    for (uint64_t bound = next_bound(0); count < times->count; bound = next_bound(bound)) {
        before = count;
        count = histogram_count(times, bound);
        largest = count - before > largest ? count - before : largest;
    }
    text_append_string(out, "\nHistogram of the times:\n");
    count = 0;
    for (uint64_t bound = next_bound(0); count < times->count; bound = next_bound(bound)) {
        before = count;
        count = histogram_count(times, bound);
        if (count == 0)
            continue;
        append_bound(out, bound);
        text_printf(out, "%12llu |", (unsigned long long)(count - before));
        for (uint64_t i = 0; i * largest < (count - before) * BAR; i++)
            text_append_char(out, '#');
        text_append_char(out, '\n');
    }
}

static void append_codes(struct text *out, const struct load_result *result)
{
    const uint64_t good = result->replies - result->errors.count;

    text_append_string(out, "\nCodes:\n");
    if (good > 0)
        text_printf(out, "  %-24s %12llu\n", "ok", (unsigned long long)good);
    for (size_t i = 0; i < REPLY_CODES && result->errors.codes[i].count > 0; i++) {
        struct text name = {0};
        text_append_line(&name, bytes_of(result->errors.codes[i].name));
        text_printf(out, "  %-24s %12llu\n", text_string(&name),
                    (unsigned long long)result->errors.codes[i].count);
        text_free(&name);
    }
}

void bench_print(const char *method, const struct load_plan *plan, const struct load_result *result,
                 double cpu_us)
{
    struct text out = {0};

    append_summary(&out, method, plan, result, cpu_us);
    if (result->replies > 0) {
        append_histogram(&out, result->times);
        text_append_string(&out, "\nDistribution of the times:\n");
        for (size_t i = 0; i < PERCENTILES; i++) {
            text_printf(&out, "  %-6s", percentiles[i].name);
            append_time(&out, microseconds(result->times, i), 9);
            text_append_char(&out, '\n');
        }
        append_codes(&out, result);
    }
    fwrite(out.data, 1, out.size, stdout);
    text_free(&out);
}
