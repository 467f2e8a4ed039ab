/* Batches of calls. See batch.h. */
#include "rpc/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http_reply.h"

#define BRIEF_MAX  512u  /* bytes of a brief error, without its id */
#define AROUND_MAX 1024u /* bytes around the array, without an origin */

/* Marks: two for each state, for a comma and for the bracket. All are control characters that no
 * JSON has anywhere. */
#define MARK_FIRST 0x0e
#define MARK_END   (MARK_FIRST + 2 * (CALL_STATES - 1))
static_assert(MARK_END <= ' ', "marks are control characters");
#define MARK_OF(state, last) ((char)(MARK_FIRST + 2 * ((state)-1) + (last)))
#define IS_MARK(byte)        ((byte) >= MARK_FIRST && (byte) < MARK_END)
#define STATE_OF(mark)       ((enum call_state)(((mark)-MARK_FIRST) / 2 + 1))
#define UNMARKED(mark)       ((mark) % 2 == MARK_FIRST % 2 ? ',' : ']')

/* ---- Its memory ---- */

static char *copy_to(char **to, struct bytes from)
{
    char *copy = *to;

    if (from.size > 0)
        memcpy(copy, from.data, from.size);
    *to += from.size;
    return copy;
}

/* The id of a call; data NULL when it has none that can be read. */
static struct bytes id_of(struct bytes element)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct envelope envelope;
    struct json_error error;

    envelope_read_element(element, &limits, &envelope, &error);
    return envelope.id;
}

/* Counts the calls, up to one more than `most`. */
static uint32_t count_calls(struct bytes body, uint32_t most)
{
    struct bytes element;
    size_t at = 0;
    uint32_t count = 0;

    while (count <= most && envelope_next(body, &at, &element))
        count++;
    return count;
}

/* Where the content of the frame begins, as a walk over its bytes knows it. */
struct way {
    struct bytes raw; /* the whole request of HTTP; data NULL for other protocols */
    struct http_request http;
    struct http_walk walk;
    size_t lead;
};

static void way_begin(struct way *way, const struct call *call, const struct begun_frame *at)
{
    struct frame_progress none = {0};
    const char *start = call->turn.in + (at->place - call->turn.consumed);

    *way = (struct way){.lead = (size_t)(at->frame.body.data - start)};
    if (call->turn.protocol != PROTOCOL_HTTP)
        return;
    way->raw = at->frame.body;
    http_next(way->raw, &begun_limits, &none, &way->http);
}

/* Where a byte of the body is in the frame. */
static uint32_t way_place(struct way *way, size_t offset)
{
    if (way->raw.data != NULL)
        offset = http_content_place(way->raw, &way->http, offset, &way->walk);
    return (uint32_t)(way->lead + offset);
}

/* Bytes that a brief error has at most. Only the id of a large call is looked for. */
static uint32_t least_of(struct bytes element)
{
    if (element.size <= BRIEF_MAX)
        return BRIEF_MAX + (uint32_t)element.size;
    return BRIEF_MAX + (uint32_t)id_of(element).size;
}

static void find_marks(struct batch *batch, const struct call *call, const struct begun_frame *at)
{
    struct way way;
    struct bytes element;
    size_t walk = 0;

    way_begin(&way, call, at);
    for (uint32_t i = 0; i < batch->count && envelope_next(batch->body, &walk, &element); i++) {
        batch->calls[i].mark = way_place(&way, walk);
        batch->calls[i].least = least_of(element);
        batch->reserved += batch->calls[i].least;
    }
}

struct batch *batch_open(struct call *call, const struct begun_frame *at, uint32_t most)
{
    struct pillion_request *req = &call->req;
    uint32_t count = count_calls(req->body, most);
    struct batch *batch = NULL;
    size_t size = sizeof(*batch) + count * sizeof(*batch->calls);
    uint64_t around = AROUND_MAX + req->http.origin.size;

    if (count > most) {
        request_fail(req, ERROR_INVALID_REQUEST,
                     "the batch has more than %u calls, which are all it may have (max_batch)",
                     most);
        return NULL;
    }
    batch = calloc(1, size + req->body.size + req->head.size);
    if (batch == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory for the batch");
        return NULL;
    }
    char *to = (char *)batch + size;
    batch->users = 1;
    batch->place = at->place;
    batch->count = count;
    batch->body = (struct bytes){copy_to(&to, req->body), req->body.size};
    batch->head = (struct bytes){copy_to(&to, req->head), req->head.size};
    batch->http = req->http;
    if (req->http.origin.data != NULL)
        batch->http.origin.data = batch->head.data + (req->http.origin.data - req->head.data);
    find_marks(batch, call, at);
    batch->room = req->max_reply > around ? req->max_reply - around : 0;
    if (batch->reserved > batch->room) {
        request_fail(req, ERROR_INVALID_REQUEST,
                     "the batch may have more errors for answers than fit a reply of %llu bytes",
                     (unsigned long long)req->max_reply);
        free(batch);
        return NULL;
    }
    return batch;
}

void batch_use(struct batch *batch)
{
    batch->users++;
}

void batch_leave(struct batch *batch)
{
    if (--batch->users > 0)
        return;
    for (uint32_t i = 0; i < batch->count; i++)
        free(batch->calls[i].reply);
    free(batch);
}

/* ---- Marks ---- */

static _Atomic char *mark_of(const struct batch *batch, const struct conns *conns,
                             const struct conn *conn, uint32_t index)
{
    uint64_t consumed = cursors_consumed(conn_cursors(conns, conn));
    const char *input = conn_input(conns, conn).data;

    return (_Atomic char *)(input + (batch_place(batch, index) - consumed));
}

/* A release: an adopter that sees the mark sees what was committed before it, too. */
void batch_mark(const struct batch *batch, const struct conns *conns, const struct conn *conn,
                uint32_t index, enum call_state state)
{
    bool last = index + 1 == batch->count;
    char byte = MARK_OF(state, last);

    if (state == CALL_NEW)
        byte = last ? ']' : ',';
    atomic_store_explicit(mark_of(batch, conns, conn, index), byte, memory_order_release);
}

enum call_state batch_state(const struct batch *batch, const struct conns *conns,
                            const struct conn *conn, uint32_t index)
{
    char byte = atomic_load_explicit(mark_of(batch, conns, conn, index), memory_order_relaxed);

    return IS_MARK(byte) ? STATE_OF(byte) : CALL_NEW;
}

struct bytes batch_unmarked(struct pool *pool, const struct begun_frame *at)
{
    struct bytes body = at->frame.body;
    char *copy = at->batch ? pool_alloc(pool, body.size + 1) : NULL;

    if (copy == NULL)
        return body;
    for (size_t i = 0; i < body.size; i++) {
        char byte = body.data[i];
        copy[i] = IS_MARK(byte) ? UNMARKED(byte) : byte;
    }
    return (struct bytes){copy, body.size};
}

/* ---- Answers ---- */

/* The call's element of the body. */
static struct bytes element_of(const struct batch *batch, uint32_t index)
{
    struct bytes element = {NULL, 0};
    size_t at = 0;

    for (uint32_t i = 0; i <= index; i++)
        envelope_next(batch->body, &at, &element);
    return element;
}

/* A brief error in the place of an answer of `size` bytes. NULL without memory. */
static char *make_brief(const struct batch *batch, uint32_t index, size_t size, size_t *brief_size)
{
    char text[96], result[256];
    int length = snprintf(text, sizeof(text),
                          "the answer has %zu bytes, and no room beside the batch's others", size);
    struct reply reply = {.id = id_of(element_of(batch, index)), .format = ENVELOPE_JSONRPC};
    reply_set_error(&reply, PILLION_INTERNAL_ERROR,
                    reply_error_result(PILLION_INTERNAL_ERROR, (struct bytes){text, (size_t)length},
                                       0, result, sizeof(result)));
    *brief_size = protocol_reply_size(PROTOCOL_LINE, &reply);
    char *brief = malloc(*brief_size);
    if (brief != NULL)
        protocol_reply_write(PROTOCOL_LINE, &reply, brief);
    return brief;
}

void batch_answer(struct batch *batch, struct conns *conns, const struct conn *conn, uint32_t index,
                  char *reply, size_t size)
{
    struct batch_call *call = &batch->calls[index];

    batch->answered++;
    batch->reserved -= call->least;
    call->answered = true;
    if (reply == NULL)
        size = 0;
    if (size > batch->room - batch->reserved) {
        char *brief = make_brief(batch, index, size, &size);
        if (brief == NULL)
            memory_exhausted();
        free(reply);
        reply = brief;
    }
    batch->room -= size;
    call->reply = reply;
    call->size = (uint32_t)size;
    kept_add(&batch->kept, conns, conn_id(conns, conn), batch->place, index,
             (struct bytes){reply, size});
}

/* Writes the array. Returns its size; `to` may be NULL. */
static size_t write_array(const struct batch *batch, char *to)
{
    size_t size = 1;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_call *call = &batch->calls[i];
        if (call->reply != NULL && to != NULL) {
            memcpy(to + size, call->reply, call->size);
            to[size + call->size - 1] = ',';
        }
        size += call->size;
    }
    if (to != NULL && size > 1) {
        to[0] = '[';
        to[size - 1] = ']';
    }
    return size;
}

char *batch_reply(const struct batch *batch, struct pillion_request *req)
{
    size_t size = write_array(batch, NULL);
    bool empty = size == 1;
    struct reply reply = {.format = ENVELOPE_BARE, .http = &req->http};

    req->size = 0;
    if (empty && req->protocol != PROTOCOL_HTTP)
        return NULL;
    if (empty)
        req->http.style |= 204u << HTTP_STYLE_STATUS_SHIFT;
    char *array = malloc(size);
    if (array == NULL)
        memory_exhausted();
    write_array(batch, array);
    reply.result = (struct bytes){array, empty ? 0 : size};
    req->size = protocol_reply_size(req->protocol, &reply);
    char *whole = malloc(req->size);
    if (whole == NULL)
        memory_exhausted();
    protocol_reply_write(req->protocol, &reply, whole);
    free(array);
    return whole;
}
