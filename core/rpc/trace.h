/* The trace that a request belongs to, as its caller says (W3C Trace Context).
 *
 * `traceparent` and `tracestate` are members beside the params; over MCP members of `params._meta`;
 * over HTTP header fields, too, for a message that does not say. They are looked for when somebody
 * asks, so requests that are neither logged nor handed on pay nothing. Where none has come nothing
 * is made up: this server keeps no spans, so nobody could look up what it invents. For the same
 * reason they are handed on unchanged, as section 3.4 has it for a service that collects no traces:
 * a span of this server's own would be a parent that the trace does not have. */
#ifndef PILLION_RPC_TRACE_H
#define PILLION_RPC_TRACE_H

#include "rpc/request.h"
#include "wire/traceparent.h"

/* Writes the request's valid `traceparent`; false when there is none. */
bool trace_parent(const struct pillion_request *req, char to[TRACEPARENT_SIZE + 1]);

/* The request's `tracestate`, at most TRACE_STATE_MAX printable ASCII characters, in its memory.
 * NULL when there is none, or no valid `traceparent`, or no memory. Several fields are one list. */
#define TRACE_STATE_MAX 1024u /* at least 512 (section 3.3.1.5) */
const char *trace_state(const struct pillion_request *req);

#endif
