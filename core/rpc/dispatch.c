/* From frames to replies. See dispatch.h. */
#include "rpc/dispatch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/frame.h"

/* One frame being answered. */
struct call {
    struct pillion_request req;
    struct conns *conns;
    struct conn *conn;
    size_t consumes; /* bytes of input */
    size_t size;     /* of the reply, once it is there */
    char *held;      /* where the reply is when the arena had no room for it */
    bool lost;       /* nor had the heap */
};

/* The sink of a worker's requests: the reply is written where it will be sent from. */
static char *call_reserve(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;
    char *room = conn_output_reserve(call->conns, call->conn, size);

    call->size = size;
    if (room != NULL)
        return room;
    call->held = malloc(size);
    call->lost = call->held == NULL;
    return call->held;
}

static const char *call_peer(const struct pillion_request *req)
{
    static char text[ADDRESS_TEXT_SIZE];
    const struct call *call = req->sink;
    conn_peer(call->conn, text);
    return text;
}

static void call_init(struct call *call, struct dispatcher *dispatcher, struct conn *conn,
                      size_t consumes)
{
    const struct rpc_server *server = container_of(conn->owner, struct rpc_server, owner);

    call->req = (struct pillion_request){
        .params = BYTES("null"),
        .pool = &dispatcher->pool,
        .reserve = call_reserve,
        .peer = call_peer,
        .sink = call,
        .max_reply = server->max_reply,
        .introspect = &server->introspect,
    };
    call->conns = dispatcher->conns;
    call->conn = conn;
    call->consumes = consumes;
    call->size = 0;
    call->held = NULL;
    call->lost = false;
}

/* The frame is consumed and its reply queued, both at once. */
static void call_commit(struct call *call)
{
    if (call->held != NULL || call->lost)
        conn_hold(call->conns, call->conn, call->held, call->size, call->consumes);
    else
        conn_advance(call->conns, call->conn, call->consumes, call->size);
}

static void count_call(struct method_counters *counters, uint64_t ns, bool failed)
{
    counter_add(&counters->calls, 1);
    counter_add(&counters->total_ns, ns);
    counter_add(&counters->latency[latency_bucket(ns)], 1);
    if (failed)
        counter_add(&counters->errors, 1);
}

/* Runs the handler between two stores that tell the watchdog, and whoever may have to clean up,
 * what is running. */
static void run_method(struct dispatcher *dispatcher, struct call *call)
{
    const struct method *method = call->req.method;
    struct board_row *row = dispatcher->row;
    struct conn_record *record = conn_record_of(call->conns, call->conn);

    atomic_store_explicit(&record->running,
                          running_mark(method->index, cursors_consumed(record_cursors(record))),
                          memory_order_relaxed);
    atomic_store_explicit(&row->allowed_ns, method->timeout_ns, memory_order_relaxed);
    counter_add(&row->dispatched, 1);
    atomic_store_explicit(&row->running, method->index + 1, memory_order_release);
    request_run(&call->req);
    atomic_store_explicit(&row->running, 0, memory_order_release);
}

/* True when the frame is a call of a method that may run; otherwise it is answered. */
static bool call_resolve(struct call *call, struct dispatcher *dispatcher, struct bytes body,
                         struct envelope *envelope)
{
    const struct rpc_server *server = container_of(call->conn->owner, struct rpc_server, owner);
    struct pillion_request *req = &call->req;
    struct json_error error;

    enum envelope_status status = envelope_read(body, &server->limits, envelope, &error);
    req->id = envelope->id;
    if (status != ENVELOPE_OK) {
        request_fail(req, status == ENVELOPE_NOT_JSON ? "parse_error" : "invalid_request",
                     "%s, at byte %zu", error.reason, error.offset);
        return false;
    }
    req->params = envelope->params;
    req->method = method_table_find(&server->methods, envelope->in);
    if (req->method == NULL) {
        request_fail(req, "method_not_found", "there is no method \"%.*s\" here",
                     (int)envelope->in.size, envelope->in.data);
        return false;
    }
    if (atomic_load_explicit(&dispatcher->board->quarantined[req->method->index],
                             memory_order_relaxed) != 0) {
        counter_add(&dispatcher->row->counters[COUNT_QUARANTINED], 1);
        request_fail(req, "method_quarantined",
                     "\"%s\" has crashed too often and is out of service until the next reload",
                     req->method->name.data);
        return false;
    }
    return true;
}

/* Answers one frame. `start_ns` is when its turn came; returns when it was done. */
static uint64_t answer(struct dispatcher *dispatcher, struct conn *conn, const struct frame *frame,
                       uint64_t start_ns)
{
    struct envelope envelope;
    struct call call;
    uint64_t end_ns = start_ns;

    call_init(&call, dispatcher, conn, (size_t)frame->size);
    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    if (call_resolve(&call, dispatcher, frame->body, &envelope)) {
        run_method(dispatcher, &call);
        end_ns = clock_ns();
        count_call(&dispatcher->row->methods[call.req.method->index], end_ns - start_ns,
                   call.req.failed);
    } else {
        counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    }
    call_commit(&call);
    pool_reset(&dispatcher->pool);
    return end_ns;
}

/* There is no telling where the next frame starts: the reply is sent, and then the connection
 * ends. */
static void refuse_frame(struct dispatcher *dispatcher, struct conn *conn, size_t input,
                         const struct frame *frame)
{
    const struct rpc_server *server = container_of(conn->owner, struct rpc_server, owner);
    struct call call;

    call_init(&call, dispatcher, conn, input);
    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    request_fail(&call.req, "frame_too_large",
                 "a frame of %llu bytes is announced; at most %llu are allowed (max_frame)",
                 (unsigned long long)frame->size, (unsigned long long)server->settings->max_frame);
    call_commit(&call);
    pool_reset(&dispatcher->pool);
    conn_end(dispatcher->conns, conn, true);
}

void dispatch_input(struct conns *conns, struct conn *conn)
{
    const struct rpc_server *server = container_of(conn->owner, struct rpc_server, owner);
    uint32_t max_frame = (uint32_t)server->settings->max_frame;
    uint64_t now = clock_ns();

    while (conn->held == NULL && !conn_output_full(conns, conn)) {
        struct bytes input = conn_input(conns, conn);
        struct frame frame;
        enum frame_status status = frame_next(input, max_frame, &frame);

        if (status == FRAME_PARTIAL) {
            conn->expects = (uint32_t)frame.size;
            return;
        }
        if (status == FRAME_TOO_LARGE) {
            refuse_frame(conns->context, conn, input.size, &frame);
            return;
        }
        now = answer(conns->context, conn, &frame, now);
    }
}

void dispatch_guilty(struct dispatcher *dispatcher, struct conn *conn, const char *code,
                     const char *message)
{
    const struct rpc_server *server = container_of(conn->owner, struct rpc_server, owner);
    struct bytes input = conn_input(dispatcher->conns, conn);
    struct envelope envelope;
    struct json_error error;
    struct frame frame;
    struct call call;

    /* The limits may be another generation's by now: only what was running matters. */
    if (frame_next(input, FRAME_BODY_MAX, &frame) != FRAME_WHOLE)
        return;
    call_init(&call, dispatcher, conn, (size_t)frame.size);
    envelope_read(frame.body, &server->limits, &envelope, &error);
    call.req.id = envelope.id;
    counter_add(&dispatcher->row->counters[COUNT_GUILTY], 1);
    request_fail(&call.req, code, "%s", message);
    call_commit(&call);
    pool_reset(&dispatcher->pool);
}

void rpc_server_init(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation)
{
    uint64_t quarter = (uint64_t)dispatcher->conns->arena.block_count * BLOCK_SIZE / 4;

    server->settings = settings;
    server->owner = (struct conn_owner){
        .max_output = settings->max_output,
        .idle_timeout_ns = settings->idle_timeout_ms * NS_PER_MS,
        .keepalive = settings->tcp_keepalive,
        .nodelay = settings->tcp_nodelay,
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

void rpc_server_count(struct rpc_server *server)
{
    for (size_t i = 0; i < server->methods.count; i++) {
        struct method *method = &server->methods.methods[i];
        method->index = board_find_method(server->introspect.board, method->name);
    }
}
