/* The table of protocols. See protocol.h. */
#include "wire/protocol.h"

#include <string.h>

#include "wire/http_reply.h"
#include "wire/line.h"
#include "wire/lsp.h"

static enum frame_status next_frame(struct bytes input, const struct frame_limits *limits,
                                    struct frame_progress *progress, struct frame *frame)
{
    (void)progress;
    return frame_next(input, limits->body, frame);
}

static size_t head_of_frame(const struct reply *reply, size_t body, char *to)
{
    (void)reply;
    if (to != NULL)
        frame_header((uint32_t)body, to);
    return FRAME_HEADER_SIZE;
}

static size_t head_of_lsp(const struct reply *reply, size_t body, char *to)
{
    char head[LSP_HEAD_MAX]; /* which ends with a NUL; behind it in `to` is the body */
    size_t size = lsp_head(body, head);

    (void)reply;
    if (to != NULL)
        memcpy(to, head, size);
    return size;
}

enum frame_status protocol_http_frame(struct bytes input, enum http_status status,
                                      const struct http_request *request, struct frame *frame)
{
    *frame = (struct frame){.size = request->size};
    switch (status) {
    case HTTP_WHOLE:
        frame->body = (struct bytes){input.data, (size_t)request->size};
        return FRAME_WHOLE;
    case HTTP_PARTIAL:
        if (request->size == input.size + 1) /* or more */
            frame->size = 0;
        frame->waits = request->head_size > 0 && request->waits;
        return FRAME_PARTIAL;
    default:
        frame->refused = status;
        frame->why = request->why;
        return FRAME_REFUSED;
    }
}

static enum frame_status next_http(struct bytes input, const struct frame_limits *limits,
                                   struct frame_progress *progress, struct frame *frame)
{
    struct http_request request;
    enum http_status status = http_next(input, limits, progress, &request);

    return protocol_http_frame(input, status, &request, frame);
}

/* Nothing that such a client sends means anything. */
static enum frame_status next_agent(struct bytes input, const struct frame_limits *limits,
                                    struct frame_progress *progress, struct frame *frame)
{
    (void)limits;
    (void)progress;
    *frame = (struct frame){.size = input.size};
    return input.size == 0 ? FRAME_PARTIAL : FRAME_EMPTY;
}

const struct protocol protocols[PROTOCOLS] = {
    [PROTOCOL_FRAME] = {.name = "frame",
                        .next = next_frame,
                        .head = head_of_frame,
                        .tail = {"", 0},
                        .refuses_in = ENVELOPE_PILLION},
    [PROTOCOL_AUTO] = {.name = "auto",
                       .next = next_frame,
                       .head = head_of_frame,
                       .tail = {"", 0},
                       .refuses_in = ENVELOPE_PILLION},
    [PROTOCOL_LINE] = {.name = "line",
                       .next = line_next,
                       .tail = {"\n", 1},
                       .refuses_in = ENVELOPE_PILLION},
    [PROTOCOL_LSP] = {.name = "lsp",
                      .next = lsp_next,
                      .head = head_of_lsp,
                      .tail = {"", 0},
                      .refuses_in = ENVELOPE_JSONRPC},
    [PROTOCOL_HTTP] = {.name = "http",
                       .ordered = true,
                       .eof_is_end = true,
                       .next = next_http,
                       .head = http_reply_head,
                       .tail = {"", 0},
                       .refuses_in = ENVELOPE_PILLION},
    [PROTOCOL_AGENT] = {.name = "agent",
                        .next = next_agent,
                        .tail = {"\n", 1},
                        .refuses_in = ENVELOPE_PILLION,
                        .speaks_first = true},
};

unsigned protocol_find(const char *name)
{
    unsigned i = 0;

    while (i < PROTOCOLS && strcmp(protocols[i].name, name) != 0)
        i++;
    return i;
}

/* A length's fourth byte is at most that of FRAME_BODY_MAX, which no text has. Fewer bytes tell
 * nothing: "{}\n" is also how a frame of 687,483 bytes begins. */
unsigned protocol_guess(struct bytes input)
{
    static const struct {
        char start[FRAME_HEADER_SIZE + 1];
        unsigned protocol;
    } starts[] = {
        {"Cont", PROTOCOL_LSP},
        {"cont", PROTOCOL_LSP},
        {"GET ", PROTOCOL_HTTP},
        {"POST", PROTOCOL_HTTP},
        {"HEAD", PROTOCOL_HTTP},
        {"OPTI", PROTOCOL_HTTP},
        {"PUT ", PROTOCOL_HTTP},
        {"DELE", PROTOCOL_HTTP},
        {"PATC", PROTOCOL_HTTP},
        {"CONN", PROTOCOL_HTTP},
        {"TRAC", PROTOCOL_HTTP},
        {"PRI ", PROTOCOL_HTTP}, /* HTTP/2 without an upgrade, which is refused: RFC 9113 3.4 */
        {"\r\n\r\n", PROTOCOL_FRAME}, /* the PROXY protocol, version 2 */
    };
    static const char text[] = {'{', '[', ' ', '\t', '\r', '\n'};

    if (input.size < FRAME_HEADER_SIZE)
        return PROTOCOL_AUTO;
    if ((unsigned char)input.data[FRAME_HEADER_SIZE - 1] <= FRAME_BODY_MAX >> 24)
        return PROTOCOL_FRAME;
    for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
        if (memcmp(input.data, starts[i].start, FRAME_HEADER_SIZE) == 0)
            return starts[i].protocol;
    }
    return memchr(text, input.data[0], sizeof(text)) != NULL ? PROTOCOL_LINE : PROTOCOL_FRAME;
}

enum frame_status protocol_next_other(unsigned index, struct bytes input,
                                      const struct frame_limits *limits,
                                      struct frame_progress *progress, struct frame *frame)
{
    struct frame_progress none = {0};

    return protocols[index].next(input, limits, progress == NULL ? &none : progress, frame);
}

static bool has_body(unsigned index, const struct reply *reply)
{
    return index != PROTOCOL_HTTP || http_reply_has_body(reply);
}

size_t protocol_reply_size_other(unsigned index, const struct reply *reply)
{
    const struct protocol *protocol = &protocols[index];
    size_t body = reply_size(reply);
    size_t head = protocol->head == NULL ? 0 : protocol->head(reply, body, NULL);

    return head + (has_body(index, reply) ? body : 0) + protocol->tail.size;
}

size_t protocol_reply_ahead(unsigned index, const struct reply *reply)
{
    const struct protocol *protocol = &protocols[index];
    size_t head = protocol->head == NULL ? 0 : protocol->head(reply, reply_size(reply), NULL);

    return head + reply_ahead(reply);
}

size_t protocol_reply_write_other(unsigned index, const struct reply *reply, char *to)
{
    const struct protocol *protocol = &protocols[index];
    size_t size = protocol->head == NULL ? 0 : protocol->head(reply, reply_size(reply), to);

    if (has_body(index, reply))
        size += reply_write(reply, to + size);
    memcpy(to + size, protocol->tail.data, protocol->tail.size);
    return size + protocol->tail.size;
}
