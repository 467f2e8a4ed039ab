/* One call being answered: `pillion_request`.
 *
 * The dispatcher makes one on its stack for each frame, the handler answers it, and where the
 * reply goes is the sink's business: into the connection's arena in a worker, into memory in tests.
 * A request is answered exactly once: later answers are logged and dropped. */
#ifndef PILLION_RPC_REQUEST_H
#define PILLION_RPC_REQUEST_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/memory.h"
#include "rpc/method.h"
#include "rpc/origin.h"
#include "wire/protocol.h"

struct conn_values;
struct deferred;
struct deferreds;
struct inner;
struct introspect;
struct request_value;
struct result;

/* The connection of a request, as its sink tells of it. */
struct request_connection {
    struct conn_values **values; /* what modules keep for it (rpc/conn_values.h), or NULL there:
                                    nothing; NULL: it is gone */
    uint64_t id;                 /* 0: it is gone */
    bool moved;                  /* another worker had it before this one */
};

struct pillion_request {
    const struct method *method;
    const struct filter_use *filter; /* the one that runs, or NULL */
    uint8_t protocol;                /* of its connection: PROTOCOL_… */
    uint8_t format;                  /* enum envelope_format: of the request, and of its reply */
    bool notifies;                   /* nothing is replied, whatever comes of it */
    struct bytes body;               /* of the frame; params and id lie in it */
    struct bytes head;               /* of HTTP: the header section, else empty */
    struct reply_http http;          /* likewise: how the reply goes out */
    struct bytes params;             /* strictly valid JSON */
    struct bytes id;                 /* JSON, or data NULL */
    struct pool *pool;               /* the request's memory; reset when it is done */
    const void *args;                /* the structure that the params have filled, or NULL */
    cJSON *tree;                     /* of the params, in the pool, once asked for */
    struct request_value *values;    /* newest first: see rpc/belongings.h */
    struct result *result;           /* being written: see rpc/result.h */
    bool tree_tried;
    bool answered;
    bool promised;       /* deferred, and not resumed while its handler has not returned */
    bool freed;          /* its method called free on pool memory; logged, once a request */
    bool failed;         /* the answer was an error */
    char code[32];       /* the error's, cut where it is longer; once `failed` */
    uint64_t started_ns; /* on clock_ns(); 0: nobody had to know so far */

    size_t size; /* of the reply, header included, once there is one; 0 for a notification */

    /* Room for a reply that is at hand. `reserve` gives room for one that does not fit there. NULL
     * without memory: it is called once more then, for a brief error in the reply's place. With a
     * size of 0 it is told that a notification is answered, and its result means nothing. */
    char *room;
    size_t room_size;
    char *(*reserve)(struct pillion_request *req, size_t size);
    /* Room for a reply that is still being written, as conn_output_extend gives it; a size of 0: it
     * is given back, and what is written there is no reply. What `reserve` gives next is the same
     * room, where it is large enough; from then on nothing is written any more (result_over). NULL:
     * there is no such room here. */
    char *(*extend)(struct pillion_request *req, size_t used, size_t *size);
    const char *(*peer)(const struct pillion_request *req);
    /* See conn_told. NULL: nothing is ever told. */
    const char *(*told)(const struct pillion_request *req, const char *what);
    /* Tells which frame of which connection it is. NULL: nobody has to know. */
    void (*whence)(const struct pillion_request *req, struct origin *origin);
    /* Tells of its connection. NULL: there is none. */
    void (*connection)(const struct pillion_request *req, struct request_connection *to);
    const char *peer_text; /* the result of `peer`, in the pool, once it was asked for */
    void *sink;            /* for the five above */

    struct inner *inner;         /* of a call by another method (rpc/inner.h), or NULL */
    uint64_t due_ns;             /* of such a call: when nobody waits any more; 0: not known */
    struct deferreds *deferreds; /* where it can be deferred to, or NULL */
    struct deferred *deferred;   /* once it is */

    uint64_t max_reply;                  /* bytes of a reply, its header included */
    const struct introspect *introspect; /* the server as the request can see it */
};

/* Reads the frame's body: `id`, `format`, `notifies` and `body` are set, the rest of its members is
 * in `envelope`, and `error` says why it is no request. Which method it calls is for
 * request_accept. */
static inline enum envelope_status request_read(struct pillion_request *req, struct bytes body,
                                                const struct json_limits *limits,
                                                struct envelope *envelope, struct json_error *error)
{
    enum envelope_status status = envelope_read(body, limits, envelope, error);

    req->id = bytes_just_set(&envelope->id);
    req->format = envelope->format;
    req->notifies = envelope->notifies;
    req->body = body;
    return status;
}

/* The same for an element of a batch. */
static inline enum envelope_status request_read_element(struct pillion_request *req,
                                                        struct bytes element,
                                                        const struct json_limits *limits,
                                                        struct envelope *envelope,
                                                        struct json_error *error)
{
    enum envelope_status status = envelope_read_element(element, limits, envelope, error);

    req->id = envelope->id;
    req->format = envelope->format;
    req->notifies = envelope->notifies;
    req->body = element;
    return status;
}

/* True when the client tells the reply from others by its place among them, and nothing but its own
 * place in the order of the requests keeps it there. */
static inline bool request_is_ordered(const struct pillion_request *req)
{
    return req->id.data == NULL && !req->notifies && !protocols[req->protocol].ordered;
}

/* Answers a body that is no JSON or no request, or that calls a method which is not there. */
void request_refuse(struct pillion_request *req, enum envelope_status status,
                    const struct envelope *envelope, const struct json_error *error);

/* Params by position become an object where the method declares one. False when they cannot; then
 * the request is answered. */
bool request_name_params(struct pillion_request *req, const struct method *method,
                         struct bytes params);

/* Makes the request, which request_read has read, a call of `method`; NULL: there is no method of
 * that name. False when it cannot be run; then it is answered. */
static inline bool request_accept(struct pillion_request *req, enum envelope_status status,
                                  const struct envelope *envelope, const struct json_error *error,
                                  const struct method *method)
{
    if (status != ENVELOPE_OK || method == NULL) {
        request_refuse(req, status, envelope, error);
        return false;
    }
    req->params = bytes_just_set(&envelope->params);
    if (envelope->format == ENVELOPE_JSONRPC && *req->params.data == '[' &&
        !request_name_params(req, method, req->params))
        return false;
    req->method = method;
    return true;
}

/* Answers with a result that is known to be valid JSON. */
void request_reply(struct pillion_request *req, const char *out, struct bytes result);

/* Answers with an error. A notification is answered with nothing, and fails all the same: filters
 * and counts see it. */
__attribute__((format(printf, 3, 4))) void request_fail(struct pillion_request *req,
                                                        const char *code, const char *format, ...);

__attribute__((format(printf, 3, 0))) void
request_fail_v(struct pillion_request *req, const char *code, const char *format, va_list args);

/* Answers a request that came by HTTP with an error, and with this status whatever the code's own
 * is. Returns ENVELOPE_INVALID, which is what reading the request has come to then. */
__attribute__((format(printf, 4, 5))) enum envelope_status
request_refuse_http(struct pillion_request *req, unsigned status, const char *code,
                    const char *format, ...);

/* As request_fail, and tells the client after which time another try is worth it; 0: does not tell.
 * By the others only `overloaded` tells one, a second. */
__attribute__((format(printf, 4, 0))) void request_fail_retry(struct pillion_request *req,
                                                              const char *code, uint64_t retry_ms,
                                                              const char *format, va_list args);

/* Answers with an error whose result is known to be valid JSON. */
void request_fail_raw(struct pillion_request *req, const char *code, struct bytes result);

/* Answers with the error that a reply of `size` bytes is too large, and logs that. */
void request_fail_too_large(struct pillion_request *req, size_t size);

/* The params as cJSON, NULL when they cannot be had. See pillion_params. */
const cJSON *request_params(struct pillion_request *req);

/* For how long after the request was read its client waits for the answer, by the member `deadline`
 * beside the params, or by the header field Deadline-Ms; 0: it does not say. Requests that are
 * answered at once pay nothing for it. */
uint64_t request_deadline_ns(const struct pillion_request *req);

/* The client's address, as it was when it was first asked for; it stays when the client goes. */
const char *request_peer(struct pillion_request *req);

/* What its balancer has told of the client, in the pool; NULL when that was not told, or without
 * memory. */
const char *request_peer_name(const struct pillion_request *req, const char *what);

/* The module whose code has the request in hand. */
static inline pillion_instance *request_instance(const struct pillion_request *req)
{
    return req->filter != NULL ? req->filter->instance : req->method->instance;
}

/* The origin with which code that runs for this request is noted (rpc/note.h). */
void request_origin(const struct pillion_request *req, struct origin *origin);

/* The same for the header section that a request of HTTP came with. */
bool request_keep_head(struct pillion_request *req);

/* Gives the request a copy of its body, in its own memory, for when the frame is gone. False
 * without memory for it. */
bool request_keep_body(struct pillion_request *req);

/* The same into memory that is there: params and id are where they were in the body. */
void request_move_body(struct pillion_request *req, char *to);

/* Prepares an answered request that no handler has seen for request_show (rpc/run.h): its body is
 * copied into its memory, and its method is `method`, or, where that is the server's `none`, one of
 * the name `in` that the client asked for. False without memory for that. */
bool request_keep_refused(struct pillion_request *req, const struct method *method,
                          struct bytes in);

/* The request that the calling thread has in hand, if any, and its memory. cJSON's allocators use
 * it, because they take no argument of ours. */
struct request_hand {
    struct pillion_request *req;
    struct pool *pool;
};
extern _Thread_local struct request_hand request_hand;

/* Around the code that a request runs. request_enter returns the former pool, which request_leave
 * restores. */
static inline struct pool *request_enter(struct pillion_request *req)
{
    struct pool *before = request_hand.pool;

    request_hand = (struct request_hand){.req = req, .pool = req->pool};
    return before;
}

static inline void request_leave(struct pool *before)
{
    request_hand = (struct request_hand){.pool = before};
}

/* The request whose handler runs right now, or NULL. */
static inline const struct pillion_request *request_current(void)
{
    return request_hand.req;
}

/* While a module holds a request that it has resumed, freeing an object in the request's memory is
 * as harmless as it is in a handler. */
void request_remember(struct pillion_request *req);
void request_forget(const struct pillion_request *req);

/* Installs cJSON's allocators (cJSON_InitHooks), once in each process that runs modules. Trees
 * that are parsed for a request come from its pool, and freeing them is harmless; all others come
 * from the heap. */
void request_install_cjson_hooks(void);

#endif
