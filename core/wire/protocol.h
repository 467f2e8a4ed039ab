/* Protocols: how the messages of a connection are told apart, and how their replies are wrapped.
 * What a message says is the same whatever its protocol is (wire/envelope.h, wire/reply.h).
 *
 * A connection's protocol is a number in its record, so rows are only ever appended. Frames are
 * number 0: every record that was written before there were other protocols says so. Their path is
 * inlined, and so is that of lines; the others go through the table. Pure functions over bytes. */
#ifndef PILLION_WIRE_PROTOCOL_H
#define PILLION_WIRE_PROTOCOL_H

#include <assert.h>

#include "wire/envelope.h"
#include "wire/http.h"
#include "wire/line.h"
#include "wire/reply.h"

enum {
    PROTOCOL_FRAME,
    PROTOCOL_AUTO, /* the first bytes of the connection will tell */
    PROTOCOL_LINE,
    PROTOCOL_LSP,
    PROTOCOL_HTTP,  /* the body of a frame is the whole request, its head included */
    PROTOCOL_AGENT, /* HAProxy's agent-check: one line for each connection, and no requests */
    PROTOCOLS
};

struct protocol {
    const char *name; /* in the configuration */
    bool ordered;     /* no reply overtakes another, though requests may */
    bool eof_is_end;  /* a client that has finished sending is gone, unless the configuration says
                         otherwise */

    /* Looks at the start of `input` for a message. */
    enum frame_status (*next)(struct bytes input, const struct frame_limits *limits,
                              struct frame_progress *progress, struct frame *frame);

    /* The bytes before the body of a reply: written to `to`, or only measured when that is NULL.
     * Returns how many they are. NULL: there are none. */
    size_t (*head)(const struct reply *reply, size_t body, char *to);
    struct bytes tail; /* the bytes behind it */

    uint8_t refuses_in; /* enum envelope_format: of an error about bytes that are no message */
    bool speaks_first;  /* the server does; the layer above is called before the client sends */
};

extern const struct protocol protocols[PROTOCOLS];

/* The number of the protocol with this name; PROTOCOLS when there is none. */
unsigned protocol_find(const char *name);

/* The most bytes that a message may have, with everything around its body: in HTTP lines before it,
 * behind it and between its chunks. */
static inline uint64_t protocol_largest(uint64_t max_body, uint64_t max_head)
{
    return max_body + HTTP_CHUNK_LINES_MAX(max_body) + 2 * max_head;
}

/* The protocol of a connection that begins with `input`. PROTOCOL_AUTO while that cannot be told.
 * Bytes of no known protocol are left to frames, which refuse them (wire/stranger.h). */
unsigned protocol_guess(struct bytes input);

/* What http_next has come to, as a frame: its body is the whole request. */
enum frame_status protocol_http_frame(struct bytes input, enum http_status status,
                                      const struct http_request *request, struct frame *frame);

/* Looks at the start of `input` for a message. `progress` is that of the bytes there, or NULL when
 * they have not been looked at before. */
enum frame_status protocol_next_other(unsigned index, struct bytes input,
                                      const struct frame_limits *limits,
                                      struct frame_progress *progress, struct frame *frame);
static inline enum frame_status protocol_next(unsigned index, struct bytes input,
                                              const struct frame_limits *limits,
                                              struct frame_progress *progress, struct frame *frame)
{
    if (index == PROTOCOL_FRAME)
        return frame_next(input, limits->body, frame);
    if (index == PROTOCOL_LINE && progress != NULL)
        return line_next(input, limits, progress, frame);
    return protocol_next_other(index, input, limits, progress, frame);
}

/* Bytes of a reply with everything around it. */
size_t protocol_reply_size_other(unsigned index, const struct reply *reply);
static inline size_t protocol_reply_size(unsigned index, const struct reply *reply)
{
    if (index == PROTOCOL_FRAME)
        return FRAME_HEADER_SIZE + reply_size(reply);
    if (index == PROTOCOL_LINE)
        return reply_size(reply) + 1;
    return protocol_reply_size_other(index, reply);
}

/* The bytes before the result, as reply_ahead says. Behind it are the id, and 16 bytes at most. */
size_t protocol_reply_ahead(unsigned index, const struct reply *reply);

/* Writes the reply with everything around it to `to`, which has room for protocol_reply_size bytes;
 * returns that size. Its body must not be larger than a frame can announce (UINT32_MAX). */
size_t protocol_reply_write_other(unsigned index, const struct reply *reply, char *to);
static inline size_t protocol_reply_write(unsigned index, const struct reply *reply, char *to)
{
    if (index == PROTOCOL_FRAME) {
        size_t size = reply_write(reply, to + FRAME_HEADER_SIZE);
        assert(size <= UINT32_MAX);
        frame_header((uint32_t)size, to);
        return FRAME_HEADER_SIZE + size;
    }
    if (index == PROTOCOL_LINE) {
        size_t size = reply_write(reply, to);
        to[size] = '\n';
        return size + 1;
    }
    return protocol_reply_write_other(index, reply, to);
}

#endif
