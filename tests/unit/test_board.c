/* What the board promises: see core/rpc/board.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "rpc/board.h"
#include "rpc/metric.h"

static struct board *board;
static struct error error;

static void start(void)
{
    board = board_new(&error);
    ck_assert_msg(board != NULL, "%s", error.text);
}

static long pages_bytes(void)
{
    struct stat status;
    ck_assert_int_eq(fstat(board_descriptor(), &status), 0);
    return status.st_blocks * 512;
}

/* ---- Methods ---- */

START_TEST(servers_have_indexes_of_their_own_while_there_is_room)
{
    char name[32];

    start();
    uint32_t one = board_add_server_method(board, "a:1", "ping");
    uint32_t two = board_add_server_method(board, "b:2", "ping");
    ck_assert_uint_ne(one, two);
    ck_assert_uint_eq(board_add_server_method(board, "a:1", "ping"), one);
    ck_assert_uint_eq(board_find_server_method(board, "b:2", BYTES("ping")), two);
    ck_assert_uint_eq(board_find_server_method(board, "c:3", BYTES("ping")), one);
    ck_assert_uint_eq(board_find_method(board, BYTES("ping")), one);
    ck_assert_uint_eq(board_next_of_name(board, one), two);
    ck_assert_uint_eq(board_next_of_name(board, two), BOARD_NO_METHOD);
    ck_assert(board_first_of_name(board, one) && !board_first_of_name(board, two));
    for (unsigned i = 2; i < BOARD_METHODS_MAX; i++) {
        snprintf(name, sizeof(name), "method.%u", i);
        board_add_server_method(board, "a:1", name);
    }
    /* full: servers share what there is */
    ck_assert_uint_eq(board_add_server_method(board, "c:3", "ping"), one);
    ck_assert_uint_eq(board_add_server_method(board, "c:3", "new"), BOARD_NO_METHOD);
}
END_TEST

START_TEST(board_gives_each_name_one_index_for_ever)
{
    char name[BOARD_NAME_MAX + 1];

    start();
    ck_assert_uint_eq(board_find_method(board, BYTES("ping")), BOARD_NO_METHOD);
    for (uint32_t i = 0; i < BOARD_METHODS_MAX; i++) {
        snprintf(name, sizeof(name), "method.%u", i);
        must(board_add_method(board, name) == i);
        must(board_add_method(board, name) == i);
        must(board_find_method(board, bytes_of(name)) == i);
    }
    ck_assert_uint_eq(board_add_method(board, "one too many"), BOARD_NO_METHOD);
    ck_assert_uint_eq(board_add_method(board, "method.5"), 5);
    ck_assert_uint_eq(board->method_count, BOARD_METHODS_MAX);
    ck_assert_uint_eq(board_find_method(board, (struct bytes){"method.55", 8}), 5);
    ck_assert_uint_eq(board_find_method(board, (struct bytes){"method", 6}), BOARD_NO_METHOD);
}
END_TEST

START_TEST(board_takes_names_of_every_length_that_a_request_can_have)
{
    char name[BOARD_NAME_MAX + 1];

    start();
    memset(name, 'x', sizeof(name));
    name[BOARD_NAME_MAX] = '\0';
    ck_assert_uint_eq(board_add_method(board, name), BOARD_NO_METHOD);
    ck_assert_uint_eq(board->method_count, 0);
    name[BOARD_NAME_MAX - 1] = '\0';
    ck_assert_uint_eq(board_add_method(board, name), 0);
    ck_assert_uint_eq(board_find_method(board, bytes_of(name)), 0);
}
END_TEST

/* ---- Rows ---- */

START_TEST(board_rows_are_taken_zeroed_and_given_back)
{
    static struct board_row *rows[BOARD_ROWS_MAX];

    start();
    board_add_method(board, "ping");
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < BOARD_ROWS_MAX; i++) {
            struct board_row *row = rows[i] = board_take_row(board, i, round + 1);
            must(row != NULL);
            struct board_head *head = board_head(board, row);
            must(head->state == ROW_STARTING && head->slot == i && head->generation == round + 1);
            must(head->pid == 0 && row->open == 0 && row->running == 0);
            must(row->dispatched == 0 && row->allowed_ns == 0);
            must(row->counters[COUNT_FRAMES] == 0 && row->methods[0].calls == 0);
            head->pid = 1;
            row->open = row->running = 1;
            row->dispatched = row->allowed_ns = 1;
            row->counters[COUNT_FRAMES] = 1;
            row->methods[0].calls = 1;
        }
        ck_assert_ptr_null(board_take_row(board, 0, 1));
        ck_assert_uint_eq(board->row_high, BOARD_ROWS_MAX);
        for (uint32_t i = 0; i < BOARD_ROWS_MAX; i++)
            board_retire_row(board, rows[(i * 7) % BOARD_ROWS_MAX]);
    }
    ck_assert_uint_eq(board_sum(board, COUNT_FRAMES), 3 * BOARD_ROWS_MAX);
}
END_TEST

START_TEST(board_rows_that_were_never_used_cost_nothing)
{
    start();
    board_add_method(board, "ping");
    struct board_row *row = board_take_row(board, 0, 1);
    board_sum(board, COUNT_FRAMES);
    struct method_counters sum;
    board_sum_method(board, 0, &sum);
    board_retire_row(board, row);
    ck_assert_uint_eq(board->row_high, 1);
    ck_assert_int_lt(pages_bytes(), 256 * 1024);
    ck_assert_uint_gt(sizeof(struct board), 64 * 1024 * 1024);
}
END_TEST

START_TEST(board_metrics_are_counters_and_gauges)
{
    char name[32];

    start();
    for (uint32_t i = 0; i < BOARD_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "module.%u", i);
        must(board_add_metric(board, name, i % 2 == 1 ? BOARD_GAUGE : BOARD_COUNTER) == i);
        must(board_add_metric(board, name, BOARD_COUNTER) == i);
    }
    ck_assert_uint_eq(board_add_metric(board, "one.more", BOARD_COUNTER), BOARD_NO_METRIC);
    ck_assert_uint_eq(board_find_metric(board, BYTES("module.7")), 7);
    struct board_row *row = board_take_row(board, 0, 1), *other = board_take_row(board, 1, 1);
    metric_cell_add(&row->metrics[0], 5);
    metric_cell_add(&row->metrics[1], 5);
    metric_cell_add(&other->metrics[0], 2);
    metric_cell_add(&other->metrics[1], -2);
    ck_assert_int_eq(board_sum_metric(board, 0), 7);
    ck_assert_int_eq(board_sum_metric(board, 1), 3);
    board_retire_row(board, row);
    ck_assert_int_eq(board_sum_metric(board, 0), 7);
    ck_assert_int_eq(board_sum_metric(board, 1), -2);
    board_retire_row(board, other);
}
END_TEST

START_TEST(board_sums_are_added_as_what_they_are)
{
    start();
    ck_assert_uint_eq(board_add_metric(board, "shop.wait sum", BOARD_SUM), 0);
    struct board_row *row = board_take_row(board, 0, 1), *other = board_take_row(board, 1, 1);
    metric_cell_add_real(&row->metrics[0], 0.5);
    metric_cell_add_real(&row->metrics[0], 0.25);
    metric_cell_add_real(&other->metrics[0], 1e18);
    metric_cell_add_real(&other->metrics[0], -1e18);
    ck_assert_double_eq(board_sum_real(board, 0), 0.75);
    board_retire_row(board, row);
    ck_assert_double_eq(board_sum_real(board, 0), 0.75);
    metric_cell_add_real(&other->metrics[0], INFINITY); /* damaged */
    ck_assert_double_eq(board_sum_real(board, 0), 0.75);
    board_retire_row(board, other);
    ck_assert_double_eq(board_sum_real(board, 0), 0.75);
}
END_TEST

START_TEST(metrics_that_a_probe_names_are_checked)
{
    char list[] =
        "+shop.sold\n=shop memory_bytes\n\n+\n=\n?shop.odd\nshop.none\n+a\x1b[2J\n+b\xc2\x9b\n"
        "=shop.sold\n+last";
    char more[BOARD_NAME_MAX + 2] = "+";

    start();
    ck_assert(metrics_declare(board, list));
    ck_assert_uint_eq(board_metrics_known(board), 3);
    ck_assert_uint_eq(board_find_metric(board, BYTES("shop.sold")), 0);
    ck_assert_uint_eq(board->metric_kind[0], BOARD_COUNTER);
    ck_assert_uint_eq(board->metric_kind[board_find_metric(board, BYTES("shop memory_bytes"))],
                      BOARD_GAUGE);
    ck_assert_uint_eq(board_find_metric(board, BYTES("last")), 2);
    memset(more + 1, 'x', BOARD_NAME_MAX);
    ck_assert(!metrics_declare(board, more));
    ck_assert_uint_eq(board_metrics_known(board), 3);
}
END_TEST

/* Nothing is lost and nothing counted twice, whatever rows come and go. */
START_TEST(board_totals_outlive_the_rows)
{
    enum { ROWS = 20, METHODS = 7 };
    static struct board_row *rows[ROWS];
    uint64_t counted[WORKER_COUNTERS] = {0}, calls[METHODS] = {0}, in_bucket[METHODS] = {0};
    char name[16];

    start();
    for (uint32_t m = 0; m < METHODS; m++) {
        snprintf(name, sizeof(name), "m%u", m);
        board_add_method(board, name);
    }
    for (unsigned step = 0; step < 5000; step++) {
        struct board_row **row = &rows[random_below(ROWS)];
        if (*row == NULL) {
            *row = board_take_row(board, 0, 1);
        } else if (random_below(10) == 0) {
            board_retire_row(board, *row);
            *row = NULL;
        } else {
            uint32_t c = random_below(WORKER_COUNTERS), m = random_below(METHODS);
            uint32_t more = random_below(1000);
            counter_add(&(*row)->counters[c], more);
            counted[c] += more;
            counter_add(&(*row)->methods[m].calls, 1);
            counter_add(&(*row)->methods[m].failures[0], 1);
            counter_add(&(*row)->methods[m].total_ns, 10);
            counter_add(&(*row)->methods[m].latency[m + 50], 1);
            calls[m]++;
            in_bucket[m]++;
        }
        if (step % 50 != 0)
            continue;
        for (uint32_t c = 0; c < WORKER_COUNTERS; c++)
            must(board_sum(board, c) == counted[c]);
        for (uint32_t m = 0; m < METHODS; m++) {
            struct method_counters sum;
            board_sum_method(board, m, &sum);
            must(sum.calls == calls[m] && method_failures(&sum) == calls[m]);
            must(sum.total_ns == calls[m] * 10);
            must(sum.latency[m + 50] == in_bucket[m] && sum.latency[0] == 0);
        }
    }
}
END_TEST

/* ---- What a worker may do ---- */

static int status_of(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child);
    return status;
}

START_TEST(worker_writes_to_its_row_and_reads_the_board)
{
    start();
    board_add_method(board, "ping");
    struct board_row *row = board_take_row(board, 3, 1), *other = board_take_row(board, 4, 1);
    counter_add(&other->counters[COUNT_FRAMES], 1);
    pid_t child = fork();
    if (child == 0) {
        struct board_row *own = row;
        must(board_enter(board, &own, &error));
        counter_add(&own->counters[COUNT_FRAMES], 42);
        counter_add(&own->methods[0].calls, 2);
        must(board_find_method(board, BYTES("ping")) == 0);
        must(board_sum(board, COUNT_FRAMES) == 43);
        _exit(0);
    }
    ck_assert_int_eq(status_of(child), 0);
    ck_assert_uint_eq(board_sum(board, COUNT_FRAMES), 43);
    ck_assert_uint_eq(row->methods[0].calls, 2);
}
END_TEST

/* Whether a child that has entered the board, with a row, dies of a store at `place`. */
static bool store_kills(struct board_row *row, void *place, bool made_writable)
{
    uintptr_t page = (uintptr_t)place & ~(uintptr_t)(BOARD_PAGE - 1);
    pid_t child = fork();

    if (child == 0) {
        must(board_enter(board, row == NULL ? NULL : &row, &error));
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        if (made_writable)
            must(mprotect((void *)page, BOARD_PAGE, PROT_READ | PROT_WRITE) < 0);
        *(volatile char *)place = 1;
        _exit(0);
    }
    int status = status_of(child);
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

/* ---- While rows come and go ---- */

static _Atomic uint64_t counted; /* at most */
static _Atomic bool over;

/* No sum is ever less than it was, or more than what was counted. */
static void *read_sums(void *unused)
{
    uint64_t last[3] = {0};

    while (!atomic_load(&over)) {
        struct method_counters method;
        board_sum_method(board, 0, &method);
        const uint64_t now[3] = {board_sum(board, 0), counter_read(&method.calls),
                                 board_sum_tls(board, 0)};
        uint64_t most = atomic_load(&counted);
        for (int i = 0; i < 3; i++) {
            must(now[i] >= last[i] && now[i] <= most);
            last[i] = now[i];
        }
    }
    return unused;
}

START_TEST(sums_are_whole_while_rows_are_added_to_the_totals)
{
    enum { ROUNDS = 20000, METHODS = 50, COUNTS = 1000 };
    char name[16];
    pthread_t reader;

    start();
    for (uint32_t m = 0; m < METHODS; m++) {
        snprintf(name, sizeof(name), "m%u", m);
        board_add_method(board, name);
    }
    struct board_row *stays = board_take_row(board, 0, 1);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_sums, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct board_row *row = board_take_row(board, 1 + round % 2, 1);
        struct board_gate *gate = board_take_gate(board);
        atomic_fetch_add(&counted, COUNTS + 1);
        counter_add(&stays->counters[0], 1);
        counter_add(&row->counters[0], COUNTS);
        counter_add(&row->methods[0].calls, COUNTS);
        counter_add(&gate->counters[0], COUNTS);
        board_retire_row(board, row);
        board_retire_gate(board, gate);
    }
    atomic_store(&over, true);
    ck_assert_int_eq(pthread_join(reader, NULL), 0);
    ck_assert_uint_eq(board_sum(board, 0), ROUNDS * (COUNTS + 1));
    ck_assert_uint_eq(board_calls(board, 0), ROUNDS * COUNTS);
    ck_assert_uint_eq(board_sum_tls(board, 0), ROUNDS * COUNTS);
}
END_TEST

START_TEST(worker_can_write_to_its_own_row_only)
{
    start();
    struct board_row *row = board_take_row(board, 0, 1), *other = board_take_row(board, 1, 1);
    void *const places[] = {
        (void *)&board->row_high,  (void *)&board->heads[1].state,
        board->names[0],           (void *)&board->quarantined[0],
        (void *)&other->open,      (void *)&board->totals[0],
        (void *)&board->crashes,   (void *)&row->open, /* as the others see it */
        (void *)&board->generation};

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        ck_assert_msg(store_kills(row, places[i], false), "place %zu", i);
        ck_assert_msg(store_kills(row, places[i], true), "place %zu", i);
        ck_assert_msg(store_kills(NULL, places[i], false), "place %zu of a probe", i);
    }
}
END_TEST

START_TEST(board_file_cannot_be_cut_short)
{
    start();
    ck_assert_int_lt(ftruncate(board_descriptor(), 4096), 0);
    ck_assert_int_lt(ftruncate(board_descriptor(), (off_t)sizeof(struct board) * 2), 0);
}
END_TEST

START_TEST(counts_that_no_worker_can_have_reached_are_left_out)
{
    struct method_counters sum;

    start();
    board_add_method(board, "ping");
    struct board_row *row = board_take_row(board, 0, 1);
    row->counters[COUNT_FRAMES] = UINT64_MAX;
    row->counters[COUNT_BYTES_IN] = 1000;
    row->methods[0].calls = 7;
    row->methods[0].failures[0] = 0x4141414141414141;
    row->methods[0].latency[3] = 1ull << 63;
    row->methods[0].total_ns = UINT64_MAX / 2;
    for (unsigned retired = 0; retired < 2; retired++) {
        ck_assert_uint_eq(board_sum(board, COUNT_FRAMES), 0);
        ck_assert_uint_eq(board_sum(board, COUNT_BYTES_IN), 1000);
        board_sum_method(board, 0, &sum);
        ck_assert_uint_eq(sum.calls, 7);
        ck_assert_uint_eq(method_failures(&sum), 0);
        ck_assert_uint_eq(sum.latency[3], 0);
        ck_assert_uint_eq(sum.total_ns, 0);
        if (retired == 0)
            ck_assert_uint_eq(board_retire_row(board, row), 4);
    }
}
END_TEST

/* ---- Taking over from another binary ---- */

static bool anew;

START_TEST(board_resumed_is_the_same)
{
    start();
    board_add_method(board, "ping");
    counter_add(&board_take_row(board, 0, 1)->counters[COUNT_FRAMES], 7);
    uint64_t started = board->started_ns;
    int fd = dup(board_descriptor());
    struct board *resumed = board_resume(fd, &anew, &error);
    ck_assert_ptr_nonnull(resumed);
    ck_assert_ptr_ne(resumed, board);
    ck_assert_int_eq(board_descriptor(), fd);
    ck_assert_uint_eq(board_sum(resumed, COUNT_FRAMES), 7);
    ck_assert_uint_eq(board_find_method(resumed, BYTES("ping")), 0);
    ck_assert_uint_eq(resumed->started_ns, started);
}
END_TEST

START_TEST(board_of_another_layout_begins_again)
{
    static const char *const files[] = {"/dev/null", "/dev/zero", "/proc/self/exe"};

    for (size_t i = 0; i < 3 + 2; i++) {
        int fd;
        start();
        board_add_method(board, "ping");
        if (i < 3) {
            fd = open(files[i], O_RDONLY | O_CLOEXEC);
        } else {
            fd = dup(board_descriptor());
            *(i == 3 ? &board->layout : &board->size) += 1;
        }
        struct board *resumed = board_resume(fd, &anew, &error);
        ck_assert_ptr_nonnull(resumed);
        ck_assert_uint_eq(board_find_method(resumed, BYTES("ping")), BOARD_NO_METHOD);
        ck_assert(anew);
        ck_assert_uint_eq(resumed->layout, BOARD_LAYOUT);
        ck_assert_uint_eq(resumed->size, sizeof(struct board));
    }
    ck_assert_ptr_nonnull(board_resume(-1, &anew, &error));
}
END_TEST

/* ---- Latencies ---- */

START_TEST(latency_buckets_meet_without_gaps)
{
    ck_assert_uint_eq(latency_bucket(0), 0);
    ck_assert_uint_eq(latency_limit(0), 127);
    for (uint32_t bucket = 0; bucket + 1 < LATENCY_BUCKETS; bucket++) {
        uint64_t last = latency_limit(bucket);
        ck_assert_uint_eq(latency_bucket(last), bucket);
        ck_assert_uint_eq(latency_bucket(last + 1), bucket + 1);
        ck_assert_uint_gt(latency_limit(bucket + 1), last);
        /* Two for each power of two: a bucket is at most half as wide as it is long. */
        if (bucket > 0)
            ck_assert_uint_le(last - latency_limit(bucket - 1), (last + 1) / 3);
    }
    ck_assert_uint_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
    ck_assert_uint_eq(latency_limit(LATENCY_BUCKETS - 1), UINT64_MAX);
    ck_assert_uint_eq(latency_limit(LATENCY_BUCKETS + 5), UINT64_MAX);
    ck_assert_uint_eq(latency_limit(1), 191);
    ck_assert_uint_eq(latency_limit(2), 255);
}
END_TEST

START_TEST(latency_buckets_are_monotonic)
{
    uint64_t ns = 0;

    while (ns < UINT64_MAX / 2) {
        uint64_t next = ns + 1 + ns / 97;
        uint32_t bucket = latency_bucket(ns);
        must(bucket <= latency_bucket(next));
        must(ns <= latency_limit(bucket));
        must(bucket == 0 || ns > latency_limit(bucket - 1));
        ns = next;
    }
}
END_TEST

START_TEST(board_blame_believes_nothing)
{
    struct blame blame;

    start();
    board_add_method(board, "ping");
    struct board_row *row = board_take_row(board, 0, 1);
    board_blame(board, row, false, &blame);
    must(blame.duty == DUTY_NONE && blame.method == BOARD_NO_METHOD && blame.marked);
    row->running = 1;
    board_blame(board, row, true, &blame);
    must(blame.duty == DUTY_HANDLER && blame.method == 0 && blame.marked);
    row->running = 2; /* there is one method */
    board_blame(board, row, false, &blame);
    must(blame.duty == DUTY_NONE && blame.method == BOARD_NO_METHOD);
    memset(row->modules, 'm', sizeof(row->modules));
    row->culprit_told = CULPRIT_TOLD;
    row->culprit.duty = DUTY_WORK;
    row->culprit.module = BOARD_MODULES_MAX;
    row->culprit.method = 1;
    row->culprit.connection = 7;
    board_blame(board, row, false, &blame);
    must(blame.duty == DUTY_WORK && blame.method == 0 && !blame.marked && blame.connection == 7);
    ck_assert_uint_eq(strlen(blame.module), BOARD_MODULE_NAME_MAX - 1);
    row->modules[BOARD_MODULES_MAX - 1][3] = '\033';
    board_blame(board, row, false, &blame);
    ck_assert_str_eq(blame.module, "mmm");
    row->culprit.duty = DUTIES;
    row->culprit.module = UINT32_MAX;
    row->culprit.method = UINT32_MAX;
    board_blame(board, row, false, &blame);
    must(blame.duty == DUTY_NONE && blame.method == BOARD_NO_METHOD);
    ck_assert_str_eq(blame.module, "");
    row->running = UINT32_MAX;
    board_blame(board, row, true, &blame);
    must(blame.duty == DUTY_NONE && blame.method == BOARD_NO_METHOD && blame.marked);
}
END_TEST

START_TEST(every_counter_has_a_name_of_its_own)
{
    for (uint32_t a = 0; a < WORKER_COUNTERS; a++) {
        ck_assert_ptr_nonnull(worker_counter_name(a));
        for (uint32_t b = 0; b < a; b++)
            ck_assert_str_ne(worker_counter_name(a), worker_counter_name(b));
    }
}
END_TEST

UNIT_MAIN("board", servers_have_indexes_of_their_own_while_there_is_room,
          board_gives_each_name_one_index_for_ever,
          board_takes_names_of_every_length_that_a_request_can_have,
          board_rows_are_taken_zeroed_and_given_back, board_rows_that_were_never_used_cost_nothing,
          board_metrics_are_counters_and_gauges, board_sums_are_added_as_what_they_are,
          metrics_that_a_probe_names_are_checked, board_totals_outlive_the_rows,
          sums_are_whole_while_rows_are_added_to_the_totals,
          worker_writes_to_its_row_and_reads_the_board, worker_can_write_to_its_own_row_only,
          board_file_cannot_be_cut_short, counts_that_no_worker_can_have_reached_are_left_out,
          board_resumed_is_the_same, board_of_another_layout_begins_again,
          latency_buckets_meet_without_gaps, latency_buckets_are_monotonic,
          board_blame_believes_nothing, every_counter_has_a_name_of_its_own)
