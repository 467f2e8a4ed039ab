/* From frames to replies. See dispatch.h. */
#include "rpc/dispatch.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log_seldom.h"
#include "rpc/agent.h"
#include "rpc/begun.h"
#include "rpc/dispatch_batch.h"
#include "rpc/http_call.h"
#include "wire/stranger.h"

#define REFUSAL_MAX 8192u /* more than any reply of refuse_frame has */

/* As call_commit, for a request of HTTP, whose reply may be its connection's last. */
static bool commit_http(struct call *call, size_t consumes)
{
    struct conns *conns = call->dispatcher->conns;
    const struct conn_step step = {
        .consumed = consumes,
        .produced = call->req.size,
        .flags = call_last_flags(&call->req),
    };

    conn_commit(conns, call->conn, &step);
    conn_turn_begin(conns, call->conn, &call->turn);
    return step.flags == 0 && call->turn.in_size > 0;
}

/* The frame is consumed and its reply queued, both at once. False when the turn is over, because
 * the input is used up. */
static inline __attribute__((always_inline)) bool call_commit(struct call *call, size_t consumes)
{
    size_t size = call->req.size;

    if (call->req.protocol == PROTOCOL_HTTP)
        return commit_http(call, consumes);
    if (conn_turn_advance(&call->turn, (uint32_t)consumes, (uint32_t)size))
        return true;
    conn_advance(call->dispatcher->conns, call->conn, consumes, size);
    return false;
}

/* Begins a batch. False when it is refused instead; then it is answered. `more` becomes false when
 * the turn is over. */
__attribute__((noinline)) static bool answer_batch(struct call *call, struct bytes body,
                                                   size_t size, bool *more)
{
    struct conns *conns = call->dispatcher->conns;
    const struct begun_frame at = {
        .place = call->turn.consumed,
        .number = conn_cursors(conns, call->conn)->first,
        .frame = {.size = size, .body = body},
    };
    struct batch *batch = batch_open(call, &at, (uint32_t)call->server->settings->max_batch);

    if (batch == NULL)
        return false;
    begun_add(conns, call->conn);
    batch_start(call, batch, &at);
    conn_turn_begin(conns, call->conn, &call->turn);
    *more = begun_count(conns, call->conn) == 0 && call->turn.in_size > 0;
    return true;
}

/* Answers one frame. False when the turn is over. */
static inline __attribute__((always_inline)) bool answer(struct call *call,
                                                         const struct frame *frame, bool first)
{
    struct envelope envelope;
    struct json_error error;

    call_next(call);
    enum envelope_status status = message_read(call, frame->body, &envelope, &error);
    bool runs = call_find(call, status, &envelope, &error);
    bool more;
    if (runs)
        call_run(call, call->turn.consumed, first);
    else if (!call->req.answered && answer_batch(call, frame->body, (size_t)frame->size, &more))
        return more;
    else
        counter_add(&call->dispatcher->row->counters[COUNT_REFUSED], 1);
    if (call->req.deferred != NULL || call->aside != NULL) {
        call_begun(call, (size_t)frame->size, runs);
        return false;
    }
    if (runs && call->slow.slow != NULL)
        slow_answered(&call->slow, call->conn, &call->req);
    more = call_commit(call, (size_t)frame->size);
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
    log_seldom(
        LOG_WARN_LEVEL, NULL, "the client %s speaks %s at %s, where %s are spoken; it was refused",
        call_peer(&call->req), stranger->speaks, address, stranger_spoken(call->req.protocol));
}

/* Answers in words that the other protocol's clients show. */
static void answer_stranger(struct call *call, const struct stranger *stranger)
{
    struct pillion_request *req = &call->req;
    char refusal[STRANGER_REFUSAL_MAX];

    req->size = stranger_refuse(stranger, req->protocol, refusal);
    req->answered = req->failed = true;
    snprintf(req->code, sizeof(req->code), "wrong_protocol");
    char *room = req->size <= req->room_size ? req->room : req->reserve(req, req->size);
    if (room != NULL)
        memcpy(room, refusal, req->size);
}

/* The message has not come in its time, which is shorter while the arena has little room. */
static void tell_late(struct call *call)
{
    struct conns *conns = call->dispatcher->conns;
    bool pressed = room_is_pressed(&conns->room);

    counter_add(&conns->counters[COUNT_ENDED_RECEIVE], 1);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "the client %s does not send the rest of its message, or too slowly "
               "(receive_timeout, least_rate)%s: it was told so, and is disconnected",
               call_peer(&call->req), pressed ? ", and the arena has little room" : "");
    if (pressed)
        request_fail(&call->req, ERROR_REQUEST_TIMEOUT,
                     "the message did not arrive in time, and the server has little room "
                     "(receive_timeout)");
    else
        request_fail(&call->req, ERROR_REQUEST_TIMEOUT,
                     "the message did not arrive within %llu ms (receive_timeout)",
                     (unsigned long long)call->server->settings->receive_timeout_ms);
}

/* Says why the bytes at the start of the input are refused. */
static void tell_refusal(struct call *call, enum frame_status status, const struct frame *frame,
                         const struct stranger *stranger)
{
    const struct server_settings *settings = call->server->settings;
    struct pillion_request *req = &call->req;

    if (req->protocol == PROTOCOL_HTTP)
        http_call_last(call);
    if (status == FRAME_PARTIAL && stranger == NULL)
        tell_late(call);
    else if (req->protocol == PROTOCOL_HTTP)
        request_refuse_http(&call->req, frame->refused,
                            frame->refused == HTTP_CONTENT_TOO_LARGE ? ERROR_FRAME_TOO_LARGE
                                                                     : ERROR_INVALID_REQUEST,
                            "%s", frame->why);
    else if (status == FRAME_REFUSED)
        request_fail(req, ERROR_PARSE_ERROR, "%s", frame->why);
    else
        request_fail(req, ERROR_FRAME_TOO_LARGE,
                     "%s of %llu bytes is announced; at most %llu are allowed (max_frame)%s",
                     req->protocol == PROTOCOL_FRAME ? "a frame" : "a message",
                     (unsigned long long)frame->size, (unsigned long long)settings->max_frame,
                     stranger == NULL ? "" : stranger->hint);
}

/* There is no telling where the next frame starts: the reply is sent, and then the connection
 * ends. */
static void refuse_frame(struct call *call, enum frame_status status, const struct frame *frame,
                         const struct stranger *stranger)
{
    struct dispatcher *dispatcher = call->dispatcher;

    /* No frame can keep this reply: the input is refused once there is room for it. */
    if (conn_output_reserve(dispatcher->conns, call->conn, REFUSAL_MAX) == NULL) {
        conn_wait_for_room(dispatcher->conns, call->conn);
        return;
    }
    conn_turn_begin(dispatcher->conns, call->conn, &call->turn);
    counter_add(&dispatcher->row->counters[COUNT_FRAMES], 1);
    counter_add(&dispatcher->row->counters[COUNT_REFUSED], 1);
    call_next(call);
    /* Not in the format of the request before it, nor as a notification if that was one. */
    call->req.format = protocols[call->req.protocol].refuses_in;
    call->req.notifies = false;
    if (stranger != NULL)
        log_stranger(call, stranger);
    if (stranger != NULL && stranger->form != NULL)
        answer_stranger(call, stranger);
    else
        tell_refusal(call, status, frame, stranger);
    call->req.body = BYTES(""); /* its received bytes are no body */
    call_refused(call, NULL, call->req.body);
    call_commit(call, call->turn.in_size);
    call_show(call);
    pool_reset(&dispatcher->pool);
    conn_end(dispatcher->conns, call->conn, true);
}

/* True when this is how the connection begins, or goes on behind its PROXY header. */
static bool is_beginning(const struct call *call)
{
    const struct conn_cursors *cursors = conn_cursors(call->dispatcher->conns, call->conn);

    return call->turn.consumed == 0 || ((cursors->flags & CONN_TOLD) && cursors->sent == 0 &&
                                        cursors->out_start == cursors->out_end);
}

/* What the client speaks instead, if this is how its connection begins. */
static const struct stranger *find_stranger(const struct call *call, enum frame_status status)
{
    const struct bytes input = {call->turn.in, call->turn.in_size};

    if (!is_beginning(call))
        return NULL;
    if (call->req.protocol == PROTOCOL_LINE)
        return stranger_of_line(input, status == FRAME_WHOLE);
    if (call->req.protocol != PROTOCOL_FRAME)
        return stranger_of_head(input, call->req.protocol);
    return stranger_of_frame(input, call->server->frame_limits.body, status);
}

/* The client has sent a head, and waits for a word before it sends the body (RFC 9110 section
 * 10.1.1): it gets it once. */
static void tell_to_go_on(struct call *call)
{
    static const char word[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t size = sizeof(word) - 1;
    struct conns *conns = call->dispatcher->conns;

    if (conn_cursors(conns, call->conn)->told)
        return;
    char *room = conn_output_reserve(conns, call->conn, size);
    if (room == NULL) {
        conn_wait_for_room(conns, call->conn);
        return;
    }
    memcpy(room, word, size);
    conn_commit(conns, call->conn, &(struct conn_step){.produced = size, .told = true});
}

/* A part of a message is there, and the rest of it did not come in time. */
static bool is_late(const struct call *call)
{
    return call->turn.in_size > 0 &&
           !conn_arrives(call->dispatcher->conns, call->conn, call->turn.consumed);
}

/* The bytes at the start of the input are no whole frame, or a stranger's first line. False when
 * the turn is over. */
static bool pass_over(struct call *call, enum frame_status status, const struct frame *frame)
{
    const struct stranger *stranger = find_stranger(call, status);

    if (status == FRAME_EMPTY) {
        call->req.size = 0;
        return call_commit(call, (size_t)frame->size);
    }
    if (status != FRAME_PARTIAL || stranger != NULL || is_late(call)) {
        refuse_frame(call, status, frame, stranger);
        return false;
    }
    call->conn->expects = (uint32_t)frame->size;
    if (call->req.protocol == PROTOCOL_HTTP && frame->waits)
        tell_to_go_on(call);
    return false;
}

/* The message at the start of the input, as protocol_next says. */
static inline __attribute__((always_inline)) enum frame_status
next_message(struct call *call, unsigned protocol, const struct frame_limits *limits,
             struct frame *frame)
{
    const struct bytes input = {call->turn.in, call->turn.in_size};

    if (protocol == PROTOCOL_FRAME)
        return protocol_next(protocol, input, limits, NULL, frame);
    struct frame_progress progress = search_at(search_of(call), call->turn.consumed);
    enum frame_status status = protocol == PROTOCOL_HTTP
                                   ? http_call_next(call, limits, &progress, frame)
                                   : protocol_next(protocol, input, limits, &progress, frame);
    if (status == FRAME_PARTIAL)
        search_keep(search_of(call), call->turn.consumed, &progress);
    return status;
}

/* Requests of HTTP are counted for their connection as they are read: their responses say which is
 * the last one. */
static inline __attribute__((always_inline)) void count_frames(struct call *call, unsigned protocol,
                                                               uint64_t frames)
{
    counter_add(&call->dispatcher->row->counters[COUNT_FRAMES], frames);
    if (call->server->settings->keepalive_requests != 0 && protocol != PROTOCOL_HTTP &&
        call->conn->policy != NULL)
        conn_requested(call->dispatcher->conns, call->conn, (uint32_t)frames);
}

/* Frames that are answered before the next one begins. Leaves when there is no more to do for now,
 * and when a request was deferred. */
static inline __attribute__((always_inline)) void answer_in_turn_of(struct call *call,
                                                                    const unsigned protocol)
{
    const struct frame_limits limits = call->server->frame_limits;
    struct conn *conn = call->conn;
    uint64_t max_output = conn_output_limit(call->dispatcher->conns, conn), frames = 0;
    bool more = true;

    while (more && call->turn.out_end - call->turn.out_start < max_output) {
        struct frame frame;
        enum frame_status status = next_message(call, protocol, &limits, &frame);

        if (status != FRAME_WHOLE ||
            (protocol == PROTOCOL_LINE && find_stranger(call, status) != NULL)) {
            more = pass_over(call, status, &frame);
            continue;
        }
        conn->expects = 0;
        more = answer(call, &frame, frames++ == 0);
    }
    if (frames > 0)
        count_frames(call, protocol, frames);
    if (more)
        conn_leave(conn);
}

/* Frames have a copy of their own, in which nothing asks for the protocol. */
static void answer_in_turn(struct call *call)
{
    if (call->req.protocol == PROTOCOL_FRAME)
        answer_in_turn_of(call, PROTOCOL_FRAME);
    else
        answer_in_turn_of(call, call->req.protocol);
}

/* Finds out what a new connection's client speaks. False while too little of it is there; when its
 * time is over, it is refused in a frame. */
static bool guess_protocol(struct call *call)
{
    struct conns *conns = call->dispatcher->conns;
    unsigned protocol = protocol_guess((struct bytes){call->turn.in, call->turn.in_size});

    if (protocol == PROTOCOL_AUTO) {
        if (!is_late(call))
            return false;
        protocol = PROTOCOL_FRAME;
    }
    conn_speaks(conns, call->conn, (uint8_t)protocol);
    conn_turn_begin(conns, call->conn, &call->turn);
    call->req.protocol = call->turn.protocol;
    return true;
}

/* Handles what it may, in turn and overtaking. */
static void answer_all(struct call *call)
{
    struct conns *conns = call->dispatcher->conns;
    struct conn *conn = call->conn;

    for (;;) {
        if (begun_count(conns, conn) > 0) {
            if (!answer_overtaking(call))
                return;
            conn_turn_begin(conns, conn, &call->turn);
        }
        conn->stalled = 0;
        answer_in_turn(call);
        if (begun_count(conns, conn) == 0)
            return;
    }
}

void dispatch_input(struct conns *conns, struct conn *conn)
{
    struct call call;

    if (conn_cursors(conns, conn)->protocol == PROTOCOL_AGENT) {
        agent_answer(conns->context, conn);
        return;
    }
    call_init(&call, conns->context, conn);
    if (call.req.protocol == PROTOCOL_AUTO && !guess_protocol(&call))
        return;
    answer_all(&call);
    if (call.slow.slow != NULL)
        slow_left(&call.slow, conn);
}

/* Until its PROXY header has come a connection only has that time: it is never idle. */
static void expect_headers(struct rpc_server *server)
{
    const struct server_settings *settings = server->settings;

    server->policy.until_header = &server->before;
    server->before = server->policy;
    server->before.until_header = NULL;
    server->before.after_header = &server->policy;
    server->before.idle_timeout_ns = 0;
    server->before.header_timeout_ns = settings->proxy_timeout_ms * NS_PER_MS;
    server->before.access_count = 0; /* these are about the client that the header tells */
    server->before.crowd = (struct crowd_limit){0};
    server->before.trusted = settings->proxy_from.networks;
    server->before.trusted_count = settings->proxy_from.count;
}

static uint32_t eof_is_end(enum half_close half_close)
{
    uint32_t bits = 0;

    for (unsigned p = 0; p < PROTOCOLS; p++)
        bits |= (uint32_t)(half_close == HALF_CLOSE_OFF ||
                           (half_close == HALF_CLOSE_AUTO && protocols[p].eof_is_end))
                << p;
    return bits;
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
        .receive_timeout_ns = settings->receive_timeout_ms * NS_PER_MS,
        .send_timeout_ns = settings->send_timeout_ms * NS_PER_MS,
        .least_rate = (uint32_t)settings->least_rate,
        .max_requests = (uint32_t)settings->keepalive_requests,
        .access = settings->access.rules,
        .access_count = settings->access.count,
        .crowd = {.most = (uint32_t)settings->limit_conn.most,
                  .rate = (uint32_t)settings->limit_conn.rate,
                  .period_s = (uint32_t)settings->limit_conn.period_s,
                  .server = settings->index},
        .max_age_ns = settings->max_connection_age_ms * NS_PER_MS,
        .keepalive = settings->tcp_keepalive,
        .nodelay = settings->tcp_nodelay,
        .max_input = protocol_largest(settings->max_frame, settings->max_head),
        .eof_is_end = eof_is_end((enum half_close)settings->half_close),
    };
    server->frame_limits = (struct frame_limits){
        .body = (uint32_t)settings->max_frame,
        .head = (uint32_t)settings->max_head,
    };
    expect_headers(server);
    server->slow = false;
    for (size_t i = 0; i < server->methods.count; i++)
        server->slow = server->slow || server->methods.methods[i].slow_ns != SLOW_NEVER;
    server->limits = (struct json_limits){
        .depth = (uint32_t)settings->json_max_depth,
        .values = (uint32_t)settings->json_max_values,
    };
    /* A reply has to fit the arena some day, however full it is now; a little more than a frame,
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
    server->policy.max_requests = 0;
    server->policy.crowd = (struct crowd_limit){0};
    server->policy.idle_timeout_ns = patience_ms * NS_PER_MS;
    expect_headers(server);
}

void rpc_server_count(struct rpc_server *server)
{
    const char *label = board_server(server->settings);

    for (size_t i = 0; i < server->methods.count; i++) {
        struct method *method = &server->methods.methods[i];
        method->index = board_find_server_method(server->introspect.board, label, method->name);
    }
    struct method *own[] = {&server->methods.mcp, &server->methods.metrics,
                            &server->methods.status};
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        own[i]->index = board_find_server_method(server->introspect.board, label, own[i]->name);
}
