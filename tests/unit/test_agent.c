/* What HAProxy's agent-check is told. */
#include "rpc/agent.h"

#include <string.h>

#include "base/clock.h"
#include "unit.h"

static struct board *board;

static void make_board(void)
{
    struct error error;

    board = board_new(&error);
    ck_assert_ptr_nonnull(board);
}

/* One more worker. */
static struct board_row *worker(uint32_t state, uint32_t open, uint64_t lag_ns)
{
    struct board_row *row = board_take_row(board, 0, 1);

    ck_assert_ptr_nonnull(row);
    atomic_store(&board_head(board, row)->state, state);
    atomic_store(&board_head(board, row)->lag_ns, lag_ns);
    atomic_store(&row->open, open);
    return row;
}

START_TEST(the_line_is_what_haproxy_reads)
{
    char line[AGENT_LINE_MAX];

    ck_assert_uint_eq(agent_line(true, 100, line), strlen("up ready 100%\n"));
    ck_assert_str_eq(line, "up ready 100%\n");
    agent_line(true, 1, line);
    ck_assert_str_eq(line, "up ready 1%\n");
    agent_line(false, 100, line);
    ck_assert_str_eq(line, "drain\n");
}
END_TEST

START_TEST(half_of_the_connections_cost_nothing_and_the_rest_costs_all)
{
    static const struct {
        uint32_t open, percent;
    } rows[] = {{0, 100}, {50, 100}, {51, 98}, {75, 50}, {99, 2}, {100, 1}, {1000, 1}};
    make_board();
    struct board_row *row = worker(ROW_SERVING, 0, 0);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        atomic_store(&row->open, rows[i].open);
        ck_assert_uint_eq(agent_percent(board, 100), rows[i].percent);
    }
    atomic_store(&row->open, 0);
    atomic_store(&row->crowded, 1);
    ck_assert_uint_eq(agent_percent(board, 100), 1);
    ck_assert_uint_eq(agent_percent(board, 1), 1);
    ck_assert_uint_eq(agent_percent(board, 0), 1);
}
END_TEST

START_TEST(a_loop_that_is_late_is_worth_less)
{
    make_board();
    worker(ROW_SERVING, 0, AGENT_LAG_NS);
    ck_assert_uint_eq(agent_percent(board, 100), 100);
    worker(ROW_SERVING, 0, 4 * AGENT_LAG_NS);
    ck_assert_uint_eq(agent_percent(board, 100), 62);
    worker(ROW_SERVING, 0, UINT64_MAX);
    ck_assert_uint_eq(agent_percent(board, 100), 41);
}
END_TEST

START_TEST(workers_that_do_not_serve_do_not_count)
{
    make_board();
    ck_assert_uint_eq(agent_percent(board, 100), 1);
    worker(ROW_LEAVING, 100, 0);
    worker(ROW_STARTING, 0, 0);
    ck_assert_uint_eq(agent_percent(board, 100), 1);
    worker(ROW_SERVING, 0, 0);
    ck_assert_uint_eq(agent_percent(board, 100), 100);
}
END_TEST

UNIT_MAIN("agent", the_line_is_what_haproxy_reads,
          half_of_the_connections_cost_nothing_and_the_rest_costs_all,
          a_loop_that_is_late_is_worth_less, workers_that_do_not_serve_do_not_count)
