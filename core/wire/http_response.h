/* Responses of HTTP/1.1 and HTTP/1.0 as a client reads them (RFC 9112): the status, and a body
 * whose length `Content-Length` gives, as this server sends them, or one in chunks, as servers in
 * front of it may. A response that lasts until the connection ends is refused.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_HTTP_RESPONSE_H
#define PILLION_WIRE_HTTP_RESPONSE_H

#include "wire/frame.h"

struct http_response {
    unsigned status; /* 0 until the head is there; never 1xx, which are skipped */
    bool keep_alive; /* the connection goes on (section 9.3) */
    bool chunked;    /* the frame's body is whole chunks, for http_chunks_copy */
};

/* Looks at the start of `input` for a response to a request other than HEAD, and the interim ones
 * (1xx) before it. The frame's body is the content. FRAME_REFUSED, with the reason, for what this
 * does not read. */
enum frame_status http_response_next(struct bytes input, const struct frame_limits *limits,
                                     struct http_response *response, struct frame *frame);

#endif
