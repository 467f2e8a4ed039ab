/* Running the calls of batches. See dispatch_batch.h. */
#include "rpc/dispatch_batch.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/deferred_list.h"

/* ---- Answers ---- */

/* All calls are answered: so is the frame. */
static void complete(struct deferred *stand_in)
{
    list_of(dispatcher_of(stand_in), conn_of(stand_in))->batches--;
    list_announce(stand_in);
    stand_in->reply = batch_reply(stand_in->batch, &stand_in->req);
    stand_in->reply_malloced = true;
    stand_in->req.answered = true;
    stand_in->state = DEFERRED_ANSWERED;
    list_queue_reply(stand_in);
}

static bool is_guilty(enum fate fate)
{
    return fate == FATE_CRASHED || fate == FATE_HUNG || fate == FATE_SILENT;
}

/* A call that has begun twice stays marked so: it does not begin a third time. So does one that its
 * worker has died of. */
static void mark_answered(const struct batch *batch, const struct conns *conns,
                          const struct conn *conn, uint32_t index)
{
    const struct batch_call *at = &batch->calls[index];

    if (!at->retried && !is_guilty((enum fate)at->fate))
        batch_mark(batch, conns, conn, index, CALL_ANSWERED);
}

/* The reply of a deferred call, as malloc's. */
static char *take_reply(struct deferred *deferred)
{
    char *reply = deferred->reply;

    if (deferred->req.size == 0)
        return NULL;
    if (deferred->reply_malloced) {
        deferred->reply = NULL;
        return reply;
    }
    char *copy = malloc(deferred->req.size);
    if (copy == NULL)
        memory_exhausted();
    return memcpy(copy, reply, deferred->req.size);
}

void batch_finish(struct deferred *deferred)
{
    struct conns *conns = dispatcher_of(deferred)->conns;
    struct conn *conn = conn_of(deferred);
    struct batch *batch = deferred->batch;
    uint32_t index = deferred->of_batch;
    size_t size = deferred->req.size;
    char *reply = take_reply(deferred);

    list_remove(deferred);
    deferred_free(deferred);
    batch_answer(batch, conns, conn, index, reply, size);
    mark_answered(batch, conns, conn, index);
    conn_look_again(conns, conn);
    if (batch_is_answered(batch))
        complete(batch->stand_in);
}

void batch_waiting(const struct deferred *deferred)
{
    const struct batch *batch = deferred->batch;
    bool retried = batch->calls[deferred->of_batch].retried;

    batch_mark(batch, dispatcher_of(deferred)->conns, conn_of(deferred), deferred->of_batch,
               deferred->waits ? CALL_WAITING
               : retried       ? CALL_RETRIED
                               : CALL_BEGUN);
}

/* ---- Calls ---- */

/* The sink of a batch's calls. */
static char *reserve(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;

    return size == 0 ? NULL : (call->aside = malloc(size));
}

/* Makes it the request of a batch's call. Its reply is written as a line: the line's end becomes
 * the comma behind it. */
static void call_of_batch(struct call *call, const struct batch *batch)
{
    call_next(call);
    call->aside = NULL;
    call->shown = false;
    call->req.protocol = PROTOCOL_LINE;
    call->req.reserve = reserve;
    call->req.extend = NULL;
    call->req.room = NULL;
    call->req.room_size = 0;
    call->req.head = batch->head;
    call->req.http = batch->http;
}

/* The handler has deferred the call. */
static void defer(struct call *call, struct batch *batch, uint32_t index)
{
    struct deferred *deferred = call->req.deferred;

    list_adopt(deferred, call);
    deferred->batch = batch;
    deferred->of_batch = index;
    batch_use(batch);
    list_add(deferred, call, batch_place(batch, index), batch->stand_in->number);
    if (call->slow.slow != NULL)
        slow_deferred(&call->slow, call->conn, deferred);
    if (deferred->waits)
        batch_waiting(deferred);
    counter_add(&call->dispatcher->row->counters[COUNT_DEFERRED], 1);
}

/* Runs the call. The mark says so before the handler can act. */
static void run(struct call *call, struct batch *batch, uint32_t index, bool first)
{
    struct batch_call *at = &batch->calls[index];

    if (at->fate != FATE_NONE) {
        at->retried = true;
        counter_add(&call->dispatcher->row->counters[COUNT_RETRIED], 1);
    }
    batch_mark(batch, call->dispatcher->conns, call->conn, index,
               at->retried ? CALL_RETRIED : CALL_BEGUN);
    call_run(call, batch_place(batch, index), first);
    atomic_store_explicit(&call->turn.record->running, 0, memory_order_relaxed);
}

/* Runs, refuses or answers the call, as its fate is. */
static void decide(struct call *call, struct batch *batch, uint32_t index, struct bytes element,
                   bool first)
{
    const struct batch_call *at = &batch->calls[index];
    struct envelope envelope;
    struct json_error error;

    enum envelope_status status =
        request_read_element(&call->req, element, &call->server->limits, &envelope, &error);
    const struct method *method =
        envelope.in.data == NULL ? NULL : method_table_find(&call->server->methods, envelope.in);
    bool may_begin = at->fate == FATE_NONE;
    if (at->fate == FATE_ORPHANED || at->fate == FATE_LOST)
        may_begin = !at->retried && !batch->gone && orphan_runs_again(call, method);
    if (at->fate == FATE_LOST && method == NULL)
        may_begin = true; /* it was refused, and is again */

    if (may_begin && batch->given_up != NULL) {
        request_fail(&call->req, ERROR_TIMEOUT, "%s", batch->given_up);
        call_refused(call, method, envelope.in);
    } else if (!may_begin) {
        orphan_fail(call, (enum fate)at->fate, method, envelope.in);
    } else if (call_find(call, status, &envelope, &error)) {
        run(call, batch, index, first);
        return;
    } else {
        counter_add(&call->dispatcher->row->counters[COUNT_REFUSED], 1);
        call->shown = call->shown && at->fate == FATE_NONE;
    }
}

/* Begins the next call. */
static void begin(struct call *call, struct batch *batch, bool first)
{
    uint32_t index = batch->next++;
    struct bytes element = {NULL, 0};

    envelope_next(batch->body, &batch->at, &element);
    if (batch->calls[index].answered) /* in a former worker */
        return;
    call_of_batch(call, batch);
    decide(call, batch, index, element, first);
    if (call->req.deferred != NULL) {
        defer(call, batch, index);
        return;
    }
    if (call->slow.slow != NULL)
        slow_told(&call->slow, call->conn);
    batch_answer(batch, call->dispatcher->conns, call->conn, index, call->aside, call->req.size);
    mark_answered(batch, call->dispatcher->conns, call->conn, index);
    call_show(call);
    pool_reset(&call->dispatcher->pool);
}

/* Begins calls of one batch. False when some are left. */
static bool go_on(struct dispatcher *dispatcher, struct conn *conn, struct batch *batch)
{
    struct conns *conns = dispatcher->conns;
    struct call call;

    call_init(&call, dispatcher, conn);
    for (bool first = true; batch->next < batch->count; first = false) {
        const struct deferred_list *list = list_of(dispatcher, conn);
        if (list->count - list->batches - list->held >= call.server->settings->max_inflight) {
            conn->stalled = STALLED_FULL;
            return false;
        }
        if (!conn_may_begin(conns)) {
            conn_go_on_later(conn);
            return false;
        }
        call.now_ns = conns->slice.seen_ns;
        begin(&call, batch, first);
    }
    list_of(dispatcher, conn)->unbegun--;
    if (batch_is_answered(batch))
        complete(batch->stand_in);
    return true;
}

bool batches_go_on(struct dispatcher *dispatcher, struct conn *conn)
{
    const struct deferred_list *list = list_of(dispatcher, conn);
    struct deferred *next;

    if (list == NULL || list->unbegun == 0)
        return true;
    for (struct deferred *d = deferred_at(&dispatcher->deferreds, list->first); d != NULL;
         d = next) {
        next = deferred_at(&dispatcher->deferreds, d->next_of_conn);
        if (batch_is_under_way(d) && d->batch->next < d->batch->count &&
            !go_on(dispatcher, conn, d->batch))
            return false;
    }
    return true;
}

/* ---- The frame ---- */

/* The frame becomes a deferred request. From here on the request in `call` is not used. */
static void take_over(struct call *call, struct batch *batch, const struct begun_frame *at)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct deferred *stand_in = deferred_stand_in(&dispatcher->deferreds);

    batch->stand_in = stand_in;
    stand_in->batch = batch;
    stand_in->of_batch = BATCH_ITSELF;
    stand_in->req.id = BYTES("0"); /* others may overtake it */
    stand_in->req.protocol = call->req.protocol;
    stand_in->req.http = batch->http;
    begun_batch(dispatcher->conns, call->conn, at->number);
    list_add(stand_in, call, at->place, at->number);
    struct deferred_list *list = list_of(dispatcher, call->conn);
    list->batches++;
    list->unbegun++;
    pool_reset(&dispatcher->pool);
}

void batch_start(struct call *call, struct batch *batch, const struct begun_frame *at)
{
    take_over(call, batch, at);
    list_begun_to(call->dispatcher, call->conn, at->place + at->frame.size);
    go_on(call->dispatcher, call->conn, batch);
}

/* What has become of a call, by its mark. What was not begun is as new. */
static enum fate find_fate(const struct call *call, const struct batch *batch, uint32_t index,
                           const struct death *death)
{
    const struct conns *conns = call->dispatcher->conns;
    const struct conn *conn = call->conn;
    uint64_t place = batch_place(batch, index);
    enum call_state state = batch_state(batch, conns, conn, index);

    if (state == CALL_CRASHED || state == CALL_HUNG)
        return state == CALL_HUNG ? FATE_HUNG : FATE_CRASHED;
    if (death_is_for(death, conns, conn, place))
        return death_fate(death);
    if (state == CALL_ANSWERED)
        return FATE_LOST;
    if (death->gone || state == CALL_BEGUN || state == CALL_RETRIED)
        return FATE_ORPHANED;
    if (state == CALL_WAITING &&
        (death->from == NULL ||
         arena_work_begun(death->from, conn_id(conns, conn), running_place(place))))
        return FATE_ORPHANED;
    return FATE_NONE;
}

/* Takes over the answers that a former worker has kept. What is kept is true, whatever the marks
 * say. */
static void take_answers(const struct call *call, struct batch *batch, const struct death *death)
{
    struct conns *conns = call->dispatcher->conns;
    uint64_t connection = conn_id(conns, call->conn);
    uint32_t at = 0, index;
    struct bytes answer;

    while (kept_next(death->kept, connection, batch->place, &at, &index, &answer)) {
        if (index >= batch->count || batch->calls[index].answered)
            continue;
        char *reply = answer.size == 0 ? NULL : malloc(answer.size);
        if (reply == NULL && answer.size > 0)
            memory_exhausted();
        if (reply != NULL)
            memcpy(reply, answer.data, answer.size);
        batch_answer(batch, conns, call->conn, index, reply, answer.size);
        batch_mark(batch, conns, call->conn, index, CALL_ANSWERED);
    }
}

void batch_adopt(struct call *call, struct batch *batch, const struct begun_frame *at,
                 const struct death *death)
{
    struct conns *conns = call->dispatcher->conns;

    batch->gone = death->gone;
    take_answers(call, batch, death);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->calls[i].answered)
            continue;
        enum call_state state = batch_state(batch, conns, call->conn, i);
        enum fate fate = find_fate(call, batch, i, death);
        batch->calls[i].fate = (uint8_t)fate;
        batch->calls[i].retried = state == CALL_RETRIED;
        /* Should this worker die before it has come to the call, the next one knows as much. */
        if (is_guilty(fate))
            batch_mark(batch, conns, call->conn, i,
                       fate == FATE_CRASHED ? CALL_CRASHED : CALL_HUNG);
        else if (state == CALL_WAITING)
            batch_mark(batch, conns, call->conn, i, fate == FATE_NONE ? CALL_NEW : CALL_BEGUN);
        if (state == CALL_WAITING && fate == FATE_NONE)
            counter_add(&call->dispatcher->row->counters[COUNT_RETRIED], 1);
    }
    take_over(call, batch, at);
    if (death->gone)
        go_on(call->dispatcher, call->conn, batch);
    else
        conn_look_again(conns, call->conn);
}

void batch_drop(struct deferred *stand_in)
{
    stand_in->conn = 0;
    deferred_free(stand_in);
}

void batch_give_up(struct deferred *stand_in, const char *why)
{
    stand_in->batch->given_up = why;
    conn_look_again(dispatcher_of(stand_in)->conns, conn_of(stand_in));
}
