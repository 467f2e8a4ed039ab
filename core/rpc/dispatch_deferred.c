/* Deferred requests and the requests that overtake them. See dispatch_deferred.h. */
#include "rpc/dispatch_deferred.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/begun.h"
#include "rpc/deferred_list.h"
#include "rpc/dispatch_batch.h"
#include "rpc/dispatcher_values.h"
#include "rpc/http_call.h"
#include "rpc/inner.h"
#include "rpc/mcp.h"
#include "rpc/note.h"
#include "rpc/stream.h"

/* ---- Answers ---- */

/* deferreds->finish */
static void finish(struct deferred *deferred)
{
    struct board_row *row = dispatcher_of(deferred)->row;

    if (deferred->req.method != NULL) {
        struct method_counters *counters = &row->methods[deferred->req.method->index];
        counter_add(&counters->calls, 1);
        if (deferred->req.failed)
            method_count_failure(counters, deferred->req.code);
        count_time(counters, deferred->all->settled_ns - deferred->since_ns, 1);
        counter_add(&row->counters[COUNT_TIMEOUTS], deferred->timed_out);
    }
    if (deferred->req.inner != NULL) {
        inner_finish(deferred);
        return;
    }
    if (deferred->conn == 0) {
        counter_add(&row->counters[COUNT_CANCELLED], 1);
        slow_over(dispatcher_of(deferred), deferred);
        deferred_free(deferred);
        return;
    }
    if (deferred->batch != NULL) {
        slow_over(dispatcher_of(deferred), deferred);
        batch_finish(deferred);
    } else {
        list_queue_reply(deferred);
    }
}

/* deferreds->resumed: the watchdog and the quarantine know whose code runs. */
static void resumed(struct deferred *deferred)
{
    struct origin origin;

    request_origin(&deferred->req, &origin);
    note_origin_is(&origin);
}

/* deferreds->answers */
static void answers(struct deferred *deferred)
{
    if (deferred->conn != 0 && deferred->batch == NULL)
        list_announce(deferred);
}

/* deferreds->waiting */
static void waiting(struct deferred *deferred)
{
    if (deferred->conn != 0 && deferred->batch != NULL)
        batch_waiting(deferred);
    else if (deferred->conn != 0)
        begun_wait(dispatcher_of(deferred)->conns, conn_of(deferred), deferred->number,
                   deferred->waits);
}

/* deferreds->released */
static void released(struct deferred *deferred)
{
    if (deferred->pinned != 0)
        conns_unpin(dispatcher_of(deferred)->conns, deferred->pinned - 1);
    deferred->pinned = 0;
    kept_drop(&deferred->kept);
    if (deferred->batch != NULL && deferred->of_batch == BATCH_ITSELF)
        kept_drop(&deferred->batch->kept);
    if (deferred->batch != NULL)
        batch_leave(deferred->batch);
    deferred->batch = NULL;
    struct conn_values *values = deferred->values;
    deferred->values = NULL;
    conn_values_leave(values);
}

void dispatcher_init(struct dispatcher *dispatcher, uint64_t defer_timeout_ms)
{
    dispatcher->lists =
        must_zalloc(dispatcher->conns->arena.record_count * sizeof(*dispatcher->lists));
    dispatcher->searches =
        must_zalloc(dispatcher->conns->arena.record_count * sizeof(*dispatcher->searches));
    deferreds_init(&dispatcher->deferreds, dispatcher->conns->loop, defer_timeout_ms);
    dispatcher->deferreds.row = dispatcher->row;
    dispatcher->deferreds.finish = finish;
    dispatcher->deferreds.resumed = resumed;
    dispatcher->deferreds.answers = answers;
    dispatcher->deferreds.waiting = waiting;
    dispatcher->deferreds.released = released;
}

void dispatcher_free(struct dispatcher *dispatcher)
{
    slow_free(dispatcher);
    deferreds_free(&dispatcher->deferreds);
    free(dispatcher->lists);
    free(dispatcher->searches);
    free(dispatcher->values);
}

void dispatch_settle(struct dispatcher *dispatcher)
{
    if (dispatcher->deferreds.settling != NULL)
        deferreds_settle(&dispatcher->deferreds);
}

void dispatch_closed(struct dispatcher *dispatcher, struct conn *conn)
{
    const struct deferred_list *list = list_of(dispatcher, conn);
    struct search *search = &dispatcher->searches[conn_index(dispatcher->conns, conn)];

    slow_closed(dispatcher, conn);
    uint32_t index = list == NULL ? 0 : list->first;

    if (conn_cursors(dispatcher->conns, conn)->protocol != PROTOCOL_FRAME && search->place != 0)
        search->place = 0;
    stream_closed(dispatcher, conn);
    if (list != NULL)
        conn->deferred = false;
    while (index != 0) {
        struct deferred *deferred = deferred_at(&dispatcher->deferreds, index);
        index = deferred->next_of_conn;
        if (deferred->req.method != NULL)
            request_peer(&deferred->req); /* while there is a socket that knows it */
        list_leave_values(deferred);
        if (batch_is_under_way(deferred))
            batch_drop(deferred);
        else
            deferred_drop(deferred);
    }
    dispatcher_leaves(dispatcher, conn, PILLION_CONN_CLOSED);
}

bool dispatch_only_waits(const struct conns *conns, const struct conn *conn)
{
    const struct dispatcher *dispatcher = conns->context;
    const struct deferred_list *list = list_of(dispatcher, conn);

    if (list == NULL || list->unqueued)
        return false;
    const struct deferred *d = deferred_at(&dispatcher->deferreds, list->first);
    while (d != NULL && d->state != DEFERRED_WAITING)
        d = deferred_at(&dispatcher->deferreds, d->next_of_conn);
    return d != NULL;
}

void dispatch_end(struct dispatcher *dispatcher)
{
    for (uint32_t i = 0; i < dispatcher->deferreds.count; i++) {
        struct deferred *deferred = dispatcher->deferreds.table[i];
        if (deferred->conn == 0)
            continue;
        list_leave_values(deferred);
        if (batch_is_under_way(deferred))
            batch_drop(deferred);
        else
            deferred_drop(deferred);
    }
    dispatch_settle(dispatcher);
    slow_end(dispatcher);
}

/* In a protocol that has an order, replies that stay here would wait for one that never comes here:
 * so what is let go is the last that has begun. */
static bool may_go_in_order(const struct deferred *deferred)
{
    const struct dispatcher *dispatcher = dispatcher_of(deferred);
    const struct conn *conn = conn_of(deferred);
    const struct conn_cursors *cursors = conn_cursors(dispatcher->conns, conn);
    uint8_t before = (uint8_t)(deferred->number - cursors->first);

    if (!protocols[cursors->protocol].ordered)
        return true;
    const struct deferred *d =
        deferred_at(&dispatcher->deferreds, list_of(dispatcher, conn)->first);
    while (d != NULL && (uint8_t)(d->number - cursors->first) <= before)
        d = deferred_at(&dispatcher->deferreds, d->next_of_conn);
    return d == NULL;
}

bool dispatch_let_go(struct deferred *deferred)
{
    if (deferred->state != DEFERRED_WAITING || deferred->conn == 0 || deferred->batch != NULL ||
        deferred->req.method->filter_count > 0 || !may_go_in_order(deferred))
        return false;
    list_remove(deferred);
    deferred->conn = 0;
    deferred->working = false;
    deferred_free(deferred);
    return true;
}

void dispatch_give_up(struct dispatcher *dispatcher, const char *why)
{
    for (uint32_t i = 0; i < dispatcher->deferreds.count; i++) {
        struct deferred *deferred = dispatcher->deferreds.table[i];
        if (batch_is_under_way(deferred))
            batch_give_up(deferred, why);
        else
            deferred_fail(deferred, ERROR_TIMEOUT, "%s", why);
    }
}

/* ---- Beginning ---- */

/* The sink of requests whose replies have to wait for earlier ones. */
static char *reserve_aside(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;

    return size == 0 ? NULL : (call->aside = malloc(size));
}

/* As call_next, for the frame with this number. */
static void call_next_of(struct call *call, uint8_t number)
{
    call_next(call);
    call->req.reserve = call_reserve;
    call->req.extend = call_extend;
    if (list_is_turn_of(call->dispatcher->conns, call->conn, number))
        return;
    call->req.reserve = reserve_aside;
    call->req.extend = NULL;
    call->req.room = NULL;
    call->req.room_size = 0;
}

/* The reply finds no room, or its turn has not come: its request becomes a deferred one that is
 * answered. The frame is not marked as running any more: should the worker die of something else
 * meanwhile, its method is not to blame. A frame that no handler has seen is marked as waiting: the
 * next worker reads it anew, and shows it to no filter again. */
static void set_aside(struct call *call, const struct begun_frame *at, bool ran)
{
    struct conns *conns = call->dispatcher->conns;
    struct deferred *deferred =
        deferred_reply(&call->dispatcher->deferreds, call->aside, call->req.size);

    call->aside = NULL;
    deferred->req.id = call->req.id.data == NULL ? call->req.id : BYTES("0");
    deferred->req.protocol = call->req.protocol;
    deferred->req.http = call->req.http;
    list_add(deferred, call, at->place, at->number);
    if (!ran)
        begun_wait(conns, call->conn, at->number, true);
    if (call->shown)
        begun_retry(conns, call->conn, at->number);
    atomic_store_explicit(&call->turn.record->running, 0, memory_order_relaxed);
    list_queue_reply(deferred);
}

/* The frame, which has begun, is answered, or its request deferred. `ran`: by a handler, in this
 * worker or in one before. */
static void returned(struct call *call, const struct begun_frame *at, bool ran)
{
    struct conns *conns = call->dispatcher->conns;
    struct deferred *deferred = call->req.deferred;

    if (deferred != NULL) {
        /* The frame's bytes that the handler has seen stay readable, for threads too. */
        deferred->pinned = 1 + conn_input_pin(conns, call->conn);
        list_adopt(deferred, call);
        list_add(deferred, call, at->place, at->number);
        if (call->slow.slow != NULL)
            slow_deferred(&call->slow, call->conn, deferred);
        if (deferred->waits)
            waiting(deferred);
        counter_add(&call->dispatcher->row->counters[COUNT_DEFERRED], 1);
        atomic_store_explicit(&call->turn.record->running, 0, memory_order_relaxed);
        return;
    }
    if (call->slow.slow != NULL && ran && call->aside == NULL)
        slow_answered(&call->slow, call->conn, &call->req);
    else if (call->slow.slow != NULL)
        slow_told(&call->slow, call->conn);
    if (call->aside == NULL)
        begun_answer(conns, call->conn, at->number, call->req.size, call_last_flags(&call->req));
    else
        set_aside(call, at, ran);
    call_show(call);
    pool_reset(&call->dispatcher->pool);
}

void call_begun(struct call *call, size_t size, bool ran)
{
    struct conns *conns = call->dispatcher->conns;
    const struct begun_frame at = {
        .place = call->turn.consumed,
        .number = conn_cursors(conns, call->conn)->first,
    };

    begun_add(conns, call->conn);
    returned(call, &at, ran);
    list_begun_to(call->dispatcher, call->conn, at.place + size);
}

/* Begins the next frame. False, with nothing done, when it has to wait for the order's sake. */
static bool begin(struct call *call, const struct begun_frame *next)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct envelope envelope;
    struct json_error error;

    if (protocols[call->req.protocol].ordered && list_orders(dispatcher, call->conn))
        return false;
    conn_turn_begin(dispatcher->conns, call->conn, &call->turn);
    call_next_of(call, next->number);
    enum envelope_status status = message_read(call, next->frame.body, &envelope, &error);
    if (request_is_ordered(&call->req) && list_orders(dispatcher, call->conn))
        return false;
    begun_add(dispatcher->conns, call->conn);
    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    if (call->server->settings->keepalive_requests != 0 && call->req.protocol != PROTOCOL_HTTP)
        conn_requested(dispatcher->conns, call->conn, 1);
    bool runs = call_find(call, status, &envelope, &error);
    struct batch *batch = runs || call->req.answered
                              ? NULL
                              : batch_open(call, next, (uint32_t)call->server->settings->max_batch);
    if (batch != NULL) {
        batch_start(call, batch, next);
        return true;
    }
    if (runs)
        call_run(call, next->place, false);
    else
        counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    returned(call, next, runs);
    list_begun_to(call->dispatcher, call->conn, next->place + next->frame.size);
    return true;
}

bool answer_overtaking(struct call *call)
{
    struct conns *conns = call->dispatcher->conns;
    struct conn *conn = call->conn;
    const struct server_settings *settings = call->server->settings;
    struct begun_frame next;

    if (!list_queue_replies(call->dispatcher, conn) || !batches_go_on(call->dispatcher, conn) ||
        conns->leaving)
        return false;
    if (conn->stalled == STALLED_ORDER && list_orders(call->dispatcher, conn))
        return false;
    conn->stalled = 0;
    while (begun_count(conns, conn) > 0) {
        if (conn_output_full(conns, conn)) {
            conn_leave(conn);
            return false;
        }
        if (conn->waiting || (conn_cursors(conns, conn)->flags & (CONN_ENDING | CONN_STREAM)))
            return false;
        const struct deferred_list *list = list_of(call->dispatcher, conn);
        if (begun_count(conns, conn) == UINT8_MAX ||
            (list != NULL && (list->count >= settings->max_inflight ||
                              list->held_size >= conn->policy->max_output))) {
            conn->stalled = STALLED_FULL;
            return false;
        }
        switch (begun_after(conns, conn, list == NULL ? 0 : list->begun_to,
                            &call->server->frame_limits, search_of(call), &next)) {
        case FRAME_PARTIAL:
            conn->expects = next.frame.size == 0 ? 0 : next.offset + (uint32_t)next.frame.size;
            return false;
        case FRAME_TOO_LARGE: /* in turn, once none is deferred: the connection ends with it */
        case FRAME_REFUSED:
            conn->stalled = STALLED_FULL;
            return false;
        case FRAME_EMPTY: /* likewise: it is dropped then */
            return false;
        case FRAME_WHOLE:
            break;
        }
        /* A deferring handler usually queues work on a backend. Only as many begin as the slice
         * allows, so that one client's pipeline cannot delay the others. */
        if (!conn_may_begin(conns)) {
            conn_go_on_later(conn);
            return false;
        }
        call->now_ns = conns->slice.seen_ns;
        if (!begin(call, &next)) {
            conn->stalled = STALLED_ORDER;
            return false;
        }
    }
    call->now_ns = 0;
    call->req.reserve = call_reserve;
    call->req.extend = call_extend;
    return true;
}

/* ---- After a worker's death ---- */

/* A batch that a former worker has begun: on_input goes on with it. True when it is one. */
static bool adopt_batch(struct call *call, const struct begun_frame *at,
                        enum envelope_status status, const struct death *death)
{
    if (status != ENVELOPE_BATCH || call->req.answered)
        return false;
    struct batch *batch =
        batch_open(call, at, at->batch ? UINT32_MAX : (uint32_t)call->server->settings->max_batch);
    if (batch == NULL)
        returned(call, at, false);
    else
        batch_adopt(call, batch, at, death);
    return true;
}

/* The reply to a frame that a former worker has answered, and kept. False when there is none. */
static bool take_answer(struct call *call, const struct begun_frame *at, const struct death *death)
{
    uint32_t from = 0, number;
    struct bytes answer;

    if (!kept_next(death->kept, conn_id(call->dispatcher->conns, call->conn), at->place, &from,
                   &number, &answer) ||
        answer.size == 0) /* damaged: no reply is empty */
        return false;
    call_forget_answer(call);
    char *room = call->req.reserve(&call->req, answer.size);
    if (room == NULL)
        memory_exhausted();
    memcpy(room, answer.data, answer.size);
    call->req.answered = true;
    call->req.size = answer.size;
    returned(call, at, true);
    return true;
}

/* Answers a frame that a former worker has begun, or runs it again. */
static void answer_orphan(struct call *call, const struct begun_frame *at,
                          const struct death *death)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct envelope envelope = {0};
    struct json_error error;

    call_init(call, dispatcher, call->conn);
    call_next_of(call, at->number);
    call->began = !at->waiting;
    enum envelope_status status =
        message_read(call, batch_unmarked(call->req.pool, at), &envelope, &error);
    if (adopt_batch(call, at, status, death) || take_answer(call, at, death))
        return;
    bool own = envelope_is_own(status);
    const struct method *method = own ? call_own(call, status)
                                  : envelope.in.data == NULL
                                      ? NULL
                                      : method_table_find(&call->server->methods, envelope.in);
    bool guilty = death_is_for(death, dispatcher->conns, call->conn, at->place), ran = true;
    bool waited = at->waiting && !guilty && !death->gone;
    bool runs = status == ENVELOPE_OK || own;
    bool again = !waited && !guilty && !at->retried && !death->gone && runs &&
                 orphan_runs_again(call, method);
    if (at->waiting)
        begun_wait(dispatcher->conns, call->conn, at->number, false);
    if (again)
        begun_retry(dispatcher->conns, call->conn, at->number);
    if ((waited || again) && call_find(call, status, &envelope, &error)) {
        counter_add(&dispatcher->row->counters[COUNT_RETRIED], 1);
        call_run(call, at->place, true);
    } else if (waited || again) { /* as any other request that may not run */
        ran = again;
        call->shown = call->shown && !at->retried;
        counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    } else {
        if (guilty) /* it is not run again, should there be no room for the answer yet */
            begun_retry(dispatcher->conns, call->conn, at->number);
        call_forget_answer(call);
        orphan_fail(call, guilty ? death_fate(death) : FATE_ORPHANED, method,
                    own && method != NULL ? method->name : envelope.in);
    }
    returned(call, at, ran);
}

/* The frame that a handler had in hand while no request was deferred: it counts as begun. */
static void begin_guilty(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    struct begun_frame at;

    if (cursors->begun > 0 ||
        record_running(conn_record_of(conns, conn), cursors_consumed(cursors)) == UINT32_MAX)
        return;
    /* Bytes that are no frame any more were scribbled over, and go the way of all input. */
    struct search search = {0};
    if (begun_after(conns, conn, 0, &begun_limits, &search, &at) == FRAME_WHOLE)
        begun_add(conns, conn);
}

bool dispatch_adopted(struct dispatcher *dispatcher, struct conn *conn, const struct death *death)
{
    struct conns *conns = dispatcher->conns;
    const struct death own = death_of(conns, conn, death);
    struct begun_frame at = {0};
    uint64_t places[UINT8_MAX];
    struct call call = {.dispatcher = dispatcher, .conn = conn};
    unsigned count = 0;

    if (conn_cursors(conns, conn)->protocol >= PROTOCOLS)
        return false;
    begun_adopted(conns, conn);
    begin_guilty(conns, conn);
    for (unsigned n = 0; begun_walk(conns, conn, n, &at); n++) {
        if (at.waiting &&
            (death->from == NULL ||
             arena_work_begun(death->from, conn_id(conns, conn), running_place(at.place))))
            begun_wait(conns, conn, at.number, false);
        if (!at.answered)
            places[count++] = at.place;
    }
    if (begun_count(conns, conn) > 0 && (at.frame.body.data == NULL || count == 0))
        return false;
    for (unsigned i = 0; i < count; i++) {
        unsigned n = 0;
        at = (struct begun_frame){0};
        while (begun_walk(conns, conn, n, &at) && at.place != places[i])
            n++;
        answer_orphan(&call, &at, &own);
    }
    stream_adopted(dispatcher, conn);
    return true;
}
