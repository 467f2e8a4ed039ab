/* Requests of HTTP/1.1 and HTTP/1.0 (RFC 9112): where one ends, and what its head says.
 *
 * Strict: a server in front of this one that reads the same bytes differently can be made to hand
 * one client's request on as part of another's. Lines end with CRLF, nothing is folded, a length is
 * given once and in one way, and whatever is not exactly that is refused.
 *
 * Stateless: nothing of a request that is half there is kept but two numbers, and forgetting those
 * costs time alone. A worker that takes a connection over starts at the request's first byte.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_HTTP_H
#define PILLION_WIRE_HTTP_H

#include <stdbool.h>

#include "wire/frame.h"

/* Of a chunk's line: its size, and extensions, which are ignored (RFC 9112 section 7.1.1). */
#define HTTP_CHUNK_LINE_MAX 256u

/* Bytes of the lines of all chunks of a body of at most `body` bytes: a client that sends a byte a
 * chunk may not fill memory with lines. */
#define HTTP_CHUNK_LINES_MAX(body) ((size_t)(body) / 8 + 4096)

/* What reading has come to. Others than the first two are the status that refuses the request,
 * after which nothing on its connection can be trusted. */
enum http_status {
    HTTP_WHOLE = 0,
    HTTP_PARTIAL = 1,
    HTTP_BAD_REQUEST = 400,
    HTTP_CONTENT_TOO_LARGE = 413,
    HTTP_URI_TOO_LONG = 414,
    HTTP_EXPECTATION_FAILED = 417,
    HTTP_HEAD_TOO_LARGE = 431, /* RFC 6585 section 5 */
    HTTP_VERSION_NOT_SUPPORTED = 505,
};

struct http_request {
    struct bytes method;
    struct bytes path;   /* of the target, as it was sent; "*" for OPTIONS of the whole server */
    struct bytes query;  /* behind the "?"; data NULL without one */
    struct bytes host;   /* of the target when that names one (section 3.2.2); data NULL for none */
    struct bytes origin; /* Origin and Content-Type; data NULL without them */
    struct bytes type;
    struct bytes fields; /* the header section, for http_field */
    unsigned minor;      /* 1 for HTTP/1.1 */
    bool keep_alive;     /* the connection goes on after the reply (section 9.3) */
    bool waits;          /* for "100 Continue" before it sends the body (RFC 9110 section 10.1.1) */
    bool chunked;
    size_t head_size;
    uint64_t length; /* of the content; of a chunked one, once the request is whole */

    uint64_t size;   /* of the whole request; while it is partial: so many bytes it has at least */
    const char *why; /* it is refused; a constant sentence without its end, for people */
};

/* Looks at the start of `input` for a request. While it is HTTP_PARTIAL, `head_size` tells whether
 * its head is there (0: not yet, and then nothing but `size` is set). */
enum http_status http_next(struct bytes input, const struct frame_limits *limits,
                           struct frame_progress *progress, struct http_request *request);

/* The content of a whole request: where it stands in `input`, or copied to `to`, which has room for
 * `length` bytes, when it is in chunks. */
struct bytes http_content(struct bytes input, const struct http_request *request, char *to);

/* The chunks of a message whose head is `progress->head` bytes of `input`, and where the first one
 * begins at first `progress->at`. While they are HTTP_PARTIAL, and once they are whole, `size` of
 * `message` is that of the whole message, as of a request; whole, `length` is that of the content;
 * otherwise `why` says why not. Nothing else of it is set. */
enum http_status http_chunks_next(struct bytes input, const struct frame_limits *limits,
                                  struct frame_progress *progress, struct http_request *message);

/* Puts the content of whole chunks together at `to`, which may be where they are. Returns its size.
 */
size_t http_chunks_copy(struct bytes chunks, char *to);

/* Where the content's byte `offset` stands in `input`. `walk` starts zeroed, and offsets do not get
 * smaller from call to call. */
struct http_walk {
    size_t at, content; /* the chunk's data that was reached last: in `input`, and in the content */
    size_t size;        /* of that chunk */
};
size_t http_content_place(struct bytes input, const struct http_request *request, size_t offset,
                          struct http_walk *walk);

/* The next field of a header section that http_next has accepted. Takes it from the start of
 * `fields`; false at the end. The value is without the white space around it. */
bool http_field(struct bytes *fields, struct bytes *name, struct bytes *value);

/* The value of the first field called `name` (in lower case) in a header section that http_next has
 * accepted; data NULL without one. */
struct bytes http_find(struct bytes fields, const char *name);

/* True when both are the same but for the case of ASCII letters. `lower` is in lower case. */
bool http_is(struct bytes text, const char *lower);

/* The next element of a comma-separated list (RFC 9110 section 5.6.1), without white space around
 * it and never empty. Takes it from the start of `list`; false at the end. */
bool http_element(struct bytes *list, struct bytes *element);

#endif
