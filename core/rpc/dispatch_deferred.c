/* Deferred requests and the requests that overtake them. See dispatch_deferred.h. */
#include "rpc/dispatch_deferred.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/begun.h"
#include "rpc/http_call.h"
#include "rpc/note.h"

/* Why a connection's next request waits (conn->stalled). */
enum {
    STALLED_FULL = 1, /* as many requests as may be are deferred */
    STALLED_ORDER,    /* it has no id, nor has one that is deferred */
};

/* ---- The deferred requests of a connection ---- */

static struct dispatcher *dispatcher_of(const struct deferred *deferred)
{
    return container_of(deferred->all, struct dispatcher, deferreds);
}

static struct conn *conn_of(const struct deferred *deferred)
{
    return &dispatcher_of(deferred)->conns->conns[deferred->conn - 1];
}

static struct deferred *next_of(const struct deferreds *all, uint32_t index)
{
    return index == 0 ? NULL : all->table[index - 1];
}

static const char *peer(const struct pillion_request *req)
{
    static char text[ADDRESS_TEXT_SIZE];
    const struct deferred *deferred = req->sink;

    if (deferred->conn == 0)
        return "gone";
    conn_peer(conn_of(deferred), text);
    return text;
}

static const char *told(const struct pillion_request *req, const char *what)
{
    const struct deferred *deferred = req->sink;

    return deferred->conn == 0 ? NULL : conn_told(conn_of(deferred), what);
}

static void whence(const struct pillion_request *req, struct origin *origin)
{
    const struct deferred *deferred = req->sink;

    if (deferred->conn == 0)
        return;
    origin->connection = conn_id(dispatcher_of(deferred)->conns, conn_of(deferred));
    origin->place = running_place(deferred->place);
}

/* NULL when none is deferred. */
static struct deferred_list *list_of(const struct dispatcher *dispatcher, const struct conn *conn)
{
    return conn->deferred ? &dispatcher->lists[conn_index(dispatcher->conns, conn)] : NULL;
}

static struct deferred_list *list_open(const struct dispatcher *dispatcher, struct conn *conn)
{
    struct deferred_list *list = &dispatcher->lists[conn_index(dispatcher->conns, conn)];

    conn->deferred = true;
    *list = (struct deferred_list){0};
    return list;
}

static void link_to_conn(struct deferred *deferred, struct call *call, const struct begun_frame *at)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct deferred_list *list = list_of(dispatcher, call->conn);

    if (list == NULL)
        list = list_open(dispatcher, call->conn);
    deferred->conn = 1 + conn_index(dispatcher->conns, call->conn);
    deferred->place = at->place;
    deferred->number = at->number;
    deferred->previous_of_conn = 0;
    deferred->next_of_conn = list->first;
    if (list->first != 0)
        next_of(deferred->all, list->first)->previous_of_conn = 1 + deferred->index;
    list->first = 1 + deferred->index;
    list->count++;
    deferred->counted_without_id = request_is_ordered(&deferred->req);
    list->without_id += deferred->counted_without_id;
}

static void unlink_from_conn(struct deferred *deferred)
{
    struct dispatcher *dispatcher = dispatcher_of(deferred);
    struct conn *conn = conn_of(deferred);
    struct deferred_list *list = list_of(dispatcher, conn);
    struct deferred *next = next_of(deferred->all, deferred->next_of_conn),
                    *previous = next_of(deferred->all, deferred->previous_of_conn);

    if (next != NULL)
        next->previous_of_conn = deferred->previous_of_conn;
    if (previous != NULL)
        previous->next_of_conn = deferred->next_of_conn;
    else
        list->first = deferred->next_of_conn;
    list->without_id -= deferred->counted_without_id;
    if (--list->count == 0)
        conn->deferred = false;
}

/* True while an ordered request is deferred: the next one has to wait for it. */
static bool order_waits(const struct dispatcher *dispatcher, const struct conn *conn)
{
    const struct deferred_list *list = list_of(dispatcher, conn);
    return list != NULL && list->without_id > 0;
}

/* ---- Answers ---- */

/* Queues the answer. False while the arena has no room for it. A notification's needs none. */
static bool queue_reply(struct deferred *deferred)
{
    struct conns *conns = dispatcher_of(deferred)->conns;
    struct conn *conn = conn_of(deferred);

    char *room =
        deferred->req.size == 0 ? NULL : conn_output_reserve(conns, conn, deferred->req.size);
    if (room == NULL && deferred->req.size > 0) {
        list_of(dispatcher_of(deferred), conn)->unqueued = true;
        conn_wait_for_room(conns, conn);
        conn_look_again(conns, conn);
        return false;
    }
    if (room != NULL)
        memcpy(room, deferred->reply, deferred->req.size);
    begun_answer(conns, conn, deferred->number, deferred->req.size,
                 call_last_flags(&deferred->req));
    unlink_from_conn(deferred);
    deferred_free(deferred);
    conn_look_again(conns, conn);
    return true;
}

/* Queues the connection's replies that wait for room. */
static bool queue_replies(const struct dispatcher *dispatcher, struct conn *conn)
{
    const struct deferreds *all = &dispatcher->deferreds;
    struct deferred_list *list = list_of(dispatcher, conn);
    struct deferred *next;

    if (list == NULL || !list->unqueued)
        return true;
    list->unqueued = false;
    for (struct deferred *d = next_of(all, list->first); d != NULL; d = next) {
        next = next_of(all, d->next_of_conn);
        if (d->state == DEFERRED_ANSWERED && !d->listed && !queue_reply(d))
            return false;
    }
    return true;
}

/* deferreds->finish */
static void finish(struct deferred *deferred)
{
    struct board_row *row = dispatcher_of(deferred)->row;

    if (deferred->req.method != NULL) {
        struct method_counters *counters = &row->methods[deferred->req.method->index];
        counter_add(&counters->calls, 1);
        counter_add(&counters->errors, deferred->req.failed);
        count_time(counters, deferred->all->settled_ns - deferred->since_ns, 1);
        counter_add(&row->counters[COUNT_TIMEOUTS], deferred->timed_out);
    }
    if (deferred->conn == 0) {
        counter_add(&row->counters[COUNT_CANCELLED], 1);
        deferred_free(deferred);
        return;
    }
    queue_reply(deferred);
}

/* deferreds->resumed: the watchdog and the quarantine know whose code runs. */
static void resumed(struct deferred *deferred)
{
    struct origin origin;

    request_origin(&deferred->req, &origin);
    note_origin_is(&origin);
}

/* deferreds->waiting */
static void waiting(struct deferred *deferred)
{
    if (deferred->conn != 0)
        begun_wait(dispatcher_of(deferred)->conns, conn_of(deferred), deferred->number,
                   deferred->waits);
}

/* deferreds->released */
static void released(struct deferred *deferred)
{
    if (deferred->pinned != 0)
        conns_unpin(dispatcher_of(deferred)->conns, deferred->pinned - 1);
    deferred->pinned = 0;
}

void dispatcher_init(struct dispatcher *dispatcher, uint64_t defer_timeout_ms)
{
    dispatcher->lists =
        must_zalloc(dispatcher->conns->arena.record_count * sizeof(*dispatcher->lists));
    dispatcher->searches =
        must_zalloc(dispatcher->conns->arena.record_count * sizeof(*dispatcher->searches));
    deferreds_init(&dispatcher->deferreds, dispatcher->conns->loop, defer_timeout_ms);
    dispatcher->deferreds.finish = finish;
    dispatcher->deferreds.resumed = resumed;
    dispatcher->deferreds.waiting = waiting;
    dispatcher->deferreds.released = released;
}

void dispatcher_free(struct dispatcher *dispatcher)
{
    deferreds_free(&dispatcher->deferreds);
    free(dispatcher->lists);
    free(dispatcher->searches);
}

void dispatch_settle(struct dispatcher *dispatcher)
{
    if (dispatcher->deferreds.settling != NULL)
        deferreds_settle(&dispatcher->deferreds);
}

void dispatch_closed(struct dispatcher *dispatcher, struct conn *conn)
{
    const struct deferred_list *list = list_of(dispatcher, conn);
    uint32_t index = list == NULL ? 0 : list->first;

    if (conn_cursors(dispatcher->conns, conn)->protocol != PROTOCOL_FRAME)
        dispatcher->searches[conn_index(dispatcher->conns, conn)].place = 0;
    if (list != NULL)
        conn->deferred = false;
    while (index != 0) {
        struct deferred *deferred = next_of(&dispatcher->deferreds, index);
        index = deferred->next_of_conn;
        if (deferred->req.method != NULL)
            request_peer(&deferred->req); /* while there is a socket that knows it */
        deferred_drop(deferred);
    }
}

bool dispatch_let_go(struct deferred *deferred)
{
    if (deferred->state != DEFERRED_WAITING || deferred->conn == 0 ||
        deferred->req.method->filter_count > 0)
        return false;
    unlink_from_conn(deferred);
    deferred->conn = 0;
    deferred->working = false;
    deferred_free(deferred);
    return true;
}

void dispatch_give_up(struct dispatcher *dispatcher, const char *why)
{
    for (uint32_t i = 0; i < dispatcher->deferreds.count; i++)
        deferred_fail(dispatcher->deferreds.table[i], ERROR_TIMEOUT, "%s", why);
}

/* ---- Beginning ---- */

/* The reply finds no room: its request becomes a deferred one that is answered. The frame is not
 * marked as running any more: should the worker die of something else meanwhile, its method is not
 * to blame. A frame that no handler has seen is marked as waiting: the next worker reads it anew.
 */
static void keep_reply(struct call *call, const struct begun_frame *at, bool ran)
{
    struct conns *conns = call->dispatcher->conns;
    struct deferred *deferred =
        deferred_reply(&call->dispatcher->deferreds, call->kept, call->req.size);

    call->kept = NULL;
    deferred->req.id = call->req.id.data == NULL ? call->req.id : BYTES("0");
    deferred->req.protocol = call->req.protocol;
    deferred->req.http = call->req.http;
    link_to_conn(deferred, call, at);
    list_of(call->dispatcher, call->conn)->unqueued = true;
    if (!ran)
        begun_wait(conns, call->conn, at->number, true);
    atomic_store_explicit(&call->turn.record->running, 0, memory_order_relaxed);
    conn_wait_for_room(conns, call->conn);
    conn_look_again(conns, call->conn);
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
        deferred_keep(deferred, &call->dispatcher->pool);
        deferred->req.peer = peer;
        deferred->req.told = told;
        deferred->req.whence = whence;
        link_to_conn(deferred, call, at);
        if (deferred->waits)
            waiting(deferred);
        counter_add(&call->dispatcher->row->counters[COUNT_DEFERRED], 1);
        atomic_store_explicit(&call->turn.record->running, 0, memory_order_relaxed);
        return;
    }
    if (call->kept == NULL)
        begun_answer(conns, call->conn, at->number, call->req.size, call_last_flags(&call->req));
    else
        keep_reply(call, at, ran);
    call_show(call);
    pool_reset(&call->dispatcher->pool);
}

/* The frames that have begun end there now. */
static void set_begun_to(const struct call *call, uint64_t place)
{
    struct deferred_list *list = list_of(call->dispatcher, call->conn);

    if (list != NULL)
        list->begun_to = place;
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
    set_begun_to(call, at.place + size);
}

/* Begins the next frame. False, with nothing done, when it has to wait for the order's sake. */
static bool begin(struct call *call, const struct begun_frame *next)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct envelope envelope;
    struct json_error error;

    if (protocols[call->req.protocol].ordered && order_waits(dispatcher, call->conn))
        return false;
    conn_turn_begin(dispatcher->conns, call->conn, &call->turn);
    call_next(call);
    enum envelope_status status = message_read(call, next->frame.body, &envelope, &error);
    if (request_is_ordered(&call->req) && order_waits(dispatcher, call->conn))
        return false;
    begun_add(dispatcher->conns, call->conn);
    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    bool runs = call_find(call, status, &envelope, &error);
    if (runs)
        call_run(call, next->place, false);
    else
        counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    returned(call, next, runs);
    set_begun_to(call, next->place + next->frame.size);
    return true;
}

bool answer_overtaking(struct call *call)
{
    struct conns *conns = call->dispatcher->conns;
    struct conn *conn = call->conn;
    const struct server_settings *settings = call->server->settings;
    struct begun_frame next;

    if (!queue_replies(call->dispatcher, conn) || conns->leaving)
        return false;
    if (conn->stalled == STALLED_ORDER && order_waits(call->dispatcher, conn))
        return false;
    conn->stalled = 0;
    while (begun_count(conns, conn) > 0) {
        if (conn_output_full(conns, conn) || conn->waiting ||
            (conn_cursors(conns, conn)->flags & CONN_ENDING))
            return false;
        const struct deferred_list *list = list_of(call->dispatcher, conn);
        if (begun_count(conns, conn) == UINT8_MAX ||
            (list != NULL && list->count >= settings->max_inflight)) {
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
    return true;
}

/* ---- After a worker's death ---- */

static const char *const crashed = "\"%.*s\" crashed while it handled this request";
static const char *const hung_too_long =
    "\"%.*s\" took longer than it may and was ended (handler_timeout)";
static const char *const orphaned =
    "the worker that handled this request of \"%.*s\" ended before it was answered";

/* True when the former worker died of this frame. */
static bool is_guilty(const struct dispatcher *dispatcher, const struct conn *conn,
                      const struct begun_frame *at, const struct death *death)
{
    if (death->marked)
        return record_running(conn_record_of(dispatcher->conns, conn), at->place) != UINT32_MAX;
    return death->connection != 0 && death->connection == conn_id(dispatcher->conns, conn) &&
           death->place == running_place(at->place);
}

/* A request of a method that a reload has removed counts as its call all the same: the board keeps
 * names. */
static void count_removed(const struct dispatcher *dispatcher, struct bytes name)
{
    uint32_t index =
        name.data == NULL ? BOARD_NO_METHOD : board_find_method(dispatcher->board, name);

    if (index == BOARD_NO_METHOD)
        return;
    counter_add(&dispatcher->row->methods[index].calls, 1);
    counter_add(&dispatcher->row->methods[index].errors, 1);
}

/* Answers a frame that a former worker has begun, or runs it again. */
static void answer_orphan(struct call *call, const struct begun_frame *at,
                          const struct death *death)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct pillion_request *req = &call->req;
    struct envelope envelope = {0};
    struct json_error error;

    call_init(call, dispatcher, call->conn);
    call_next(call);
    enum envelope_status status = message_read(call, at->frame.body, &envelope, &error);
    const struct method *method =
        envelope.in.data == NULL ? NULL : method_table_find(&call->server->methods, envelope.in);
    bool guilty = is_guilty(dispatcher, call->conn, at, death), ran = true;
    bool waited = at->waiting && !guilty && !death->gone;
    bool again = !waited && !guilty && !death->gone && method != NULL && method->idempotent &&
                 !at->retried && quarantine_of(dispatcher, method->index) == QUARANTINED_NOT;
    if (at->waiting)
        begun_wait(dispatcher->conns, call->conn, at->number, false);
    if ((waited || again) && call_find(call, status, &envelope, &error)) {
        if (again)
            begun_retry(dispatcher->conns, call->conn, at->number);
        counter_add(&dispatcher->row->counters[COUNT_RETRIED], 1);
        call_run(call, at->place, true);
    } else if (waited) { /* as any other request that may not run */
        ran = false;
        counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    } else {
        counter_add(&dispatcher->row->counters[guilty ? COUNT_GUILTY : COUNT_ORPHANED], 1);
        if (guilty) /* it is not run again, should there be no room for the answer yet */
            begun_retry(dispatcher->conns, call->conn, at->number);
        request_fail(req, guilty && death->hung ? ERROR_TIMEOUT : ERROR_MODULE_CRASHED,
                     !guilty       ? orphaned
                     : death->hung ? hung_too_long
                                   : crashed,
                     (int)envelope.in.size, envelope.in.data == NULL ? "" : envelope.in.data);
        if (method == NULL)
            count_removed(dispatcher, envelope.in);
        call_refused(call, method, envelope.in);
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
    struct begun_frame at = {0};
    uint64_t places[UINT8_MAX];
    struct call call = {.dispatcher = dispatcher, .conn = conn};
    unsigned count = 0;

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
        answer_orphan(&call, &at, death);
    }
    return true;
}
