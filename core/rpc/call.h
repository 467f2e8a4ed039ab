/* A call: one frame of a connection being answered, in turn or not. dispatch.h tells in which
 * order. The functions on every request's path are inline. */
#ifndef PILLION_RPC_CALL_H
#define PILLION_RPC_CALL_H

#include "base/clock.h"
#include "rpc/dispatcher.h"
#include "rpc/run.h"
#include "rpc/slow.h"
#include "wire/http_reply.h"
#include "wire/protocol.h"

#define TIMED_EVERY 16u /* of a method's calls in one turn; the first is always timed */

/* Frames of one connection being answered, one after the other. */
struct call {
    struct pillion_request req;
    struct dispatcher *dispatcher;
    struct rpc_server *server;
    struct conn *conn;
    struct conn_turn turn;
    uint64_t now_ns; /* clock_ns() a few requests ago, or 0: good enough for one that is deferred */
    struct slow_turn slow;
    char *aside; /* where the reply is when the arena had no room for it, or it no turn */
    bool began;  /* in a former worker: this generation's settings were not asked then */
    bool knows_loopback, on_loopback; /* whether the client has connected to such an address */
    const char *http_at;      /* where the request begins that `http` tells of; NULL: nowhere */
    struct http_request http; /* what http_call_next has read and http_call_read has not used yet */
    bool shown; /* filters are to see the request once its answer is committed: see call_refused */
};

/* The functions through which struct pillion_request knows its call. */
char *call_reserve(struct pillion_request *req, size_t size);
char *call_extend(struct pillion_request *req, size_t used, size_t *size);
const char *call_peer(const struct pillion_request *req);
const char *call_told(const struct pillion_request *req, const char *what);
void call_whence(const struct pillion_request *req, struct origin *origin);
void call_connection(const struct pillion_request *req, struct request_connection *to);

static inline void call_init(struct call *call, struct dispatcher *dispatcher, struct conn *conn)
{
    call->dispatcher = dispatcher;
    call->server = container_of(conn->policy, struct rpc_server, policy);
    call->conn = conn;
    call->now_ns = 0;
    call->aside = NULL;
    call->began = false;
    call->knows_loopback = false;
    call->http_at = NULL;
    call->shown = false;
    call->req = (struct pillion_request){
        .pool = &dispatcher->pool,
        .reserve = call_reserve,
        .extend = call_extend,
        .peer = call_peer,
        .told = call_told,
        .whence = call_whence,
        .connection = call_connection,
        .sink = call,
        .deferreds = &dispatcher->deferreds,
        .max_reply = call->server->max_reply,
        .introspect = &call->server->introspect,
    };
    slow_turn_begin(&call->slow, dispatcher, conn, call->server->slow);
    conn_turn_begin(dispatcher->conns, conn, &call->turn);
    call->req.protocol = call->turn.protocol;
}

/* Makes it the request of the next frame, whose reply has room where `turn` says. */
static inline void call_next(struct call *call)
{
    struct pillion_request *req = &call->req;

    req->method = NULL;
    req->filter = NULL;
    req->params = BYTES("null");
    req->id = (struct bytes){NULL, 0};
    req->args = NULL;
    req->tree = NULL;
    req->values = NULL;
    req->result = NULL;
    req->peer_text = NULL;
    req->tree_tried = req->answered = req->failed = false;
    req->deferred = NULL;
    req->size = 0;
    req->room = call->turn.out;
    req->room_size = call->turn.out_room;
}

/* The search for the end of the connection's next frame. */
static inline struct search *search_of(const struct call *call)
{
    return &call->dispatcher->searches[conn_index(call->dispatcher->conns, call->conn)];
}

/* Reads the frame's members; `error` says why it is no request. */
static inline enum envelope_status call_read(struct call *call, struct bytes body,
                                             struct envelope *envelope, struct json_error *error)
{
    return request_read(&call->req, body, &call->server->limits, envelope, error);
}

/* True when the frame that was read is a call of a method that may run. Otherwise it is answered,
 * or it is a batch, which is not. */
bool call_find(struct call *call, enum envelope_status status, const struct envelope *envelope,
               const struct json_error *error);

/* The method of the server's own for such a request. NULL where the server has no methods,
 * or the board no room for it. */
static inline const struct method *call_own(const struct call *call, enum envelope_status status)
{
    const struct method_table *methods = &call->server->methods;
    const struct method *method = status == ENVELOPE_MCP       ? &methods->mcp
                                  : status == ENVELOPE_METRICS ? &methods->metrics
                                                               : &methods->status;

    return method->handler == NULL || method->index == BOARD_NO_METHOD ? NULL : method;
}

/* The request is answered, and no handler is to see it. It counts as a call of its method, with an
 * error, and is kept for the filters that are to see it. Without a method, `in` is the name that
 * the client asked for. */
void call_refused(struct call *call, const struct method *method, struct bytes in);

/* What reading the request has found against it is not what became of it: where it is answered, it
 * is not any more. */
void call_forget_answer(struct call *call);

/* The flags of a connection whose last reply is this request's. */
static inline uint8_t call_last_flags(const struct pillion_request *req)
{
    if (req->protocol != PROTOCOL_HTTP)
        return 0;
    if (http_reply_is_stream(req->http.style))
        return CONN_STREAM | CONN_DISCARD;
    return req->http.style & HTTP_STYLE_CLOSE ? CONN_ENDING | CONN_DISCARD : 0;
}

/* The answer is committed: shows the filters a request that was refused. Should one of them crash,
 * it costs no client anything, and the request is not theirs a second time. */
void call_show(struct call *call);

/* `weight`: how many calls this one stands for. */
static inline void count_time(struct method_counters *counters, uint64_t ns, uint32_t weight)
{
    counter_add(&counters->total_ns, ns * weight);
    counter_add(&counters->latency[latency_bucket(ns)], weight);
}

/* Runs the handler between two stores, by which the watchdog, and an adopter after a death, know
 * the method that runs. */
static inline void call_run_method(struct call *call, uint64_t place)
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

/* Runs the handler for the frame at `place` of the input stream, and counts it. Clocks cost as much
 * as a short handler does, so of pipelined requests some stand for the others. One that is deferred
 * is counted when it is answered. */
static inline void call_run(struct call *call, uint64_t place, bool first)
{
    uint32_t index = call->req.method->index;
    struct method_counters *counters = &call->dispatcher->row->methods[index];
    uint8_t *untimed = &call->dispatcher->untimed[index];
    bool timed = first || *untimed >= TIMED_EVERY - 1;

    call->req.started_ns = timed ? clock_ns() : call->now_ns;
    call_run_method(call, place);
    if (call->req.deferred != NULL)
        return;
    uint64_t ended_ns = 0;
    if (timed) {
        ended_ns = clock_ns();
        count_time(counters, ended_ns - call->req.started_ns, *untimed + 1u);
        *untimed = 0;
    } else {
        ++*untimed;
    }
    if (call->slow.slow != NULL)
        slow_ran(&call->slow, call->conn, &call->req, place, ended_ns);
    counter_add(&counters->calls, 1);
    if (call->req.failed)
        method_count_failure(counters, call->req.code);
}

#endif
