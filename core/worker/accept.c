/* A worker's new clients. See accept.h. */
#include "worker/accept.h"

#include "base/memory.h"
#include "net/handoff.h"
#include "worker/files.h"

static void connections_accepted(void *context, struct conn **batch, uint32_t count)
{
    const struct acceptance *acceptance = context;

    vault_bank_hold(acceptance->bank, batch, count);
    acceptance->show();
}

/* Accepts only as many connections as the vaults take: a connection that waits for a vault would
 * end with this worker, one in the listening socket's queue would not. */
static uint32_t room_in_vaults(void *context, bool *soon)
{
    const struct acceptance *acceptance = context;
    uint32_t room = vault_bank_room(acceptance->bank, soon);

    /* The vaults also seem to be busy when poll(2) fails, because the limit on open files was
     * lowered. */
    if (room == 0 && *soon && files_restored())
        room = vault_bank_room(acceptance->bank, soon);
    return room;
}

/* The average number of open connections of this generation's workers. */
static uint32_t average_open(void *context)
{
    const struct acceptance *acceptance = context;
    const struct worker_start *start = acceptance->started->start;
    const struct board *board = start->board;
    uint64_t generation = start->generation->number;
    uint32_t most = (uint32_t)start->generation->settings->worker_connections;
    uint64_t sum = 0;
    uint32_t workers = 0;

    if (start->generation->slots == 1)
        return UINT32_MAX / 2;
    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_head *head = &board->heads[i];
        if (atomic_load_explicit(&head->state, memory_order_relaxed) != ROW_SERVING ||
            atomic_load_explicit(&head->generation, memory_order_relaxed) != generation)
            continue;
        uint32_t open = &board->rows[i] == start->row
                            ? acceptance->conns->open
                            : atomic_load_explicit(&board->rows[i].open, memory_order_relaxed);
        sum += open < most ? open : most; /* another worker's count may be wrong */
        workers++;
    }
    return workers < 2 ? UINT32_MAX / 2 : (uint32_t)(sum / workers);
}

void accept_prepare(struct acceptor *acceptor, struct acceptance *acceptance)
{
    const struct started *started = acceptance->started;
    const struct worker_start *start = started->start;
    const struct generation *generation = start->generation;
    uint32_t count = 0;

    for (size_t i = 0; i < generation->listener_count; i++)
        count += generation->listeners[i].count;
    *acceptor = (struct acceptor){
        .conns = acceptance->conns,
        .sockets = must_zalloc(count * sizeof(*acceptor->sockets)),
        .average = average_open,
        .room = room_in_vaults,
        .more_files = files_restored,
        .accepted = connections_accepted,
        .context = acceptance,
        .paused = true,
        .stopped = true,
    };
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        const struct listener *listener = heard->listener;
        const struct rpc_server *server = &started->servers[heard->server->index];
        if (heard->ssl) {
            acceptor->sockets[acceptor->count++] =
                (struct accept_socket){.fd = listener->handoff[HANDOFF_OUT],
                                       .listener = listener->id,
                                       .protocol = heard->protocol,
                                       .policy = &server->before,
                                       .handed = true};
            continue;
        }
        for (uint32_t n = 0; n < heard->count; n++) {
            /* Under reuseport each slot has its own sockets. Sockets of slots that are no more go
             * to the remaining slots, because connections in their queues must be served too. */
            if (heard->reuseport && n % generation->slots != start->slot)
                continue;
            acceptor->sockets[acceptor->count++] = (struct accept_socket){
                .fd = listener->fds[n],
                .listener = listener->id,
                .protocol = heard->protocol,
                .policy = heard->proxied ? &server->before : &server->policy,
            };
        }
    }
}
