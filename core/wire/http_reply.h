/* Heads of HTTP's responses (RFC 9112 section 4). The style of a reply has what the response must
 * know of its request, and is read from the request's bytes anew after a crash.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_HTTP_REPLY_H
#define PILLION_WIRE_HTTP_REPLY_H

#include "wire/http.h"
#include "wire/reply.h"

/* Styles: bits, and a status in the higher half. */
enum {
    HTTP_STYLE_HEAD = 1,        /* the method was HEAD: the response has no body */
    HTTP_STYLE_CLOSE = 2,       /* the connection ends with the response */
    HTTP_STYLE_KEEP = 4,        /* HTTP/1.0 that has asked for keep-alive */
    HTTP_STYLE_GET = 8,         /* the resource can be had by GET, too: for Allow */
    HTTP_STYLE_FAILS_WELL = 16, /* an error of the method is a success of HTTP's */
    HTTP_STYLE_OPTIONS = 32,    /* the method was OPTIONS: the response says what is allowed */
    /* Two bits: what the body is, if not JSON. Only a page can be that of an error. */
    HTTP_STYLE_METRICS = 64, /* text for Prometheus */
    HTTP_STYLE_PAGE = 128,   /* a page for people */
    HTTP_STYLE_STREAM = 192, /* events without an end: it is the connection's last response */
};
#define HTTP_STYLE_KIND         192u
#define HTTP_STYLE_STATUS_SHIFT 16 /* above 0: whatever the reply is */

/* `Sat, 28 Nov 2026 22:24:01 GMT` (RFC 9110 section 5.6.7). */
#define HTTP_DATE_SIZE 29u
void http_date(int64_t seconds, char date[HTTP_DATE_SIZE + 1]);

/* The style of the response to a request. */
uint32_t http_style(const struct http_request *request);

/* True for a response without an end; that to HEAD has one. */
static inline bool http_reply_is_stream(uint32_t style)
{
    return (style & HTTP_STYLE_KIND) == HTTP_STYLE_STREAM && !(style & HTTP_STYLE_HEAD);
}

/* The status of a response, and whether it has a body (RFC 9110 section 6.4.1). */
unsigned http_reply_status(const struct reply *reply);
bool http_reply_has_body(const struct reply *reply);

/* Writes the head of a response with a body of `body` bytes to `to`, or, when that is NULL, only
 * measures it. Returns its size, at most HTTP_REPLY_HEAD_MAX bytes and those of the origin. */
#define HTTP_REPLY_HEAD_MAX 1024u
size_t http_reply_head(const struct reply *reply, size_t body, char *to);

#endif
