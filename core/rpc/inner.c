/* Calls of methods by methods. See inner.h. */
#include "rpc/inner.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/conn_values.h"
#include "rpc/introspect.h"
#include "rpc/note.h"
#include "rpc/run.h"
#include "wire/frame.h"
#include "wire/json.h"

static const struct json_limits params_limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};

struct inner {
    struct pillion_request req; /* until its handler has returned */
    struct pool pool;           /* likewise */
    struct timer timer;         /* set until it begins */
    struct deferred *outer;
    uint64_t token;            /* the outer request's */
    struct deferred *deferred; /* the inner request, where that is deferred */
    struct origin origin;      /* of the outer request */
    struct bytes name, params; /* in `pool`, once it is kept there */
    char *reply;               /* a frame, in the memory of the inner request */
    unsigned depth;            /* 1: of a call in no other */
    inner_done done;
    void *data;
};

/* ---- What the inner request asks of the outer one ---- */

static const char *peer(const struct pillion_request *req)
{
    return request_peer(&req->inner->outer->req);
}

static const char *told(const struct pillion_request *req, const char *what)
{
    const struct pillion_request *outer = &req->inner->outer->req;
    return outer->told == NULL ? NULL : outer->told(outer, what);
}

static void whence(const struct pillion_request *req, struct origin *origin)
{
    origin->connection = req->inner->origin.connection;
    origin->place = req->inner->origin.place;
}

static void connection(const struct pillion_request *req, struct request_connection *to)
{
    *to = conn_values_connection(&req->inner->outer->req);
}

static char *reserve(struct pillion_request *req, size_t size)
{
    return req->inner->reply = size == 0 ? NULL : pool_alloc(req->pool, size);
}

/* ---- The end ---- */

/* Tells the outer module. `req` is the inner request; NULL: it was never run. */
static void hand_back(struct inner *inner, const struct pillion_request *req, const char *reply)
{
    struct deferred *outer = inner->outer;
    bool waits = outer->serial == (uint32_t)inner->token && outer->state == DEFERRED_WAITING;
    struct bytes result = {NULL, 0};
    const char *code = NULL;

    if (reply != NULL)
        result = envelope_member(
            (struct bytes){reply + FRAME_HEADER_SIZE, req->size - FRAME_HEADER_SIZE},
            BYTES("result"));
    if (req == NULL || req->failed)
        code = req == NULL ? "cancelled" : req->code;
    else if (reply == NULL)
        code = PILLION_OVERLOADED;
    outer->give_up = NULL;
    struct note before = note_enter(DUTY_DONE, outer->instance, &inner->origin);
    if (waits)
        outer->working = false; /* before `done`, which may call another method */
    inner->done(waits ? deferred_resume(outer->all, inner->token) : NULL, code, result,
                inner->data);
    note_leave(&before);
    if (!waits)
        deferred_work_done(outer);
}

static void end(struct inner *inner)
{
    pool_free(&inner->pool);
    free(inner);
}

void inner_finish(struct deferred *deferred)
{
    struct inner *inner = deferred->req.inner;

    hand_back(inner, &deferred->req, deferred->reply);
    deferred_free(deferred);
    end(inner);
}

/* deferred->give_up: nobody waits for the outer request. */
static void give_up(struct deferred *outer)
{
    struct inner *inner = outer->giving_up;

    if (inner->deferred != NULL) {
        deferred_drop(inner->deferred);
        return;
    }
    timer_cancel(outer->all->loop, &inner->timer);
    hand_back(inner, NULL, NULL);
    end(inner);
}

/* ---- The beginning ---- */

/* The method, where it may run. Otherwise the inner request is answered. */
static const struct method *find_method(struct inner *inner)
{
    struct pillion_request *req = &inner->req;
    const struct introspect *server = req->introspect;
    const struct method *method =
        server == NULL ? NULL : method_table_find(server->methods, inner->name);
    struct json_error error = {.reason = "there are no bytes"};

    if (method == NULL)
        request_fail(req, ERROR_METHOD_NOT_FOUND, "there is no method \"%.*s\" here",
                     (int)inner->name.size, inner->name.data);
    else if (inner->depth > INNER_DEPTH_MAX)
        request_fail(req, PILLION_INTERNAL_ERROR,
                     "\"%s\" is called by a method that is called by another, more than %u deep",
                     method->name.data, INNER_DEPTH_MAX);
    else if (inner->params.data == NULL || !json_check(inner->params, &params_limits, &error))
        request_fail(req, PILLION_INVALID_PARAMS,
                     "\"%s\" is called with params that are not valid JSON: %s, at byte %zu",
                     method->name.data, error.reason, error.offset);
    else if (server->board != NULL &&
             atomic_load_explicit(&server->board->quarantined[method->index],
                                  memory_order_relaxed) != QUARANTINED_NOT)
        request_fail(req, ERROR_METHOD_QUARANTINED,
                     "\"%s\" has crashed too often and is out of service until the next reload",
                     method->name.data);
    return req->answered ? NULL : method;
}

/* Runs the inner request, as call_run does: its time is its method's. */
static void run(struct inner *inner, const struct method *method)
{
    struct pillion_request *req = &inner->req;
    struct board_row *row = inner->outer->all->row;
    struct origin origin;

    req->method = method;
    req->params = inner->params;
    request_origin(req, &origin);
    struct note before = note_enter(DUTY_CALL, method->instance, &origin);
    if (row != NULL)
        atomic_store_explicit(&row->allowed_ns, method->timeout_ns, memory_order_relaxed);
    request_run(req);
    note_leave(&before);
    if (req->deferred == NULL && row != NULL)
        method_count(&row->methods[method->index], req->failed ? req->code : NULL,
                     clock_ns() - req->started_ns);
}

static void begin(struct timer *timer)
{
    struct inner *inner = container_of(timer, struct inner, timer);
    const struct pillion_request *outer = &inner->outer->req;

    inner->req = (struct pillion_request){
        .inner = inner,
        .protocol = PROTOCOL_FRAME,
        .format = ENVELOPE_PILLION,
        /* For its other members: where the body is the params, it has none. */
        .body = outer->format == ENVELOPE_BARE ? BYTES("{}") : outer->body,
        .head = outer->head,
        .id = {NULL, 0},
        .params = BYTES("null"),
        .pool = &inner->pool,
        .started_ns = clock_ns(),
        .due_ns = inner->outer->due_ns,
        .reserve = reserve,
        .peer = peer,
        .told = told,
        .whence = whence,
        .connection = connection,
        .deferreds = outer->deferreds,
        .max_reply = outer->max_reply,
        .introspect = outer->introspect,
    };
    const struct method *method = find_method(inner);
    if (method != NULL)
        run(inner, method);
    if (inner->req.deferred == NULL) {
        hand_back(inner, &inner->req, inner->reply);
        end(inner);
        return;
    }
    struct deferred *deferred = inner->req.deferred;
    deferred_keep(deferred, &inner->pool);
    inner->deferred = deferred;
}

static struct bytes copy(struct pool *pool, struct bytes bytes)
{
    char *to = bytes.data == NULL ? NULL : pool_alloc(pool, bytes.size + 1);

    if (to == NULL)
        return (struct bytes){NULL, 0};
    memcpy(to, bytes.data, bytes.size);
    to[bytes.size] = '\0';
    return (struct bytes){to, bytes.size};
}

void inner_call(struct pillion_request *req, const char *method, struct bytes params,
                inner_done done, void *data)
{
    unsigned depth = req->inner == NULL ? 1 : req->inner->depth + 1;
    uint64_t token = deferred_begin(req, 0);

    if (token == 0)
        return;
    struct deferred *outer = req->deferred;
    struct inner *inner = calloc(1, sizeof(*inner));
    if (inner == NULL) {
        request_fail(deferred_resume(outer->all, token), PILLION_OVERLOADED,
                     "there is no memory to call \"%s\"", method);
        return;
    }
    inner->outer = outer;
    inner->token = token;
    inner->origin = note_origin();
    inner->name = copy(&inner->pool, bytes_of(method));
    inner->params = copy(&inner->pool, params.data == NULL ? BYTES("null") : params);
    inner->depth = depth;
    inner->done = done;
    inner->data = data;
    outer->working = true;
    outer->give_up = give_up;
    outer->giving_up = inner;
    timer_set(outer->all->loop, &inner->timer, 0, begin);
}
