/* Requests whose worker has died. See orphan.h. */
#include "rpc/orphan.h"

struct death death_of(const struct conns *conns, const struct conn *conn, const struct death *death)
{
    const struct conn_record *record = conn_record_of(conns, conn);
    struct death own = *death;

    if (!death->marked)
        return own;
    uint64_t mark = atomic_load_explicit(&record->running, memory_order_relaxed);
    own.connection = mark == 0 ? 0 : conn_id(conns, conn);
    own.place = running_place(mark);
    return own;
}

bool orphan_runs_again(const struct call *call, const struct method *method)
{
    return method != NULL && method->idempotent &&
           quarantine_of(call->dispatcher, method->index) == QUARANTINED_NOT;
}

/* A request of a method that a reload has removed counts as its call all the same: the board keeps
 * names. */
static void count_removed(const struct call *call, struct bytes name)
{
    const struct dispatcher *dispatcher = call->dispatcher;
    const char *server = board_server(call->server->settings);
    uint32_t index = name.data == NULL ? BOARD_NO_METHOD
                                       : board_find_server_method(dispatcher->board, server, name);

    if (index == BOARD_NO_METHOD)
        return;
    method_count_refused(&dispatcher->row->methods[index], call->req.code);
}

void orphan_fail(struct call *call, enum fate fate, const struct method *method, struct bytes in)
{
    static const char *const texts[] = {
        [FATE_CRASHED] = "\"%.*s\" crashed while it handled this request",
        [FATE_HUNG] = "\"%.*s\" took longer than it may and was ended (handler_timeout)",
        [FATE_ORPHANED] =
            "the worker that handled this request of \"%.*s\" ended before it was answered",
        [FATE_LOST] = "this request of \"%.*s\" was carried out, and its answer was lost with the "
                      "worker, which ended before the batch was answered",
        [FATE_SILENT] = "the worker that handled this request of \"%.*s\" was stopped, by a signal "
                        "from outside as a rule, and gave no sign of life; it was ended",
    };
    struct dispatcher *dispatcher = call->dispatcher;
    bool late = fate == FATE_HUNG || fate == FATE_SILENT, guilty = fate == FATE_CRASHED || late;

    counter_add(&dispatcher->row->counters[guilty ? COUNT_GUILTY : COUNT_ORPHANED], 1);
    request_fail(&call->req, late ? ERROR_TIMEOUT : ERROR_MODULE_CRASHED, texts[fate], (int)in.size,
                 in.data == NULL ? "" : in.data);
    if (method == NULL)
        count_removed(call, in);
    call_refused(call, method, in);
}
