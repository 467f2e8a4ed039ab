/* Requests of HTTP as calls: which method a path and its body call, and which requests are answered
 * without one.
 *
 *     POST /          a message in the body, in either format
 *     POST /METHOD    the params in the body; the response is the result alone
 *     GET /METHOD?…   the same for methods that only read, with the params in the query
 *     POST /mcp       a request of MCP (rpc/mcp.h), not of a method of that name
 *     GET /healthz    200 while this worker runs
 *     GET /readyz     200 while the server takes new work, 503 while it drains
 *     GET /           the page for people, where `status on` is; rpc/status.h has the others
 *
 * A web page that a person visits can send requests to any address of that person's machine. So a
 * request that a page of somebody else's sent (Origin, RFC 6454) is refused unless `allow_origin`
 * has that page's origin; and on a loopback address, so is one for a host that `allow_host` does
 * not have, because a page's author decides which address a name has. */
#ifndef PILLION_RPC_HTTP_CALL_H
#define PILLION_RPC_HTTP_CALL_H

#include "rpc/call.h"

#define HTTP_PATH_HEALTH "/healthz"
#define HTTP_PATH_READY  "/readyz"

/* As protocol_next, for the input of the call's turn. What is read of a whole request is kept for
 * http_call_read, which follows. */
enum frame_status http_call_next(struct call *call, const struct frame_limits *limits,
                                 struct frame_progress *progress, struct frame *frame);

/* Reads a whole request. Sets the request's style, format and header section, and the envelope.
 * When the request has been answered here, req->answered is set, and the status is not
 * ENVELOPE_OK. */
enum envelope_status http_call_read(struct call *call, struct bytes raw, struct envelope *envelope,
                                    struct json_error *error);

/* Reads a message of any protocol: call_read, or http_call_read. */
static inline enum envelope_status message_read(struct call *call, struct bytes body,
                                                struct envelope *envelope, struct json_error *error)
{
    if (call->req.protocol == PROTOCOL_HTTP)
        return http_call_read(call, body, envelope, error);
    return call_read(call, body, envelope, error);
}

/* What the request is answered, because its bytes are none, is its connection's last response. */
void http_call_last(struct call *call);

/* The date of a response, which is what clock the server's machine has. */
const char *http_call_date(void);

#endif
