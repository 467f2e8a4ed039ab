/* Leaving, connection by connection. See leave.h. */
#include "worker/leave.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "process/channel.h"
#include "rpc/dispatcher_values.h"
#include "rpc/offload.h"
#include "rpc/stream.h"

#define TAKEN_MS 500u /* least time for other workers to take the connections over */

static void not_taken(struct timer *timer)
{
    struct leave *leave = container_of(timer, struct leave, patience);

    log_warn("its connections have not been taken over yet; the vault alone has them now "
             "(drain_timeout)");
    loop_stop(leave->loop);
}

/* Tells the master that other workers may take over all connections but those that stay. Until they
 * have, this worker keeps the descriptors, so that it can hand them to another vault. */
static void released(struct leave *leave)
{
    struct message message = {.type = MESSAGE_RELEASED,
                              .serial = leave->vaults[0],
                              .number = leave->staying_count,
                              .count = VAULT_PROCESSES_MAX};

    leave->show();
    memcpy(message.ids, leave->vaults, sizeof(leave->vaults));
    channel_insist(leave->channel, &message, true);
    if (leave->staying_count > 0)
        return;
    uint64_t soonest = clock_ns() + TAKEN_MS * NS_PER_MS;
    timer_set_at(leave->loop, &leave->patience, leave->end_ns < soonest ? soonest : leave->end_ns,
                 not_taken);
}

/* What modules keep for the connection ends before another worker can have it: so that finds what
 * they save then, in a zone say. */
static void let_go(struct leave *leave, struct conn *conn)
{
    dispatcher_leaves(leave->dispatcher, conn, PILLION_CONN_MOVED);
    stream_closed(leave->dispatcher, conn);
    conn_let_go(leave->conns, conn);
}

void leave_go_on(struct leave *leave)
{
    uint32_t before = leave->staying_count;

    for (uint32_t i = 0; i < leave->staying_count;) {
        struct conn *conn = &leave->conns->conns[leave->staying[i]];
        if (conn->policy != NULL && conn_must_stay(conn)) {
            i++;
            continue;
        }
        if (conn->policy != NULL)
            let_go(leave, conn);
        leave->staying[i] = leave->staying[--leave->staying_count];
    }
    if (leave->staying_count < before)
        released(leave);
}

static void answers_late(struct timer *timer)
{
    struct leave *leave = container_of(timer, struct leave, patience);

    log_warn("%u connections still wait for an answer after drain_timeout; they are answered "
             "`timeout`",
             leave->staying_count);
    dispatch_give_up(leave->dispatcher, "the server was reloaded while this request waited "
                                        "(drain_timeout)");
}

void leave_begin(struct leave *leave, uint64_t timeout_ms)
{
    struct conns *conns = leave->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    /* Where replies have an order, the last request goes first. */
    while (offload_useless() && offload_withdraw(dispatch_let_go)) {
    }
    vault_bank_finish(leave->bank);
    conns_release(conns);
    leave->begun = true;
    leave->end_ns = clock_ns() + timeout_ms * NS_PER_MS;
    leave->staying = must_alloc(leave->dispatcher->deferreds.pending * sizeof(*leave->staying));
    for (uint32_t i = 0; i < high; i++) {
        struct conn *conn = &conns->conns[i];
        if (conn->policy == NULL)
            continue;
        if (conn_must_stay(conn)) {
            conn_stay(conns, conn);
            leave->staying[leave->staying_count++] = i;
        } else {
            let_go(leave, conn);
        }
    }
    timer_set_at(leave->loop, &leave->patience, leave->end_ns, answers_late);
    released(leave);
}

void leave_vault(struct leave *leave, uint32_t seat, uint64_t serial)
{
    leave->vaults[seat] = serial;
    if (leave->begun && vault_bank_finish(leave->bank))
        released(leave);
}
