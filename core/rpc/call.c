/* One frame being answered. See call.h. */
#include "rpc/call.h"

#include <stdlib.h>

#include "rpc/dispatcher_values.h"
#include "rpc/result.h"

/* The sink of a worker's requests: the reply is written where it will be sent from. */
char *call_reserve(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;
    struct conns *conns = call->dispatcher->conns;

    if (size == 0)
        return NULL;
    char *room = conn_output_reserve(conns, call->conn, size);

    if (room != NULL) {
        conn_turn_begin(conns, call->conn, &call->turn);
        return room;
    }
    return call->aside = malloc(size);
}

/* ---- Replies that are being written ---- */

/* The connection keeps only what it needs of the room that it had for such a reply. */
static void end_extension(struct call *call, size_t used)
{
    struct conns *conns = call->dispatcher->conns;

    call->req.reserve = call_reserve;
    conn_output_trim(conns, call->conn, used);
    conn_turn_begin(conns, call->conn, &call->turn);
    result_over(&call->req);
}

/* The sink's place of call_reserve while there is such room. */
static char *reserve_extended(struct pillion_request *req, size_t size)
{
    struct call *call = req->sink;
    char *room = call_reserve(req, size);

    end_extension(call, room == NULL || room == call->aside ? 0 : size);
    return room;
}

/* Every reply is asked for room from then on: `room` of the request may lie elsewhere. */
char *call_extend(struct pillion_request *req, size_t used, size_t *size)
{
    struct call *call = req->sink;
    struct conns *conns = call->dispatcher->conns;
    char *room = *size == 0 ? NULL : conn_output_extend(conns, call->conn, used, size);

    if (*size == 0)
        end_extension(call, 0);
    if (room == NULL)
        return NULL;
    conn_turn_begin(conns, call->conn, &call->turn);
    req->room_size = 0;
    req->reserve = reserve_extended;
    return room;
}

const char *call_peer(const struct pillion_request *req)
{
    static char text[ADDRESS_TEXT_SIZE];
    const struct call *call = req->sink;
    conn_peer(call->conn, text);
    return text;
}

const char *call_told(const struct pillion_request *req, const char *what)
{
    return conn_told(((const struct call *)req->sink)->conn, what);
}

void call_whence(const struct pillion_request *req, struct origin *origin)
{
    const struct call *call = req->sink;
    uint64_t mark = atomic_load_explicit(&call->turn.record->running, memory_order_relaxed);

    origin->connection = conn_id(call->dispatcher->conns, call->conn);
    origin->place = running_place(mark);
}

void call_connection(const struct pillion_request *req, struct request_connection *to)
{
    const struct call *call = req->sink;

    dispatcher_connection(call->dispatcher, call->conn, to);
}

/* The method of this name. A client that pipelines calls the same one again and again. */
static const struct method *find_method(struct rpc_server *server, struct bytes name)
{
    if (server->recent == NULL || !bytes_equal(server->recent->name, name))
        server->recent = method_table_find(&server->methods, name);
    return server->recent;
}

void call_refused(struct call *call, const struct method *method, struct bytes in)
{
    struct dispatcher *dispatcher = call->dispatcher;

    if (method == NULL) {
        method = &call->server->methods.none;
    } else {
        method_count_refused(&dispatcher->row->methods[method->index], call->req.code);
        if (quarantine_of(dispatcher, method->index) == QUARANTINED_WITH_FILTERS)
            return;
    }
    call->shown = method->unseen && request_keep_refused(&call->req, method, in);
}

void call_forget_answer(struct call *call)
{
    struct pillion_request *req = &call->req;

    if (!req->answered)
        return;
    free(call->aside);
    call->aside = NULL;
    req->answered = req->failed = false;
    req->size = 0;
    req->http.style &= (1u << HTTP_STYLE_STATUS_SHIFT) - 1;
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
    const struct method *method = NULL;

    if (in.data != NULL) {
        method = find_method(call->server, in);
    } else if (status == ENVELOPE_BATCH && !req->answered) {
        return false;
    } else if (envelope_is_own(status)) {
        method = call_own(call, status);
        status = ENVELOPE_OK;
    }
    if (req->answered) {
        call_refused(call, NULL, envelope->in);
        return false;
    }
    if (!request_accept(req, status, envelope, error, method)) {
        call_refused(call, method, envelope->in);
        return false;
    }
    if (quarantine_of(dispatcher, req->method->index) != QUARANTINED_NOT) {
        counter_add(&dispatcher->row->counters[COUNT_QUARANTINED], 1);
        request_fail(req, ERROR_METHOD_QUARANTINED,
                     "\"%s\" has crashed too often and is out of service until the next reload",
                     req->method->name.data);
        call_refused(call, req->method, envelope->in);
        return false;
    }
    return true;
}
