/* From frames to replies. See dispatch.h. */
#include "rpc/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/begun.h"
#include "rpc/dispatch_private.h"
#include "rpc/note.h"
#include "rpc/run.h"

#define TIMED_EVERY 16u /* of a method's calls in one turn; the first is always timed */

/* The sink of a worker's requests: the reply is written where it will be sent from. */
static char *call_reserve(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;
    struct conns *conns = call->dispatcher->conns;
    char *room = conn_output_reserve(conns, call->conn, size);

    if (room != NULL) {
        conn_turn_begin(conns, call->conn, &call->turn);
        return room;
    }
    return call->kept = malloc(size);
}

static const char *call_peer(const struct pillion_request *req)
{
    static char text[ADDRESS_TEXT_SIZE];
    const struct call *call = req->sink;
    conn_peer(call->conn, text);
    return text;
}

static void call_whence(const struct pillion_request *req, struct origin *origin)
{
    const struct call *call = req->sink;
    uint64_t mark = atomic_load_explicit(&call->turn.record->running, memory_order_relaxed);

    origin->connection = conn_id(call->dispatcher->conns, call->conn);
    origin->place = running_place(mark);
}

void call_init(struct call *call, struct dispatcher *dispatcher, struct conn *conn)
{
    call->dispatcher = dispatcher;
    call->server = container_of(conn->policy, struct rpc_server, policy);
    call->conn = conn;
    call->now_ns = 0;
    call->kept = NULL;
    call->shown = false;
    call->req = (struct pillion_request){
        .protocol = conn->policy->protocol,
        .pool = &dispatcher->pool,
        .reserve = call_reserve,
        .peer = call_peer,
        .whence = call_whence,
        .sink = call,
        .deferreds = &dispatcher->deferreds,
        .max_reply = call->server->max_reply,
        .introspect = &call->server->introspect,
    };
    conn_turn_begin(dispatcher->conns, conn, &call->turn);
}

/* The next frame's request. */
void call_next(struct call *call)
{
    struct pillion_request *req = &call->req;

    req->method = NULL;
    req->filter = NULL;
    req->params = BYTES("null");
    req->id = (struct bytes){NULL, 0};
    req->tree = NULL;
    req->peer_text = NULL;
    req->tree_tried = req->answered = req->failed = false;
    req->deferred = NULL;
    req->size = 0;
    req->room = call->turn.out;
    req->room_size = call->turn.out_room;
}

/* The frame is consumed and its reply queued, both at once. False when the turn is over: the input
 * is used up, or the reply waits for room. */
static bool call_commit(struct call *call, size_t consumes)
{
    struct conns *conns = call->dispatcher->conns;
    size_t size = call->req.size;
    bool more = false;

    if (call->kept != NULL)
        conn_keep(conns, call->conn, call->kept, size, consumes);
    else if (conn_turn_advance(&call->turn, (uint32_t)consumes, (uint32_t)size))
        more = true;
    else
        conn_advance(conns, call->conn, consumes, size);
    return more;
}

void count_time(struct method_counters *counters, uint64_t ns, uint32_t weight)
{
    counter_add(&counters->total_ns, ns * weight);
    counter_add(&counters->latency[latency_bucket(ns)], weight);
}

/* Runs the handler between two stores that tell the watchdog, and whoever may have to clean up,
 * what is running. */
static void run_method(struct call *call, uint64_t place)
{
    const struct method *method = call->req.method;
    struct board_row *row = call->dispatcher->row;

    atomic_store_explicit(&call->turn.record->running, running_mark(method->index, place),
                          memory_order_relaxed);
    atomic_store_explicit(&row->allowed_ns, method->timeout_ns, memory_order_relaxed);
    counter_add(&row->dispatched, 1);
    atomic_store_explicit(&row->running, method->index + 1, memory_order_release);
    request_run(&call->req);
    atomic_store_explicit(&row->running, 0, memory_order_release);
}

/* The same, counted. Clocks cost as much as a short handler does, so of pipelined requests some
 * stand for the others. One that is deferred is counted when it is answered. */
void call_run(struct call *call, uint64_t place, bool first)
{
    uint32_t index = call->req.method->index;
    struct method_counters *counters = &call->dispatcher->row->methods[index];
    uint8_t *untimed = &call->dispatcher->untimed[index];
    bool timed = first || *untimed >= TIMED_EVERY - 1;

    call->req.started_ns = timed ? clock_ns() : call->now_ns;
    run_method(call, place);
    if (call->req.deferred != NULL)
        return;
    if (timed) {
        count_time(counters, clock_ns() - call->req.started_ns, *untimed + 1u);
        *untimed = 0;
    } else {
        ++*untimed;
    }
    counter_add(&counters->calls, 1);
    if (call->req.failed)
        counter_add(&counters->errors, 1);
}

/* The method of this name. A client that pipelines calls the same one again and again. */
static inline const struct method *find_method(struct rpc_server *server, struct bytes name)
{
    if (server->recent == NULL || !bytes_equal(server->recent->name, name))
        server->recent = method_table_find(&server->methods, name);
    return server->recent;
}

enum envelope_status call_read(struct call *call, struct bytes body, struct envelope *envelope,
                               struct json_error *error)
{
    return request_read(&call->req, body, &call->server->limits, envelope, error);
}

/* ---- Requests that no handler sees ---- */

void call_refused(struct call *call, const struct method *method, struct bytes in)
{
    struct dispatcher *dispatcher = call->dispatcher;

    if (method == NULL) {
        method = &call->server->methods.none;
    } else {
        counter_add(&dispatcher->row->methods[method->index].calls, 1);
        counter_add(&dispatcher->row->methods[method->index].errors, 1);
        if (quarantine_of(dispatcher, method->index) == QUARANTINED_WITH_FILTERS)
            return;
    }
    call->shown = method->unseen && request_keep_refused(&call->req, method, in);
}

void call_show(struct call *call)
{
    if (call->shown)
        request_show(&call->req);
    call->shown = false;
}

bool call_find(struct call *call, enum envelope_status status, const struct envelope *envelope,
               const struct json_error *error)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct pillion_request *req = &call->req;
    struct bytes in = bytes_just_set(&envelope->in);
    const struct method *method = in.data == NULL ? NULL : find_method(call->server, in);

    if (!request_accept(req, status, envelope, error, method)) {
        call_refused(call, method, envelope->in);
        return false;
    }
    if (quarantine_of(dispatcher, req->method->index) != QUARANTINED_NOT) {
        counter_add(&dispatcher->row->counters[COUNT_QUARANTINED], 1);
        request_fail(req, "method_quarantined",
                     "\"%s\" has crashed too often and is out of service until the next reload",
                     req->method->name.data);
        call_refused(call, req->method, envelope->in);
        return false;
    }
    return true;
}

/* Answers one frame. False when the turn is over. */
static bool answer(struct call *call, const struct frame *frame, bool first)
{
    struct envelope envelope;
    struct json_error error;

    call_next(call);
    enum envelope_status status = call_read(call, frame->body, &envelope, &error);
    bool runs = call_find(call, status, &envelope, &error);
    if (runs)
        call_run(call, call->turn.consumed, first);
    else
        counter_add(&call->dispatcher->row->counters[COUNT_REFUSED], 1);
    if (call->req.deferred != NULL) {
        call_deferred(call, (size_t)frame->size);
        return false;
    }
    bool more = call_commit(call, (size_t)frame->size);
    if (!runs)
        call_show(call);
    pool_reset(&call->dispatcher->pool);
    return more;
}

/* Tells of a client that wants something else: a person who mistakes the port, or a machine that
 * scans it. */
static void log_stranger(struct call *call, const struct stranger *stranger)
{
    struct sockaddr_storage here;
    socklen_t size = sizeof(here);
    char address[ADDRESS_TEXT_SIZE] = "?";

    if (getsockname(call->conn->watch.fd, (struct sockaddr *)&here, &size) == 0)
        address_format((const struct sockaddr *)&here, size, address);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "the client %s speaks %s at %s, where frames of JSON are spoken; it was refused",
               call_peer(&call->req), stranger->speaks, address);
}

/* Answers in words that the other protocol's clients show. */
static void answer_stranger(struct call *call, const struct stranger *stranger)
{
    struct pillion_request *req = &call->req;
    char refusal[STRANGER_REFUSAL_MAX];

    req->size = stranger_refuse(stranger, refusal);
    req->answered = req->failed = true;
    snprintf(req->code, sizeof(req->code), "wrong_protocol");
    char *room = req->size <= req->room_size ? req->room : req->reserve(req, req->size);
    if (room != NULL)
        memcpy(room, refusal, req->size);
}

/* There is no telling where the next frame starts: the reply is sent, and then the connection
 * ends. */
static void refuse_frame(struct call *call, const struct frame *frame,
                         const struct stranger *stranger)
{
    struct dispatcher *dispatcher = call->dispatcher;

    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    call_next(call);
    if (stranger != NULL)
        log_stranger(call, stranger);
    if (stranger != NULL && stranger->form != NULL)
        answer_stranger(call, stranger);
    else
        request_fail(&call->req, "frame_too_large",
                     "a frame of %llu bytes is announced; at most %llu are allowed (max_frame)%s",
                     (unsigned long long)frame->size,
                     (unsigned long long)call->server->settings->max_frame,
                     stranger == NULL ? "" : stranger->hint);
    call->req.body = BYTES(""); /* what there is of it is no body */
    call_refused(call, NULL, call->req.body);
    call_commit(call, call->turn.in_size);
    call_show(call);
    pool_reset(&dispatcher->pool);
    conn_end(dispatcher->conns, call->conn, true);
}

/* What the client speaks instead, if this is how its connection begins. */
static const struct stranger *find_stranger(const struct call *call, enum frame_status status)
{
    const struct bytes input = {call->turn.in, call->turn.in_size};

    if (call->turn.consumed != 0)
        return NULL;
    return protocol_of(call->req.protocol)
        ->framing->stranger(input, (uint32_t)call->server->settings->max_frame, status);
}

/* Frames that are answered before the next one begins. Leaves when there is no more to do for now,
 * and when a request was deferred. */
static void answer_in_turn(struct call *call)
{
    const struct framing *framing = protocol_of(call->req.protocol)->framing;
    struct conn *conn = call->conn;
    uint32_t max_frame = (uint32_t)call->server->settings->max_frame;
    uint64_t max_output = conn->policy->max_output, frames = 0;
    bool more = true;

    while (more && call->turn.out_end - call->turn.out_start < max_output) {
        struct frame frame;
        enum frame_status status =
            framing->next((struct bytes){call->turn.in, call->turn.in_size}, max_frame, &frame);

        if (status != FRAME_WHOLE) {
            const struct stranger *stranger = find_stranger(call, status);
            if (status == FRAME_TOO_LARGE || stranger != NULL)
                refuse_frame(call, &frame, stranger);
            else
                conn->expects = (uint32_t)frame.size;
            break;
        }
        conn->expects = 0;
        more = answer(call, &frame, frames++ == 0);
    }
    if (frames > 0)
        counter_add(&call->dispatcher->row->counters[COUNT_FRAMES], frames);
}

void dispatch_input(struct conns *conns, struct conn *conn)
{
    struct call call;

    if (conn->kept != NULL)
        return;
    call_init(&call, conns->context, conn);
    for (;;) {
        if (begun_count(conns, conn) > 0) {
            if (!answer_overtaking(&call))
                return;
            conn_turn_begin(conns, conn, &call.turn);
        }
        conn->stalled = 0;
        answer_in_turn(&call);
        if (begun_count(conns, conn) == 0)
            return;
    }
}

void rpc_server_init(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation)
{
    uint64_t quarter = (uint64_t)dispatcher->conns->arena.block_count * BLOCK_SIZE / 4;

    server->settings = settings;
    server->policy = (struct conn_policy){
        .conns = dispatcher->conns,
        .max_output = settings->max_output,
        .idle_timeout_ns = settings->idle_timeout_ms * NS_PER_MS,
        .keepalive = settings->tcp_keepalive,
        .nodelay = settings->tcp_nodelay,
        .protocol = PROTOCOL_PILLION,
    };
    server->limits = (struct json_limits){
        .depth = (uint32_t)settings->json_max_depth,
        .values = (uint32_t)settings->json_max_values,
    };
    /* A reply has to fit the arena some day, whatever else is in it; a little more than a frame,
     * so that params of the largest frame can be given back. */
    server->max_reply = (uint64_t)FRAME_BODY_MAX + 65536;
    if (server->max_reply > quarter)
        server->max_reply = quarter;
    server->introspect = (struct introspect){
        .methods = &server->methods,
        .board = dispatcher->board,
        .generation = generation,
    };
}

void rpc_server_part(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation, uint64_t patience_ms)
{
    rpc_server_init(server, settings, dispatcher, generation);
    server->policy.parting = true;
    server->policy.idle_timeout_ns = patience_ms * NS_PER_MS;
}

void rpc_server_count(struct rpc_server *server)
{
    for (size_t i = 0; i < server->methods.count; i++) {
        struct method *method = &server->methods.methods[i];
        method->index = board_find_method(server->introspect.board, method->name);
    }
}
