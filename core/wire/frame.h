/* Frames: where a message ends in a connection's bytes. What every framing has in common, and the
 * framing of Pillion's own: a 4-byte little-endian unsigned length, and that many bytes of body.
 *
 * Pure functions over bytes; nothing is read or written here. */
#ifndef PILLION_WIRE_FRAME_H
#define PILLION_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define FRAME_HEADER_SIZE 4u

/* The largest body that `max_frame` can allow: 128 MiB. */
#define FRAME_BODY_MAX (128u * 1024 * 1024)

/* The longest lines before a body that `max_head` can allow. */
#define FRAME_HEAD_MAX (1u * 1024 * 1024)

enum frame_status {
    FRAME_WHOLE,     /* `body` is set, `size` is header and body */
    FRAME_PARTIAL,   /* more bytes are needed; `size` is how many the frame has in all, or 0 while
                        that is not known */
    FRAME_TOO_LARGE, /* the body is above the limit; `size` is the length that was announced, or
                        that is there */
    FRAME_EMPTY,     /* `size` bytes that mean nothing, and have no answer */
    FRAME_REFUSED,   /* no frame can be told from the bytes: `why` says why not */
};

struct frame {
    struct bytes body; /* data NULL unless the frame is whole */
    uint64_t size;

    /* Not set by frame_next. */
    bool waits;       /* FRAME_PARTIAL: the client wants to hear that it may send the body */
    uint32_t refused; /* FRAME_REFUSED: the status of HTTP that says so */
    const char *why;  /* FRAME_REFUSED: a constant phrase, for people */
};

/* What a frame may have at most, in bytes. */
struct frame_limits {
    uint32_t body;
    uint32_t head; /* of framings that have lines before the body */
};

/* How far a frame that is not whole has been looked at. All zero for a new one. Forgetting it costs
 * time alone, so a connection that moves to another worker goes on without it. */
struct frame_progress {
    size_t head; /* bytes before the body, once they are there */
    size_t at;   /* what is searched for does not begin before */
    size_t body; /* bytes of the body in the chunks before `at` */
    bool waits;  /* as in a frame, once `head` is not 0 */
};

/* Looks at the start of `input` for a frame whose body has at most `max_body` bytes. */
static inline enum frame_status frame_next(struct bytes input, uint32_t max_body,
                                           struct frame *frame)
{
    frame->body.data = NULL;
    frame->body.size = 0;
    frame->size = 0;
    if (input.size < FRAME_HEADER_SIZE)
        return FRAME_PARTIAL;

    const unsigned char *h = (const unsigned char *)input.data;
    uint32_t length =
        (uint32_t)h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
    if (length > max_body) {
        frame->size = length;
        return FRAME_TOO_LARGE;
    }
    frame->size = (uint64_t)FRAME_HEADER_SIZE + length;
    if (input.size < frame->size)
        return FRAME_PARTIAL;
    frame->body.data = input.data + FRAME_HEADER_SIZE;
    frame->body.size = length;
    return FRAME_WHOLE;
}

/* Writes the header for a body of `size` bytes to `out`. */
static inline void frame_header(uint32_t size, char out[FRAME_HEADER_SIZE])
{
    out[0] = (char)(unsigned char)size;
    out[1] = (char)(unsigned char)(size >> 8);
    out[2] = (char)(unsigned char)(size >> 16);
    out[3] = (char)(unsigned char)(size >> 24);
}

#endif
