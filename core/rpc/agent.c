/* The line of HAProxy's agent-check. See agent.h. */
#include "rpc/agent.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define WHOLE 100u

/* What a worker is worth by the connections that it can still take. */
static uint32_t worth_by_room(const struct board_row *row, uint32_t room)
{
    uint32_t open = atomic_load_explicit(&row->open, memory_order_relaxed), half = room / 2;

    if (atomic_load_explicit(&row->crowded, memory_order_relaxed) != 0 || open >= room)
        return 0;
    return open <= half ? WHOLE : (uint32_t)((uint64_t)WHOLE * (room - open) / (room - half));
}

static uint32_t worth_by_lag(const struct board_head *head)
{
    uint64_t lag = counter_read(&head->lag_ns);

    return lag <= AGENT_LAG_NS ? WHOLE : (uint32_t)(WHOLE * AGENT_LAG_NS / lag);
}

uint32_t agent_percent(const struct board *board, uint32_t room)
{
    uint64_t sum = 0;
    uint32_t workers = 0;

    for (uint32_t i = 0; i < board->row_high; i++) {
        if (atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) != ROW_SERVING)
            continue;
        sum += worth_by_room(&board->rows[i], room) * worth_by_lag(&board->heads[i]) / WHOLE;
        workers++;
    }
    uint64_t mean = workers == 0 ? 0 : sum / workers;
    return mean == 0 ? 1 : (uint32_t)mean;
}

size_t agent_line(bool ready, uint32_t percent, char line[AGENT_LINE_MAX])
{
    int size = ready ? snprintf(line, AGENT_LINE_MAX, "up ready %u%%\n", percent)
                     : snprintf(line, AGENT_LINE_MAX, "drain\n");

    return size < 0 ? 0 : (size_t)size;
}

void agent_answer(const struct dispatcher *dispatcher, struct conn *conn)
{
    struct conns *conns = dispatcher->conns;
    char line[AGENT_LINE_MAX];
    size_t size = agent_line(dispatcher_is_ready(dispatcher),
                             agent_percent(dispatcher->board, conns->limit), line);
    char *to = conn_output_reserve(conns, conn, size);

    if (to == NULL) {
        conn_wait_for_room(conns, conn);
        return;
    }
    memcpy(to, line, size);
    conn_commit(conns, conn,
                &(struct conn_step){.consumed = conn_input(conns, conn).size,
                                    .produced = size,
                                    .flags = CONN_ENDING | CONN_DISCARD});
}
