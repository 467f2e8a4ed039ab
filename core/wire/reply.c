/* Replies: see reply.h.
 *
 * Allocates nothing. */
#include "wire/reply.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json_escape.h"

#define FINISH_SIZE 48 /* more than `","retry_after":`, 21 digits and `}` */

static inline char *put(char *to, struct bytes bytes)
{
    memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

/* The result may be in its place already. */
static inline char *put_result(char *to, struct bytes result)
{
    memmove(to, result.data, result.size);
    return to + result.size;
}

void reply_set_out(struct reply *reply, struct bytes out)
{
    reply->out = out;
    reply->out_size = json_escape(out, NULL, SIZE_MAX);
}

void reply_set_out_string(struct reply *reply, const char *out)
{
    size_t size = 0;

    while (json_stands_for_itself(out[size]))
        size++;
    if (out[size] != '\0') {
        reply_set_out(reply, bytes_of(out));
        return;
    }
    reply->out.data = out;
    reply->out.size = reply->out_size = size;
}

void reply_set_error(struct reply *reply, const char *code, struct bytes result)
{
    reply_set_out_string(reply, "error");
    reply->error = error_code_find(code);
    reply->result = result;
}

/* A reply in JSON-RPC, piece by piece, so that it is measured as it is written. */
#define PIECES 8

struct pieces {
    struct bytes of[PIECES];
    size_t count;
    char number[16];
};

static void add(struct pieces *pieces, struct bytes piece)
{
    pieces->of[pieces->count++] = piece;
}

/* The error's message. Errors that others have made may have none. */
static struct bytes message_of(const struct reply *reply)
{
    struct bytes message = envelope_member(reply->result, BYTES("message"));

    return message.data != NULL && *message.data == '"' ? message : BYTES("\"the call failed\"");
}

static void add_error(struct pieces *pieces, const struct reply *reply)
{
    int size = snprintf(pieces->number, sizeof(pieces->number), "%d", reply->error->number);

    add(pieces, BYTES("\"error\":{\"code\":"));
    add(pieces, (struct bytes){pieces->number, (size_t)size});
    add(pieces, BYTES(",\"message\":"));
    add(pieces, message_of(reply));
    add(pieces, BYTES(",\"data\":"));
    add(pieces, reply->result);
}

/* {"jsonrpc":"2.0", then what it adds, and then the id, which is null where none could be read. */
#define JSONRPC_START "{\"jsonrpc\":\"2.0\","
#define RESULT_MEMBER "\"result\":"

static inline bool is_tool(const struct reply *reply)
{
    return reply->format == ENVELOPE_TOOL || reply->format == ENVELOPE_TOOL_LEGACY;
}

/* A string is a tool's text as it is; other results are JSON in a string. */
static inline bool is_quoted(const struct reply *reply)
{
    return reply->result.data[0] != '"';
}

/* Before revision 2026-07-28, structured content is an object. A tool that fails has none, because
 * it would be compared with the schema of successes. */
static inline bool is_structured(const struct reply *reply)
{
    return reply->error == NULL && (reply->format == ENVELOPE_TOOL || reply->result.data[0] == '{');
}

/* The pieces around the text: those before it, or those behind it. */
static void split_tool(struct pieces *pieces, const struct reply *reply, bool behind)
{
    pieces->count = 0;
    if (!behind) {
        add(pieces, BYTES("\"result\":{"));
        if (reply->format == ENVELOPE_TOOL)
            add(pieces, BYTES("\"resultType\":\"complete\","));
        add(pieces, BYTES("\"content\":[{\"type\":\"text\",\"text\":"));
        return;
    }
    add(pieces, BYTES("}],"));
    if (is_structured(reply)) {
        add(pieces, BYTES("\"structuredContent\":"));
        add(pieces, reply->result);
        add(pieces, BYTES(","));
    }
    add(pieces, reply->error == NULL ? BYTES("\"isError\":false}") : BYTES("\"isError\":true}"));
    add(pieces, BYTES(REPLY_ID));
    add(pieces, reply->id.data == NULL ? BYTES("null") : reply->id);
}

static size_t size_of(const struct pieces *pieces)
{
    size_t size = 0;

    for (size_t i = 0; i < pieces->count; i++)
        size += pieces->of[i].size;
    return size;
}

static char *put_pieces(char *to, const struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        to = put_result(to, pieces->of[i]);
    return to;
}

static size_t tool_size(const struct reply *reply)
{
    struct pieces before, behind;
    size_t text =
        is_quoted(reply) ? json_escape(reply->result, NULL, SIZE_MAX) + 2 : reply->result.size;

    split_tool(&before, reply, false);
    split_tool(&behind, reply, true);
    return sizeof(JSONRPC_START "}") - 1 + size_of(&before) + text + size_of(&behind);
}

static size_t write_tool(const struct reply *reply, char *to)
{
    struct pieces pieces;
    char *p = put(to, BYTES(JSONRPC_START));

    split_tool(&pieces, reply, false);
    p = put_pieces(p, &pieces);
    if (is_quoted(reply)) {
        *p++ = '"';
        p += json_escape(reply->result, p, SIZE_MAX);
        *p++ = '"';
    } else {
        p = put(p, reply->result);
    }
    split_tool(&pieces, reply, true);
    p = put_pieces(p, &pieces);
    *p++ = '}';
    return (size_t)(p - to);
}

static void split_jsonrpc(struct pieces *pieces, const struct reply *reply)
{
    pieces->count = 0;
    if (reply->error != NULL) {
        add_error(pieces, reply);
        add(pieces, BYTES("},\"id\":"));
    } else {
        add(pieces, BYTES(RESULT_MEMBER));
        add(pieces, reply->result);
        add(pieces, BYTES(REPLY_ID));
    }
    add(pieces, reply->id.data == NULL ? BYTES("null") : reply->id);
}

size_t reply_size_other(const struct reply *reply)
{
    struct pieces pieces;

    if (reply->format == ENVELOPE_BARE)
        return reply->result.size;
    if (is_tool(reply))
        return tool_size(reply);
    split_jsonrpc(&pieces, reply);
    return sizeof(JSONRPC_START "}") - 1 + size_of(&pieces);
}

static size_t write_jsonrpc(const struct reply *reply, char *to)
{
    struct pieces pieces;
    char *p = put(to, BYTES(JSONRPC_START));

    split_jsonrpc(&pieces, reply);
    p = put_pieces(p, &pieces);
    *p++ = '}';
    return (size_t)(p - to);
}

size_t reply_ahead(const struct reply *reply)
{
    if (reply->format == ENVELOPE_BARE)
        return 0;
    if (reply->format == ENVELOPE_JSONRPC)
        return sizeof(JSONRPC_START RESULT_MEMBER) - 1;
    return sizeof(REPLY_OUT REPLY_RESULT) - 1 + reply->out_size;
}

size_t reply_write(const struct reply *reply, char *to)
{
    if (reply->format == ENVELOPE_JSONRPC)
        return write_jsonrpc(reply, to);
    if (reply->format == ENVELOPE_BARE)
        return (size_t)(put_result(to, reply->result) - to);
    if (is_tool(reply))
        return write_tool(reply, to);
    char *p = put(to, BYTES(REPLY_OUT));

    if (reply->out_size == reply->out.size) /* escaping only ever makes it longer */
        p = put(p, reply->out);
    else
        p += json_escape(reply->out, p, SIZE_MAX);
    p = put(p, BYTES(REPLY_RESULT));
    p = put_result(p, reply->result);
    if (reply->id.data != NULL) {
        p = put(p, BYTES(REPLY_ID));
        p = put(p, reply->id);
    }
    *p++ = '}';
    return (size_t)(p - to);
}

/* The end of an error's result, behind its message. */
static struct bytes error_finish(uint64_t retry_ms, char to[FINISH_SIZE])
{
    if (retry_ms == 0)
        return BYTES("\"}");
    int size = snprintf(to, FINISH_SIZE, "\",\"retry_after\":%" PRIu64 ".%03u", retry_ms / 1000,
                        (unsigned)(retry_ms % 1000));
    while (to[size - 1] == '0')
        size--;
    size -= to[size - 1] == '.';
    to[size++] = '}';
    return (struct bytes){to, (size_t)size};
}

struct bytes reply_error_result(const char *code, struct bytes message, uint64_t retry_ms, char *to,
                                size_t capacity)
{
    char finish_room[FINISH_SIZE];
    const struct bytes code_start = BYTES("{\"code\":\"");
    const struct bytes message_start = BYTES("\",\"message\":\"");
    const struct bytes finish = error_finish(retry_ms, finish_room);
    const size_t fixed = code_start.size + message_start.size + finish.size;

    assert(capacity >= 256);
    char *p = put(to, code_start);
    size_t used = json_escape(bytes_of(code), p, capacity - fixed);
    p = put(p + used, message_start);
    p += json_escape(message, p, capacity - fixed - used);
    p = put(p, finish);
    return (struct bytes){to, (size_t)(p - to)};
}
