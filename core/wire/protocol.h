/* Protocols: the meaning of a connection's bytes. A protocol is a framing (where a message ends,
 * and how a reply is wrapped) with a format (what a message says). Code that handles requests uses
 * the connection's row of `protocols` and knows neither.
 *
 * Pure functions over bytes. The rows are constants that every file sees: the compiler calls
 * through a known row directly, and inlines. */
#ifndef PILLION_WIRE_PROTOCOL_H
#define PILLION_WIRE_PROTOCOL_H

#include <assert.h>

#include "wire/frame.h"
#include "wire/json.h"
#include "wire/reply.h"
#include "wire/stranger.h"

struct framing {
    const char *name;
    size_t overhead; /* bytes of a frame besides its body */

    /* Looks at the start of `input` for a frame whose body has at most `max_body` bytes. */
    enum frame_status (*next)(struct bytes input, uint32_t max_body, struct frame *frame);

    /* Tells which client sends something else than such frames, by the first bytes of its
     * connection, for which `next` has returned `status`; NULL when they do not tell. */
    const struct stranger *(*stranger)(struct bytes input, uint32_t max_body,
                                       enum frame_status status);

    /* Wraps the body of `size` bytes that starts `overhead` bytes behind `to`. */
    void (*wrap)(uint32_t size, char *to);
};

struct format {
    const char *name;

    /* Checks a body and finds the members of the request. See envelope_read. */
    enum envelope_status (*read)(struct bytes body, const struct json_limits *limits,
                                 struct envelope *envelope, struct json_error *error);

    /* The size of a reply's body, and writing it; both return the same number. */
    size_t (*size)(const struct reply *reply);
    size_t (*write)(const struct reply *reply, char *to);
};

struct protocol {
    const char *name;
    const struct framing *framing;
    const struct format *format;
};

static const struct framing framing_length = {
    .name = "length",
    .overhead = FRAME_HEADER_SIZE,
    .next = frame_next,
    .stranger = stranger_of_frame,
    .wrap = frame_header,
};

static const struct format format_pillion = {
    .name = "pillion",
    .read = envelope_read,
    .size = reply_size,
    .write = reply_write,
};

enum { PROTOCOL_PILLION };

static const struct protocol protocols[] = {
    [PROTOCOL_PILLION] = {"pillion", &framing_length, &format_pillion},
};

#define PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

/* While there is only one row, the compiler knows it whatever the index, so that the choice costs a
 * request nothing. */
static inline const struct protocol *protocol_of(unsigned index)
{
    return &protocols[PROTOCOLS == 1 ? 0 : index];
}

/* Bytes of a reply's whole frame. */
static inline size_t protocol_reply_size(unsigned index, const struct reply *reply)
{
    const struct protocol *protocol = protocol_of(index);
    return protocol->framing->overhead + protocol->format->size(reply);
}

/* Writes the frame to `to`, which has room for protocol_reply_size bytes; returns that size. Its
 * body must not be larger than a frame can announce (UINT32_MAX). */
static inline size_t protocol_reply_write(unsigned index, const struct reply *reply, char *to)
{
    const struct protocol *protocol = protocol_of(index);
    size_t size = protocol->format->write(reply, to + protocol->framing->overhead);

    assert(size <= UINT32_MAX);
    protocol->framing->wrap((uint32_t)size, to);
    return protocol->framing->overhead + size;
}

#endif
