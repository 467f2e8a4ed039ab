/* What the server tells of itself: see core/rpc/introspect.h. The board is filled here as workers
 * would. */
#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "rpc/introspect.h"

static struct pillion_instance instance = {.name = "toy", .version = "1.2"};
static struct board *board;
static struct board_row *row;
static struct method_table table;
static struct introspect introspect;

static void start(void)
{
    struct error error;
    struct method method = {.name = BYTES("ping"),
                            .own_name = "ping",
                            .summary = "Gives back.",
                            .instance = &instance,
                            .params_schema = "{\"type\":\"object\"}"};

    board = board_new(&error);
    ck_assert_msg(board != NULL, "%s", error.text);
    method.index = board_add_method(board, "ping");
    row = board_take_row(board, 0, 3);
    ck_assert(method_table_add(&table, &method));
    method_table_seal(&table);
    introspect = (struct introspect){.methods = &table, .board = board, .generation = 3};
}

static void expect_text(cJSON *tree, const char *expected)
{
    char *text = cJSON_PrintUnformatted(tree);

    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, expected);
    cJSON_free(text);
    cJSON_Delete(tree);
}

static cJSON *member(const cJSON *tree, const char *name)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(tree, name);
    ck_assert_msg(item != NULL, "%s", name);
    return item;
}

static double latency(const cJSON *stats, const char *name)
{
    return member(member(member(member(stats, "methods"), "ping"), "latency_us"), name)
        ->valuedouble;
}

static void call(uint64_t ns)
{
    counter_add(&row->methods[0].calls, 1);
    counter_add(&row->methods[0].total_ns, ns);
    counter_add(&row->methods[0].latency[latency_bucket(ns)], 1);
}

START_TEST(methods_are_listed_and_described)
{
    start();
    expect_text(introspect_methods(&introspect),
                "[{\"name\":\"ping\",\"summary\":\"Gives back.\",\"module\":\"toy\"}]");
    expect_text(introspect_describe(&introspect, "ping"),
                "{\"name\":\"ping\",\"summary\":\"Gives back.\",\"module\":\"toy\","
                "\"version\":\"1.2\",\"read_only\":false,\"additive\":false,"
                "\"idempotent\":false,\"params\":{\"type\":\"object\"},\"result\":null}");
    ck_assert_ptr_null(introspect_describe(&introspect, "pong"));
    method_table_free(&table);
}
END_TEST

START_TEST(percentiles_are_upper_limits_of_buckets)
{
    start();
    for (unsigned i = 0; i < 98; i++)
        call(1000);
    call(100000);
    call(5000000);
    cJSON *stats = introspect_stats(&introspect);
    double usual = (double)latency_limit(latency_bucket(1000)) / 1000;
    ck_assert_double_eq(latency(stats, "p50"), usual);
    ck_assert_double_eq(latency(stats, "p90"), usual);
    ck_assert_double_ge(latency(stats, "p99"), 5000);
    ck_assert_double_le(latency(stats, "p99"), 7500);
    ck_assert_double_eq(latency(stats, "p999"), latency(stats, "p99"));
    ck_assert_double_eq(latency(stats, "max"), latency(stats, "p99"));
    ck_assert_double_eq(latency(stats, "mean"), (98 * 1000.0 + 100000 + 5000000) / 100 / 1000);
    const cJSON *ping = member(member(stats, "methods"), "ping");
    ck_assert_int_eq(cJSON_GetArraySize(member(ping, "histogram")), 3);
    cJSON_Delete(stats);
    method_table_free(&table);
}
END_TEST

/* Workers count while they are read: first the call, and the bucket a moment later. */
START_TEST(a_call_that_is_being_counted_leaves_percentiles_alone)
{
    start();
    call(1000);
    counter_add(&row->methods[0].calls, 1);
    cJSON *stats = introspect_stats(&introspect);
    double only = (double)latency_limit(latency_bucket(1000)) / 1000;
    ck_assert_double_eq(latency(stats, "p50"), only);
    ck_assert_double_eq(latency(stats, "p99"), only);
    ck_assert_double_eq(latency(stats, "p999"), only);
    ck_assert_double_eq(latency(stats, "max"), only);
    cJSON_Delete(stats);
    method_table_free(&table);
}
END_TEST

START_TEST(a_method_that_was_never_called_has_no_latency)
{
    start();
    cJSON *stats = introspect_stats(&introspect);
    ck_assert_double_eq(latency(stats, "mean"), 0);
    ck_assert_double_eq(latency(stats, "p999"), 0);
    ck_assert_double_eq(latency(stats, "max"), 0);
    cJSON_Delete(stats);
    method_table_free(&table);
}
END_TEST

START_TEST(counters_above_two_to_the_53_are_exact)
{
    start();
    board_head(board, row)->since_ns -= 5 * 365ull * 86400 * NS_PER_S; /* a worker of that age */
    counter_add(&row->counters[COUNT_FRAMES], (1ull << 53) + 1);
    row->methods[0].calls = UINT64_MAX;
    row->methods[0].failures[0] = (1ull << 53) + 1;
    cJSON *stats = introspect_stats(&introspect);
    char *text = cJSON_PrintUnformatted(stats);
    ck_assert_ptr_nonnull(strstr(text, "\"frames\":9007199254740993"));
    ck_assert_ptr_nonnull(strstr(text, "\"calls\":18446744073709551615"));
    ck_assert_ptr_nonnull(strstr(text, "\"errors\":9007199254740993"));
    cJSON_free(text);
    cJSON_Delete(stats);
    method_table_free(&table);
}
END_TEST

/* What the asking server does not offer, another one does. */
START_TEST(counters_are_of_all_methods_and_the_list_is_of_this_server)
{
    start();
    uint32_t index = board_add_method(board, "elsewhere");
    counter_add(&row->methods[index].calls, 7);
    cJSON *stats = introspect_stats(&introspect);
    const cJSON *methods = member(stats, "methods");
    ck_assert_int_eq(cJSON_GetArraySize(methods), 2);
    ck_assert_str_eq(member(member(methods, "elsewhere"), "calls")->valuestring, "7");
    cJSON *list = introspect_methods(&introspect);
    ck_assert_int_eq(cJSON_GetArraySize(list), 1);
    ck_assert_ptr_null(introspect_describe(&introspect, "elsewhere"));
    cJSON_Delete(list);
    cJSON_Delete(stats);
    method_table_free(&table);
}
END_TEST

START_TEST(health_counts_the_workers_that_serve)
{
    start();
    board->workers = 2;
    board_head(board, row)->state = ROW_SERVING;
    board_take_row(board, 1, 3);
    cJSON *health = introspect_health(&introspect);
    ck_assert_str_eq(member(health, "status")->valuestring, "ok");
    ck_assert_int_eq(member(health, "workers")->valueint, 2);
    ck_assert_int_eq(member(health, "serving")->valueint, 1);
    cJSON_Delete(health);
    method_table_free(&table);
}
END_TEST

/* After a reload that has changed its bounds a histogram has the buckets of both. */
START_TEST(histograms_are_shown_in_the_order_of_their_bounds)
{
    static const struct {
        const char *name;
        enum board_metric_kind kind;
        int64_t count;
    } cells[] = {{"toy.waits sum", BOARD_SUM, 0},        {"toy.waits le 1", BOARD_COUNTER, 3},
                 {"toy.waits le inf", BOARD_COUNTER, 4}, {"toy.waits le 0.5", BOARD_COUNTER, 5},
                 {"toy.waits le 20", BOARD_COUNTER, 6},  {"toy.other le 1", BOARD_COUNTER, 7},
                 {"toy.waits le x", BOARD_COUNTER, 8},   {"toy.waits is 1", BOARD_COUNTER, 9},
                 {"toy.waits le 30", BOARD_COUNTER, -1}, {"toy.waits le nan", BOARD_COUNTER, 1}};

    start();
    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
        uint32_t index = board_add_metric(board, cells[i].name, cells[i].kind);
        metric_cell_add(&row->metrics[index], cells[i].count);
    }
    metric_cell_add_real(&row->metrics[0], 12.5);
    cJSON *stats = introspect_stats(&introspect);
    expect_text(cJSON_DetachItemFromObject(
                    member(member(member(stats, "modules"), "toy"), "metrics"), "waits"),
                "{\"count\":18,\"sum\":12.5,\"buckets\":[[0.5,5],[1,3],[20,6],[null,4]]}");
    cJSON_Delete(stats);
}
END_TEST

UNIT_MAIN("introspect", methods_are_listed_and_described, percentiles_are_upper_limits_of_buckets,
          a_call_that_is_being_counted_leaves_percentiles_alone,
          a_method_that_was_never_called_has_no_latency, counters_above_two_to_the_53_are_exact,
          counters_are_of_all_methods_and_the_list_is_of_this_server,
          health_counts_the_workers_that_serve, histograms_are_shown_in_the_order_of_their_bounds)
