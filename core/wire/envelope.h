/* Envelopes: what a request says besides its params. Two formats are read, in one strict pass:
 *
 *     {"in": METHOD, "params": ANY, "id": ID}                     Pillion's own
 *     {"jsonrpc": "2.0", "method": METHOD, "params": …, "id": ID} JSON-RPC 2.0
 *
 * A request is JSON-RPC when it has a member `jsonrpc`, and so is every array: a batch. */
#ifndef PILLION_WIRE_ENVELOPE_H
#define PILLION_WIRE_ENVELOPE_H

#include "wire/json.h"

enum envelope_format {
    ENVELOPE_PILLION,
    ENVELOPE_JSONRPC,
    ENVELOPE_BARE, /* HTTP's path names the method: the body is the params, and the reply the result
                      alone */
    ENVELOPE_TOOL, /* MCP's call of a tool: JSON-RPC, whose result has the method's reply in it */
    ENVELOPE_TOOL_LEGACY, /* the same before revision 2026-07-28 */
};

enum envelope_status {
    ENVELOPE_OK,
    ENVELOPE_NOT_JSON, /* error code parse_error */
    ENVELOPE_INVALID,  /* JSON, but not a request: error code invalid_request */
    ENVELOPE_BATCH,    /* JSON-RPC: an array with at least one element, none of which was looked at
                          yet (envelope_next) */
    /* Requests for methods that each server has beside its own; never from this file. */
    ENVELOPE_MCP,     /* a request of MCP that calls no tool: rpc/mcp.h */
    ENVELOPE_METRICS, /* for the server's numbers: rpc/status.h */
    ENVELOPE_STATUS   /* for the page about them, and for what it asks: rpc/status.h */
};

static inline bool envelope_is_own(enum envelope_status status)
{
    return status >= ENVELOPE_MCP;
}

/* The longest method name that a request may carry, in bytes after unescaping. */
#define METHOD_NAME_MAX 255u

/* The spans of a request. Each points into the body, and all but `in` cover the value as it was
 * sent, quotes included; an absent member has data NULL. An invalid envelope has `in`, `id` and
 * `format` set, as far as they can be read; after bad JSON only `id` and `format` are. `in` may
 * point into the envelope itself, which is why an envelope is not copied. */
struct envelope {
    struct bytes in;     /* the method's name, unescaped and without quotes */
    struct bytes params; /* "null" when absent (static storage) */
    struct bytes id;     /* a string, number or null; set whenever it could be read, even when the
                            envelope is invalid otherwise, or no JSON from some place behind it on;
                            absent when it was there twice, as `in` is */
    uint8_t format;      /* enum envelope_format: the one that the answer is to have */
    bool notifies;       /* JSON-RPC without `id`: nothing is answered */
    char in_buffer[METHOD_NAME_MAX + 1]; /* holds `in` when it was written with escapes */
};

/* Checks `body` as json_check does and finds the members in the same pass. Names are compared after
 * unescaping ("\u0069n" is "in"). Invalid, with a reason: not an object; the method's name missing,
 * not a string, longer than METHOD_NAME_MAX, with a lone surrogate or \u0000; `id` neither string,
 * number nor null; a member of the format twice. In JSON-RPC also: another `jsonrpc` than "2.0";
 * `params` neither an object nor an array; a batch without elements. Other members are ignored:
 * `method` in one format, `in` in the other. After ENVELOPE_NOT_JSON, `id` is set if it was read in
 * the outermost object before the error, and not when the error follows it directly: it may be cut
 * off. `error` is set unless the result is ENVELOPE_OK or ENVELOPE_BATCH. For an invalid request
 * its offset is that of the wrong value or of the second name; when a member is missing, that of
 * the whole value. */
enum envelope_status envelope_read(struct bytes body, const struct json_limits *limits,
                                   struct envelope *envelope, struct json_error *error);

/* The elements of a batch, or of another array that json_check has accepted, one after the other:
 * false after the last. `*at` is where the walk is, in bytes of the array; it starts with 0. */
bool envelope_next(struct bytes array, size_t *at, struct bytes *element);

/* The same of an object, whose members have names, quotes included. */
bool envelope_next_member(struct bytes object, size_t *at, struct bytes *name, struct bytes *value);

/* envelope_read for an element: always JSON-RPC, and never a batch itself. */
enum envelope_status envelope_read_element(struct bytes element, const struct json_limits *limits,
                                           struct envelope *envelope, struct json_error *error);

/* A member of the object `body`, which json_check has accepted; data is NULL when there is none.
 * When a name is there twice, the first one is taken. Names are compared after unescaping; longer
 * ones than METHOD_NAME_MAX are never found. */
struct bytes envelope_member(struct bytes body, struct bytes name);

#endif
