/* Answering requests. See request.h. */
#include "rpc/request.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/board.h"
#include "rpc/metric.h"
#include "rpc/page.h"
#include "wire/http_reply.h"
#include "wire/positional.h"

#define FAIL_MESSAGE_MAX 1024
#define DEADLINE_MAX_MS  1e12  /* thirty years; what is longer is no deadline */
#define OVERLOADED_MS    1000u /* `retry_after` of `overloaded` when the module knows no time */

_Thread_local struct request_hand request_hand; /* threads of a module have nothing in it */
static _Thread_local bool parsing;              /* cJSON is filling its pool */

#define REMEMBERED 8u /* requests that one callback is likely to have in hand */

static _Thread_local struct pillion_request *remembered[REMEMBERED];
static _Thread_local unsigned remembered_count;

static const char *module_of(const struct pillion_request *req)
{
    if (req->filter != NULL)
        return req->filter->instance->name;
    return req->method == NULL ? "core" : req->method->instance->name;
}

static const char *method_of(const struct pillion_request *req)
{
    return req->method == NULL ? "?" : req->method->own_name;
}

/* ---- cJSON's memory ---- */

static void *hook_alloc(size_t size)
{
    if (parsing)
        return pool_alloc(request_hand.pool, size);
    void *memory = malloc(size);
    metric_cjson += (int64_t)malloc_usable_size(memory);
    return memory;
}

/* A request's memory ends with it, so that a module need not free any of it. */
static void tell_freed(struct pillion_request *req)
{
    if (req == NULL || req->freed)
        return;
    req->freed = true;
    log_seldom(LOG_ERROR_LEVEL, req->method,
               "module %s: \"%s\" frees memory of the request; params are neither to be "
               "deleted nor put into a reply (cJSON_Duplicate them)",
               module_of(req), method_of(req));
}

static void hook_free(void *memory)
{
    if (memory == NULL)
        return;
    if (request_hand.pool != NULL && pool_owns(request_hand.pool, memory)) {
        if (!parsing)
            tell_freed(request_hand.req);
        return;
    }
    for (unsigned i = 0; i < remembered_count; i++) {
        if (remembered[i] != NULL && pool_owns(remembered[i]->pool, memory)) {
            tell_freed(remembered[i]);
            return;
        }
    }
    metric_cjson -= (int64_t)malloc_usable_size(memory);
    free(memory);
}

void request_remember(struct pillion_request *req)
{
    static unsigned next;

    remembered[next++ % REMEMBERED] = req;
    if (remembered_count < REMEMBERED)
        remembered_count++;
}

void request_forget(const struct pillion_request *req)
{
    for (unsigned i = 0; i < remembered_count; i++) {
        if (remembered[i] == req)
            remembered[i] = NULL;
    }
}

void request_install_cjson_hooks(void)
{
    cJSON_Hooks hooks = {.malloc_fn = hook_alloc, .free_fn = hook_free};
    cJSON_InitHooks(&hooks);
}

const cJSON *request_params(struct pillion_request *req)
{
    if (req->tree_tried)
        return req->tree;
    req->tree_tried = true;
    /* cJSON would cut the string there, and nobody could tell. */
    if (json_has_nul(req->params))
        return NULL;
    struct pool *before = request_hand.pool;
    request_hand.pool = req->pool;
    parsing = true;
    req->tree = cJSON_ParseWithLength(req->params.data, req->params.size);
    parsing = false;
    request_hand.pool = before;
    return req->tree;
}

/* The text of the number; where there is none, data NULL or what is no number. */
static struct bytes find_deadline(const struct pillion_request *req)
{
    const struct bytes nothing = {NULL, 0}, body = req->body;
    struct bytes field = req->head.size == 0 ? nothing : http_find(req->head, "deadline-ms");

    if (field.data != NULL || req->format == ENVELOPE_BARE) /* whose body is its params */
        return field;
    /* A look at the bytes is much less than reading them as JSON. No client spells it with
     * escapes. */
    if (memmem(body.data, body.size, "\"deadline\"", strlen("\"deadline\"")) == NULL)
        return nothing;
    return envelope_member(body, BYTES("deadline"));
}

uint64_t request_deadline_ns(const struct pillion_request *req)
{
    struct bytes text = find_deadline(req);

    if (text.size == 0 || *text.data < '0' || *text.data > '9')
        return 0;
    double ms = strtod(text.data, NULL); /* it ends: a comma, a bracket or a line's end follows */
    if (!(ms > 0 && ms < DEADLINE_MAX_MS))
        return 0;
    uint64_t ns = (uint64_t)(ms * (double)NS_PER_MS);
    return ns == 0 ? 1 : ns;
}

const char *request_peer(struct pillion_request *req)
{
    if (req->peer_text != NULL)
        return req->peer_text;
    const char *text = req->peer(req);
    size_t size = strlen(text) + 1;
    char *copy = pool_alloc(req->pool, size);
    if (copy == NULL)
        return text;
    return req->peer_text = memcpy(copy, text, size);
}

const char *request_peer_name(const struct pillion_request *req, const char *what)
{
    const char *text = req->told == NULL ? NULL : req->told(req, what);

    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = pool_alloc(req->pool, size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void request_origin(const struct pillion_request *req, struct origin *origin)
{
    *origin = (struct origin){.method = req->method == NULL ? 0 : req->method->index + 1};
    if (req->whence != NULL)
        req->whence(req, origin);
}

/* ---- Replying ---- */

/* True when this is the first answer. */
static bool may_answer(const struct pillion_request *req)
{
    const char *wrong = req->answered ? "answered a request a second time; the second answer"
                                      : "answered a request that it has deferred, and not resumed; "
                                        "this answer";

    if (!req->answered && !req->promised)
        return true;
    log_seldom(LOG_ERROR_LEVEL, req->method, "module %s: \"%s\" %s is dropped", module_of(req),
               method_of(req), wrong);
    return false;
}

static bool valid_utf8(struct bytes text)
{
    for (size_t i = 0; i < text.size;) {
        size_t size = utf8_sequence(text.data + i, text.size - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

static inline size_t reply_size_of(const struct pillion_request *req, const struct reply *reply)
{
    return protocol_reply_size(req->protocol, reply);
}

static void note_failure(struct pillion_request *req, const char *code)
{
    req->failed = true;
    req->http.style &= ~HTTP_STYLE_KIND; /* an error is JSON, and has an end */
    snprintf(req->code, sizeof(req->code), "%s", code);
}

#define RESULT_SIZE(message) ((message)*6 + 512) /* each byte may become \u00XX */

/* There is no memory for a reply of `size` bytes: the client gets a brief error in its place. Where
 * there is no memory for that either, this worker ends, and the one that takes its connections over
 * answers. */
static void send_lack(struct pillion_request *req, size_t size)
{
    char message[128], result[RESULT_SIZE(sizeof(message))];
    struct reply reply = {.id = req->id, .format = req->format, .http = &req->http};
    int length = snprintf(message, sizeof(message), "out of memory for a reply of %zu bytes", size);

    log_seldom(LOG_ERROR_LEVEL, req->method,
               "module %s: out of memory for a reply of %zu bytes of \"%s\"; an error is sent",
               module_of(req), size, method_of(req));
    reply_set_error(&reply, PILLION_INTERNAL_ERROR,
                    reply_error_result(PILLION_INTERNAL_ERROR,
                                       (struct bytes){message, (size_t)length}, 0, result,
                                       sizeof(result)));
    note_failure(req, PILLION_INTERNAL_ERROR);
    req->size = reply_size_of(req, &reply);
    char *room = req->size <= req->room_size ? req->room : req->reserve(req, req->size);
    if (room == NULL) {
        log_error("out of memory: the worker ends, another one takes its connections over");
        memory_exhausted();
    }
    protocol_reply_write(req->protocol, &reply, room);
}

/* A notification is over. */
__attribute__((cold, noinline)) static void send_nothing(struct pillion_request *req)
{
    req->answered = true;
    req->size = 0;
    req->reserve(req, 0);
}

static inline void send_reply(struct pillion_request *req, const struct reply *reply, size_t size)
{
    if (req->notifies) {
        send_nothing(req);
        return;
    }
    char *room = size <= req->room_size ? req->room : req->reserve(req, size);

    req->answered = true;
    req->size = size;
    if (room != NULL)
        protocol_reply_write(req->protocol, reply, room);
    else
        send_lack(req, size);
}

/* Room for the result of an error, which is cut to the room that a reply may have. There is always
 * room for a brief message. */
static size_t result_room(const struct pillion_request *req, const struct reply *empty,
                          size_t message)
{
    size_t fixed = reply_size_of(req, empty);
    size_t most = req->max_reply > fixed ? req->max_reply - fixed : 0;
    size_t room = RESULT_SIZE(message);

    if (req->format != ENVELOPE_PILLION &&
        req->format != ENVELOPE_BARE) /* the message is there twice, or escaped twice */
        most /= 2;
    if (room > most)
        room = most < RESULT_SIZE(FAIL_MESSAGE_MAX) ? RESULT_SIZE(FAIL_MESSAGE_MAX) : most;
    return room;
}

/* What Retry-After takes, rounded up (RFC 9110 section 10.2.3). */
static uint32_t whole_seconds(double seconds)
{
    if (!(seconds > 0))
        return 0;
    uint32_t whole = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
    return whole + ((double)whole < seconds && whole < UINT32_MAX);
}

/* A person who has no token sees the page all the same, which has nothing of the server in it, but
 * a field for a token: browsers have none for `Bearer`. */
static void show_page(struct pillion_request *req, struct reply *reply)
{
    struct bytes page = page_make(req->pool, &req->http.nonce);

    if (page.data == NULL)
        return;
    req->http.style |= HTTP_STYLE_PAGE;
    reply->result = page;
}

/* Long messages are made in the request's memory, and cut where there is not enough of it. */
void request_fail_retry(struct pillion_request *req, const char *code, uint64_t retry_ms,
                        const char *format, va_list args)
{
    char brief[FAIL_MESSAGE_MAX], brief_result[RESULT_SIZE(FAIL_MESSAGE_MAX)];
    char *message = brief, *result = brief_result;
    size_t room = sizeof(brief_result);
    struct reply reply = {.id = req->id, .format = req->format, .http = &req->http};
    va_list again;

    if (!may_answer(req))
        return;
    reply_set_error(&reply, code, (struct bytes){NULL, 0});
    va_copy(again, args);
    int needed = vsnprintf(brief, sizeof(brief), format, args);
    if (needed >= FAIL_MESSAGE_MAX) {
        size_t size = (size_t)needed + 1, long_room = result_room(req, &reply, size);
        char *memory = pool_alloc(req->pool, size + long_room);
        if (memory != NULL && vsnprintf(memory, size, format, again) == needed) {
            message = memory;
            result = memory + size;
            room = long_room;
        }
    }
    va_end(again);
    size_t length = needed < 0 ? 0 : strlen(message);
    bool page = (req->http.style & HTTP_STYLE_KIND) == HTTP_STYLE_PAGE;
    note_failure(req, code);
    req->http.retry_s = whole_seconds((double)retry_ms / 1000);
    reply.result =
        reply_error_result(code, (struct bytes){message, length}, retry_ms, result, room);
    if (page && http_reply_status(&reply) == 401)
        show_page(req, &reply);
    send_reply(req, &reply, reply_size_of(req, &reply));
}

void request_fail_v(struct pillion_request *req, const char *code, const char *format, va_list args)
{
    bool passes = strcmp(code, PILLION_OVERLOADED) == 0;

    request_fail_retry(req, code, passes ? OVERLOADED_MS : 0, format, args);
}

void request_fail(struct pillion_request *req, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    request_fail_v(req, code, format, args);
    va_end(args);
}

enum envelope_status request_refuse_http(struct pillion_request *req, unsigned status,
                                         const char *code, const char *format, ...)
{
    va_list args;

    req->http.style |= status << HTTP_STYLE_STATUS_SHIFT;
    va_start(args, format);
    request_fail_v(req, code, format, args);
    va_end(args);
    return ENVELOPE_INVALID;
}

void request_refuse(struct pillion_request *req, enum envelope_status status,
                    const struct envelope *envelope, const struct json_error *error)
{
    if (status == ENVELOPE_OK)
        request_fail(req, ERROR_METHOD_NOT_FOUND, "there is no method \"%.*s\" here",
                     (int)envelope->in.size, envelope->in.data);
    else if (status == ENVELOPE_BATCH)
        request_fail(req, ERROR_INVALID_REQUEST,
                     "a batch is taken where frames are, and nowhere else");
    else
        request_fail(req, status == ENVELOPE_NOT_JSON ? ERROR_PARSE_ERROR : ERROR_INVALID_REQUEST,
                     "%s, at byte %zu", error->reason, error->offset);
}

bool request_name_params(struct pillion_request *req, const struct method *method,
                         struct bytes params)
{
    if (method->args != NULL && method->params_rule == NULL)
        return true; /* its table has an order */
    struct bytes properties = positional_properties(method->params_schema);
    if (properties.data == NULL)
        return true; /* an array may be what the method takes */
    char *object = pool_alloc(req->pool, params.size + properties.size);
    if (object == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory for the request's params");
        return false;
    }
    size_t size = positional_name(params, properties, object);
    if (size == 0) {
        request_fail(req, PILLION_INVALID_PARAMS,
                     "\"%s\" takes at most %zu params by position (rpc.describe tells which)",
                     method->name.data, positional_count(properties));
        return false;
    }
    req->params = (struct bytes){object, size};
    return true;
}

void request_fail_too_large(struct pillion_request *req, size_t size)
{
    log_seldom(LOG_ERROR_LEVEL, req->method,
               "module %s: \"%s\" replied with %zu bytes; at most %llu fit", module_of(req),
               method_of(req), size, (unsigned long long)req->max_reply);
    request_fail(req, PILLION_INTERNAL_ERROR, "the reply has %zu bytes; at most %llu can be sent",
                 size, (unsigned long long)req->max_reply);
}

void request_fail_raw(struct pillion_request *req, const char *code, struct bytes result)
{
    struct reply reply = {.id = req->id, .format = req->format, .http = &req->http};

    if (!may_answer(req))
        return;
    reply_set_error(&reply, code, result);
    if (req->protocol == PROTOCOL_HTTP) {
        struct bytes retry = envelope_member(result, BYTES("retry_after"));
        req->http.retry_s = retry.size > 0 ? whole_seconds(strtod(retry.data, NULL)) : 0;
    }
    size_t size = reply_size_of(req, &reply);
    if (size > req->max_reply) {
        request_fail_too_large(req, size);
        return;
    }
    note_failure(req, code);
    send_reply(req, &reply, size);
}

void request_reply(struct pillion_request *req, const char *out, struct bytes result)
{
    struct reply reply = {.result = result,
                          .id = bytes_just_set(&req->id),
                          .format = req->format,
                          .http = &req->http};

    if (!may_answer(req))
        return;
    if (out != NULL)
        reply_set_out_string(&reply, out);
    size_t size = reply_size_of(req, &reply);
    if (out == NULL || (reply.out_size != reply.out.size && !valid_utf8(reply.out))) {
        const char *wrong = out == NULL ? "NULL" : "not UTF-8";
        log_seldom(LOG_ERROR_LEVEL, req->method,
                   "module %s: \"%s\" replied with an `out` that is %s", module_of(req),
                   method_of(req), wrong);
        request_fail(req, PILLION_INTERNAL_ERROR, "the method replied with a name that is %s",
                     wrong);
        return;
    }
    if (size > req->max_reply) {
        request_fail_too_large(req, size);
        return;
    }
    send_reply(req, &reply, size);
}

/* A span of the frame, in its copy. */
static struct bytes moved(struct bytes span, struct bytes from, const char *to)
{
    if (span.data == NULL || span.data < from.data || span.data > from.data + from.size)
        return span;
    return (struct bytes){to + (span.data - from.data), span.size};
}

void request_move_body(struct pillion_request *req, char *to)
{
    req->params = moved(req->params, req->body, to);
    req->id = moved(req->id, req->body, to);
    req->body.data = to;
}

bool request_keep_head(struct pillion_request *req)
{
    if (req->head.size == 0)
        return true;
    char *copy = pool_alloc(req->pool, req->head.size);
    if (copy == NULL)
        return false;
    memcpy(copy, req->head.data, req->head.size);
    req->http.origin = moved(req->http.origin, req->head, copy);
    req->head.data = copy;
    return true;
}

bool request_keep_body(struct pillion_request *req)
{
    char *copy = pool_alloc(req->pool, req->body.size + 1); /* never of no bytes */

    if (copy == NULL)
        return false;
    if (req->body.size > 0)
        memcpy(copy, req->body.data, req->body.size);
    request_move_body(req, copy);
    return true;
}

bool request_keep_refused(struct pillion_request *req, const struct method *method, struct bytes in)
{
    if (!request_keep_body(req))
        return false;
    req->method = method;
    req->started_ns = clock_ns();
    if (method->index != BOARD_NO_METHOD || in.size == 0)
        return true;
    struct method *named = pool_alloc(req->pool, sizeof(*named) + in.size + 1);
    if (named == NULL)
        return false;
    char *name = memcpy(named + 1, in.data, in.size);
    name[in.size] = '\0';
    *named = *method;
    named->name = (struct bytes){name, in.size};
    named->own_name = name;
    req->method = named;
    return true;
}
