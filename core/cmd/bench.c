/* `pillion bench METHOD [PARAMS]`: how many calls a server answers, and how fast.
 *
 * bench_load makes the load, bench_replies counts what comes back, and bench_report reports; here
 * are the options. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/bench_report.h"
#include "cmd/commands.h"
#include "cmd/params.h"
#include "cmd/reply_text.h"
#include "cmd/target.h"

#define SECONDS_MAX 86400.0
#define RATE_MAX    1e8

enum { OPTION_SERVER = 256, OPTION_RATE, OPTION_ID, OPTION_MEMBERS, OPTION_JSON };

static const struct option_row options[] = {
    {OPTION_SERVER, "server", "ADDR", TARGET_SUMMARY},
    {'c', "connections", "N", "how many connections; 1 by default"},
    {'P', "in-flight", "N", "requests under way on each of them; 1 by default"},
    {'d', "duration", "TIME",
     "how long, as in 500ms or 10s; a number alone is seconds; 5 by default"},
    {OPTION_RATE, "rate", "R", "requests a second over all connections, sent when they are due"},
    {OPTION_ID, "id", NULL,
     "gives requests an id, so that the server may answer them in any order"},
    {OPTION_MEMBERS, "members", "OBJECT", MEMBERS_SUMMARY},
    DIALECT_OPTIONS,
    {OPTION_JSON, "json", NULL, "prints the report as one JSON object"},
    {0, NULL, NULL, NULL},
};

struct bench {
    struct load_plan plan;
    struct dialect dialect;
    char server[TARGET_SIZE];
    const char *given; /* as --server, or NULL */
    const char *method;
    const char *members; /* or NULL */
    struct text params;
    bool json, id, in_flight_given;
};

static void show_progress(uint64_t replies, double seconds)
{
    fprintf(stderr, "\r%.0f s, %llu replies, %.0f a second ", seconds, (unsigned long long)replies,
            (double)replies / seconds);
}

static double own_cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- The command ---- */

/* A number from `least` to `most`; -1 for anything else. */
static double read_number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);

    return end != text && *end == '\0' && value >= least && value <= most ? value : -1;
}

/* "2.5", which is seconds, or a time with its unit; -1 for anything else. */
static double read_seconds(const char *text)
{
    double seconds = read_number(text, 0.001, SECONDS_MAX);
    uint64_t ms;

    if (seconds > 0)
        return seconds;
    return timeout_read(text, &ms) && ms > 0 && (double)ms <= SECONDS_MAX * 1000 ? (double)ms / 1000
                                                                                 : -1;
}

/* 0, or the exit status. */
static int read_count(struct args *args, const char *option, uint32_t most, uint32_t *count)
{
    double value = read_number(args->value, 1, most);

    if (value < 0 || value != (double)(uint32_t)value)
        return command_misused(args->command, "%s takes a whole number from 1 to %u, not \"%s\"",
                               option, most, args->value);
    *count = (uint32_t)value;
    return 0;
}

/* 0, or the exit status. */
static int take_option(struct args *args, int id, void *data)
{
    struct bench *bench = data;
    struct load_plan *plan = &bench->plan;

    if (id >= OPTION_PROTOCOL)
        return dialect_option(args, id, &bench->dialect);
    switch (id) {
    case OPTION_SERVER:
        bench->given = args->value;
        return 0;
    case OPTION_JSON:
        bench->json = true;
        return 0;
    case OPTION_MEMBERS:
        bench->members = args->value;
        return members_check(args->command, args->value);
    case OPTION_ID:
        bench->id = true;
        return 0;
    case 'c':
        return read_count(args, "-c", LOAD_CONNECTIONS_MAX, &plan->connections);
    case 'P':
        bench->in_flight_given = true;
        return read_count(args, "-P", LOAD_IN_FLIGHT_MAX, &plan->in_flight);
    case 'd':
        plan->seconds = read_seconds(args->value);
        return plan->seconds > 0
                   ? 0
                   : command_misused(args->command,
                                     "-d takes a time as in 500ms or 10s, or seconds, 0.001 to "
                                     "%.0f, not \"%s\"",
                                     SECONDS_MAX, args->value);
    default:
        plan->rate = read_number(args->value, 0.001, RATE_MAX);
        return plan->rate > 0
                   ? 0
                   : command_misused(args->command,
                                     "--rate takes requests a second, 0.001 to %.0f, not \"%s\"",
                                     RATE_MAX, args->value);
    }
}

/* 0, or the exit status. */
static int read_line(struct args *args, struct bench *bench)
{
    const char *operands[2];

    int status = args_read(args, take_option, bench, operands, 2);
    if (status != 0)
        return status;
    bench->method = operands[0];
    if (bench->method == NULL)
        return command_misused(args->command, "which METHOD? \"pillion list\" shows the methods");
    /* At a fixed rate, a request is sent when it is due, however many replies are still to come. */
    if (bench->plan.rate > 0 && !bench->in_flight_given)
        bench->plan.in_flight = LOAD_IN_FLIGHT_MAX;
    status = dialect_target(args->command, &bench->dialect, bench->given, bench->server);
    if (status == 0)
        status = params_read(args->command, operands[1], &bench->params);
    if (status == 0 && bench->dialect.jsonrpc)
        status = params_check_jsonrpc(args->command, &bench->params);
    return status;
}

/* Says on standard error what went wrong, and returns the exit status. */
static int conclude(const struct command *self, const struct bench *bench,
                    const struct load_result *result)
{
    struct text first = {0};
    int status = EXIT_SUCCESS;

    if (result->errors.count > 0) {
        bench_first_error(result, &first);
        command_failed(self, 0, "%llu of %llu replies are errors; the first: %s",
                       (unsigned long long)result->errors.count,
                       (unsigned long long)result->replies, text_string(&first));
        text_free(&first);
        status = result->errors.count == result->replies ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    if (result->failed > 0)
        return command_failed(self, EXIT_FAILURE, "%u of %u connections ended early: %s",
                              result->failed, bench->plan.connections, result->failure.text);
    if (result->unanswered > 0)
        return command_failed(self, EXIT_FAILURE, "%llu requests were not answered within 2 s",
                              (unsigned long long)result->unanswered);
    return status;
}

static int run_load(const struct command *self, struct bench *bench)
{
    struct load_result result;
    struct text request = {0};
    struct error error;
    int status = EXIT_SUCCESS;

    params_request(bench->method, &bench->params, bench->members, bench->dialect.jsonrpc, &request);
    if (bench->id && !bench->dialect.jsonrpc) { /* which has one anyway */
        request.size--;                         /* the closing bracket */
        text_append_string(&request, ", \"id\": 1}");
    }
    bench->plan.body = (struct bytes){request.data, request.size};
    bench->plan.progress = isatty(STDERR_FILENO) ? show_progress : NULL;
    double cpu_us = own_cpu_us();
    bool ran = load_run(&bench->plan, &result, &error);
    cpu_us = own_cpu_us() - cpu_us;
    if (bench->plan.progress != NULL)
        fprintf(stderr, "\r%60s\r", "");
    if (!ran)
        status = command_failed(self, EXIT_NO_SERVER, "%s", error.text);
    else if (bench->json)
        bench_print_json(bench->method, &bench->plan, &result, cpu_us);
    else
        bench_print(bench->method, &bench->plan, &result, cpu_us);
    status = command_flush(self, status);
    if (ran && status == EXIT_SUCCESS)
        status = conclude(self, bench, &result);
    free(result.times);
    text_free(&result.errors.first);
    text_free(&request);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct bench bench = {.plan = {.connections = 1, .in_flight = 1, .seconds = 5}};

    bench.plan.server = bench.server;
    bench.plan.dialect = &bench.dialect;
    int status = read_line(&args, &bench);
    if (status == ARGS_HELP)
        status = command_flush(self, EXIT_SUCCESS);
    else if (status == 0)
        status = run_load(self, &bench);
    text_free(&bench.params);
    return status;
}

const struct command bench_command = {
    .name = "bench",
    .run = run,
    .usage = "[--server ADDR] [-c N] [-P N] [-d SECONDS] [--rate R] [--id] [--members OBJECT] "
             "[--json] " DIALECT_USAGE " METHOD [PARAMS | @FILE | -]",
    .summary = "Calls a method over and over, and tells how fast the replies come.",
    .options = options,
    .notes =
        "Each connection keeps -P requests under way. With --rate, requests are sent when they\n"
        "are due and their times count from then, so that a server that stalls is charged for\n"
        "the requests that it held up; -P is then the most under way on one connection.\n"
        "Methods that wait for something run one after the other on a connection, unless\n"
        "requests have an id; replies are then taken as they come.\n"
        "\n"
        "The first error reply is shown on standard error.\n"
        "\n"
        "Exit status: 0 when every request was answered (error replies are answers, unless\n"
        "there is no other), 1 when all replies are errors, connections ended or replies are\n"
        "missing, 2 when no server answers, 64 when the command line or PARAMS is wrong.\n",
};
