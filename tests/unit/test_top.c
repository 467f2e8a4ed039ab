/* What `pillion top` and `pillion status` make of two answers of a server: differences, and frames
 * of every size. */
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/columns.h"
#include "cmd/figures.h"
#include "cmd/top_json.h"
#include "cmd/top_view.h"

/* ---- Samples ---- */

static struct sample *sample_of(const char *json, double at_s)
{
    cJSON *stats = cJSON_Parse(json);

    ck_assert_msg(stats != NULL, "%s", json);
    struct sample *sample = sample_new(stats, (uint64_t)(at_s * 1e9));
    cJSON_Delete(stats);
    return sample;
}

static const char first[] =
    "{\"generation\":3,\"uptime_seconds\":100,\"connections\":{\"open\":7},"
    "\"workers\":[{\"slot\":0,\"pid\":11,\"state\":\"serving\",\"cpu_seconds\":1.5,"
    "\"messages\":100},{\"slot\":1,\"pid\":12,\"state\":\"serving\",\"cpu_seconds\":9,"
    "\"messages\":900}],"
    "\"methods\":{\"a\":{\"calls\":10,\"errors\":1,\"errors_by_code\":{\"timeout\":1},"
    "\"histogram\":[[1.023,9]]},\"b\":{\"calls\":5,\"errors\":0,\"histogram\":[]}}}";
static const char second[] =
    "{\"generation\":3,\"uptime_seconds\":102,\"connections\":{\"open\":8},"
    "\"workers\":[{\"slot\":0,\"pid\":11,\"state\":\"serving\",\"state_seconds\":90,"
    "\"cpu_seconds\":2.5,\"messages\":140},{\"slot\":1,\"pid\":13,\"state\":\"starting\","
    "\"cpu_seconds\":0.5,\"messages\":6}],"
    "\"methods\":{\"a\":{\"calls\":30,\"errors\":5,\"errors_by_code\":{\"timeout\":2,\"mine\":3},"
    "\"histogram\":[[1.023,19],[4194.303,1]],\"in_flight\":2},"
    "\"b\":{\"calls\":1,\"errors\":0,\"histogram\":[],\"quarantined\":true},"
    "\"c\":{\"calls\":4,\"errors\":0,\"histogram\":[]}}}";

static struct sample *compared(void)
{
    struct sample *before = sample_of(first, 50), *now = sample_of(second, 52);

    sample_compare(now, before);
    sample_free(before);
    return now;
}

START_TEST(workers_keep_their_rows_over_crashes)
{
    static const char stats[] = "{\"workers\":[{\"slot\":1,\"pid\":14,\"generation\":2},"
                                "{\"slot\":1,\"pid\":12,\"generation\":1},"
                                "{\"slot\":0,\"pid\":15,\"generation\":2}]}";
    struct sample *sample = sample_of(stats, 50);

    ck_assert_double_eq(sample->workers[0].pid, 12);
    ck_assert_double_eq(sample->workers[1].pid, 15);
    ck_assert_double_eq(sample->workers[2].pid, 14);
    sample_free(sample);
}
END_TEST

START_TEST(what_happened_is_the_difference)
{
    struct sample *sample = compared();
    const struct sample_method *a = &sample->methods[0], *b = a + 1, *c = a + 2;

    ck_assert_double_eq(sample->interval_s, 2);
    ck_assert_double_eq(a->lately.rate, 10);
    ck_assert_double_eq(a->lately.error_rate, 2);
    ck_assert_double_eq(a->lately.errors[error_code_index("timeout")], 0.5);
    ck_assert_double_eq(a->lately.errors[error_code_index("mine")], 1.5);
    ck_assert_double_eq(a->lately.p50_us, 1.023);
    ck_assert_double_eq_tol(a->lately.p99_us, 4194.303, 0.01);
    ck_assert_double_eq(b->lately.rate, 0.5); /* it has begun anew */
    ck_assert(b->quarantined && !a->quarantined);
    ck_assert_double_eq(c->lately.rate, 2); /* it is new */
    ck_assert_double_eq(c->lately.p99_us, 0);
    ck_assert_double_eq(sample->lately.rate, 12.5);
    ck_assert_double_eq(sample->workers[0].rate, 20);
    ck_assert_double_eq(sample->workers[0].cpu, 0.5);
    ck_assert_double_eq(sample->workers[1].rate, 3); /* another process in the slot */
    ck_assert_double_eq(sample->workers[1].cpu, 0.25);
    sample_free(sample);
}
END_TEST

START_TEST(a_server_that_was_started_anew_is_not_compared)
{
    struct sample *before = sample_of("{\"started_at_ms\":1795939480368,"
                                      "\"methods\":{\"a\":{\"calls\":10,\"errors\":0}}}",
                                      50);
    struct sample *now = sample_of("{\"started_at_ms\":1795939480668,"
                                   "\"methods\":{\"a\":{\"calls\":30,\"errors\":0}}}",
                                   51);

    sample_compare(now, before);
    ck_assert_double_eq(now->interval_s, 0);
    ck_assert_double_eq(now->methods[0].lately.rate, 0);
    sample_free(before);
    sample_free(now);
}
END_TEST

START_TEST(every_bucket_of_a_histogram_is_found)
{
    struct text json = {0};

    text_append_string(&json, "{\"methods\":{\"a\":{\"histogram\":[");
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++)
        text_printf(&json, "%s[%.17g,%u]", b == 0 ? "" : ",", (double)latency_limit(b) / 1000,
                    b + 1);
    text_append_string(&json, "]}}}");
    struct sample *sample = sample_of(text_string(&json), 1);
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++)
        ck_assert_double_eq(sample->methods[0].buckets[b], b + 1);
    sample_free(sample);
    text_free(&json);
}
END_TEST

START_TEST(answers_of_other_versions_are_read_as_far_as_they_go)
{
    static const char *const answers[] = {
        "{}",
        "[]",
        "7",
        "{\"workers\":{\"x\":1},\"methods\":[1,2]}",
        "{\"workers\":[null],\"methods\":{\"a\":null}}",
        "{\"methods\":{\"a\":{\"histogram\":[1,[],[1],[\"x\",2],[-1,1],[1e300,4],[null,3]]}}}",
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        struct sample *before = sample_of(answers[i], 1), *sample = sample_of(second, 2);
        sample_compare(sample, before);
        sample_compare(before, sample); /* which is later: nothing */
        ck_assert_double_eq(before->interval_s, 0);
        sample_free(before);
        sample_free(sample);
    }
}
END_TEST

START_TEST(json_has_the_rates)
{
    struct sample *sample = compared();
    struct text out = {0};

    top_json_append(&out, sample);
    cJSON *top = cJSON_Parse(text_string(&out));
    const cJSON *a = cJSON_GetObjectItem(cJSON_GetObjectItem(top, "methods"), "a");
    ck_assert_double_eq(cJSON_GetObjectItem(a, "calls_per_second")->valuedouble, 10);
    ck_assert_double_eq(
        cJSON_GetObjectItem(cJSON_GetObjectItem(a, "errors_by_code"), "other")->valuedouble, 1.5);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(top, "workers")), 2);
    cJSON_Delete(top);
    text_free(&out);
    sample_free(sample);
}
END_TEST

/* ---- Frames ---- */

static struct top_view view;
static struct text frame;

/* A server of so many methods, called "method 000" and so on, of which each has been called more
 * often than the one before. */
static struct sample *sample_with(unsigned methods, unsigned workers)
{
    struct text json = {0}, none = {0};

    text_append_string(&json, "{\"workers\":[");
    for (unsigned i = 0; i < workers; i++)
        text_printf(&json, "%s{\"slot\":%u,\"pid\":%u,\"state\":\"serving\"}", i == 0 ? "" : ",", i,
                    1000 + i);
    text_append_string(&json, "],\"methods\":{");
    text_append_string(&none, text_string(&json));
    for (unsigned i = 0; i < methods; i++)
        text_printf(&json, "%s\"method %03u of a rather long name\":{\"calls\":%u}",
                    i == 0 ? "" : ",", i, i * 10);
    text_append_string(&json, "}}");
    text_append_string(&none, "}}");
    struct sample *before = sample_of(text_string(&none), 1),
                  *sample = sample_of(text_string(&json), 2);
    sample_compare(sample, before);
    sample_free(before);
    text_free(&json);
    text_free(&none);
    return sample;
}

static const char *draw(struct sample *sample, int width, int rows)
{
    view.width = width;
    view.rows = rows;
    view.bottom = "q quits";
    text_clear(&frame);
    top_view_append(&frame, &view, sample);
    return text_string(&frame);
}

static void begin(void)
{
    text_free(&frame);
    view = (struct top_view){.sort = 1, .filter = ""};
}

static unsigned lines_of(const char *text)
{
    unsigned lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* The columns of the longest line, without what only sets colours. */
static unsigned widest(const char *text)
{
    unsigned most = 0, columns = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\033')
            text += strcspn(text, "m");
        else if (*text == '\n')
            columns = 0;
        else
            columns += ((unsigned char)*text & 0xc0) != 0x80;
        most = columns > most ? columns : most;
    }
    return most;
}

START_TEST(a_frame_fits_every_terminal)
{
    struct sample *sample = sample_with(500, 128);

    begin();
    view.styled = view.colours = view.utf8 = true;
    for (int i = 0; i < 300; i++)
        top_view_note(&view, sample);
    for (int width = 1; width <= 220; width += width < 90 ? 1 : 13) {
        for (int rows = 1; rows <= 60; rows += rows < 30 ? 1 : 9) {
            for (int w = TOP_WORKERS_SOME; w <= TOP_WORKERS_NONE; w++) {
                view.workers = w;
                view.alarm = rows % 2;
                const char *shown = draw(sample, width, rows);
                ck_assert_uint_le(widest(shown), (unsigned)width);
                if (rows >= 7)
                    ck_assert_uint_eq(lines_of(shown), (unsigned)rows);
            }
        }
    }
    sample_free(sample);
}
END_TEST

START_TEST(columns_are_left_out_where_there_is_no_room)
{
    struct sample *sample = compared();

    begin();
    const char *shown = draw(sample, 40, 24);
    ck_assert_ptr_nonnull(strstr(shown, "METHOD     *CALLS/S   ERR/S  STATE\n"));
    ck_assert_ptr_null(strstr(shown, "P99 "));
    ck_assert_ptr_nonnull(strstr(shown, "quarantined\n"));
    shown = draw(sample, 80, 24);
    ck_assert_ptr_nonnull(strstr(shown, "     P50     P99  UNDER  STATE\n"));
    ck_assert_ptr_nonnull(strstr(shown, "\nWORKER     PID  GEN  STATE       FOR   AGE  CONNS"));
    shown = draw(sample, 200, 24);
    ck_assert_ptr_nonnull(strstr(shown, "connections      8 "));
    ck_assert_ptr_nonnull(strstr(shown, "  ERRORS A SECOND, BY CODE\n"));
    ck_assert_ptr_nonnull(strstr(shown, "  ok           other 1.5, timeout 0.5\n"));
    sample_free(sample);
}
END_TEST

/* Of a server with gates and a registry, `failed` handshakes later. */
static struct sample *sample_of_gates(unsigned failed)
{
    static const char form[] =
        "{\"tls\":{\"gates\":1,\"open\":3,\"handshakes\":%u,\"handshaking\":2,"
        "\"failed\":{\"closed\":%u}},\"registry\":{\"connected\":true},\"workers\":["
        "{\"slot\":0},{\"slot\":1},{\"slot\":2},{\"slot\":3}],\"methods\":{\"a\":{}}}";
    struct text before = {0}, now = {0};

    text_printf(&before, form, 10, 4);
    text_printf(&now, form, 19, 4 + failed);
    struct sample *was = sample_of(text_string(&before), 1),
                  *sample = sample_of(text_string(&now), 3);
    sample_compare(sample, was);
    sample_free(was);
    text_free(&before);
    text_free(&now);
    return sample;
}

START_TEST(a_line_tells_of_gates_and_is_red_while_handshakes_fail)
{
    static const char line[] = "TLS: 3 connections by 1 gate; 4.5 handshakes/s, ";
    struct sample *well = sample_of_gates(0), *ill = sample_of_gates(2);
    struct text json = {0};

    begin();
    view.styled = view.colours = true;
    const char *shown = draw(well, 80, 24);
    ck_assert_msg(strstr(shown, line) != NULL, "%s", shown);
    ck_assert_ptr_nonnull(strstr(shown, " 0 failed/s, 2 under way\n"));
    ck_assert_ptr_nonnull(strstr(draw(ill, 80, 24), "\033[31mTLS: 3 connections"));
    ck_assert_ptr_null(strstr(draw(ill, 80, 11), "TLS")); /* there is no room */
    view.workers = TOP_WORKERS_ALL;
    shown = draw(ill, 80, 12);
    ck_assert_uint_eq(lines_of(shown), 12);
    ck_assert_msg(strstr(shown, "\na ") != NULL, "there is no room for methods: %s", shown);
    top_json_append(&json, ill);
    ck_assert_ptr_nonnull(strstr(text_string(&json), "\"handshakes_per_second\":4.5,"
                                                     "\"failed_per_second\":1}"));
    text_free(&json);
    sample_free(well);
    sample_free(ill);
}
END_TEST

START_TEST(methods_are_sorted_filtered_and_scrolled)
{
    struct sample *sample = sample_with(500, 2);

    begin();
    const char *shown = draw(sample, 80, 24);
    ck_assert_ptr_nonnull(strstr(shown, "STATE\nmethod 499 "));
    ck_assert_ptr_nonnull(strstr(shown, "q quits  methods 1-14 of 500\n"));
    ck_assert_uint_eq(view.page, 14);
    view.scroll = 100;
    ck_assert_ptr_nonnull(strstr(draw(sample, 80, 24), "STATE\nmethod 399 "));
    view.scroll = SIZE_MAX / 2;
    shown = draw(sample, 80, 24);
    ck_assert_ptr_nonnull(strstr(shown, "\nmethod 000 "));
    ck_assert_ptr_nonnull(strstr(shown, "methods 487-500 of 500\n"));
    view.scroll = 0;
    top_view_sort(&view, false); /* by name, which ascends */
    ck_assert_str_eq(top_view_sorted_by(&view), "METHOD");
    ck_assert_ptr_nonnull(strstr(draw(sample, 80, 24), "STATE\nmethod 000 "));
    top_view_sort(&view, false); /* there is nothing further to the left */
    ck_assert_str_eq(top_view_sorted_by(&view), "METHOD");
    view.filter = "METHOD 49";
    shown = draw(sample, 80, 24);
    ck_assert_ptr_nonnull(strstr(shown, "STATE\nmethod 490 "));
    ck_assert_ptr_null(strstr(shown, "method 489 "));
    view.filter = "no such";
    ck_assert_ptr_nonnull(strstr(draw(sample, 80, 24), "STATE\nno such methods\n"));
    for (unsigned i = 0; i < 20; i++)
        top_view_sort(&view, true);
    ck_assert_str_eq(top_view_sorted_by(&view), "STATE"); /* the last one that is shown */
    sample_free(sample);
}
END_TEST

START_TEST(workers_are_some_all_or_none)
{
    struct sample *sample = sample_with(20, 12);

    begin();
    const char *shown = draw(sample, 80, 24);
    ck_assert_ptr_nonnull(strstr(shown, "\n2         1002 "));
    ck_assert_ptr_nonnull(strstr(shown, "\n... and 9 more (1 shows them)\n"));
    view.workers = TOP_WORKERS_ALL;
    shown = draw(sample, 80, 30);
    ck_assert_ptr_nonnull(strstr(shown, "\n11        1011 "));
    ck_assert_ptr_nonnull(strstr(shown, "\nMETHOD "));
    view.workers = TOP_WORKERS_NONE;
    ck_assert_ptr_null(strstr(draw(sample, 80, 24), "WORKER"));
    sample_free(sample);
}
END_TEST

START_TEST(sparklines_end_at_the_latest_value)
{
    static struct spark spark;
    struct text out = {0};

    spark_append(&out, &spark, 3, true);
    ck_assert_str_eq(text_string(&out), "   ");
    for (unsigned i = 0; i < SPARK_VALUES + 7; i++)
        spark_add(&spark, 1000);
    spark_add(&spark, 0);
    spark_add(&spark, 1);
    spark_add(&spark, 50);
    spark_add(&spark, 100);
    text_clear(&out);
    spark_append(&out, &spark, 4, true);
    ck_assert_str_eq(text_string(&out), "▁▂▅█");
    text_clear(&out);
    spark_append(&out, &spark, 4, false);
    ck_assert_str_eq(text_string(&out), "_.=#");
    text_free(&out);
}
END_TEST

START_TEST(figures_are_short)
{
    static const struct {
        double value;
        const char *count, *rate, *bytes;
    } rows[] = {{0, "0", "0", "0"},
                {0.04, "0", "0.0", "0"},
                {0.3, "0", "0.3", "0"},
                {9.96, "10", "10", "10"},
                {1000, "1.0k", "1.0k", "1000"},
                {2048, "2.0k", "2.0k", "2.0K"},
                {12345678, "12M", "12M", "12M"}};
    struct text out = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        text_clear(&out);
        figure_count(&out, rows[i].value, 0);
        text_append_char(&out, ' ');
        figure_rate(&out, rows[i].value, 0);
        text_append_char(&out, ' ');
        figure_bytes(&out, rows[i].value, 0);
        char expected[64];
        snprintf(expected, sizeof(expected), "%s %s %s", rows[i].count, rows[i].rate,
                 rows[i].bytes);
        ck_assert_str_eq(text_string(&out), expected);
    }
    text_clear(&out);
    figure_name(&out, "a\033[2Jbcdefgh", 6);
    ck_assert_ptr_null(strchr(text_string(&out), '\033'));
    text_free(&out);
}
END_TEST

UNIT_MAIN("top", workers_keep_their_rows_over_crashes, what_happened_is_the_difference,
          a_server_that_was_started_anew_is_not_compared, every_bucket_of_a_histogram_is_found,
          answers_of_other_versions_are_read_as_far_as_they_go, json_has_the_rates,
          a_frame_fits_every_terminal, columns_are_left_out_where_there_is_no_room,
          methods_are_sorted_filtered_and_scrolled,
          a_line_tells_of_gates_and_is_red_while_handshakes_fail, workers_are_some_all_or_none,
          sparklines_end_at_the_latest_value, figures_are_short)
