/* The table of errors. See error_code.h. */
#include "wire/error_code.h"

#include <assert.h>
#include <stdlib.h>

#define CODES (sizeof(codes) / sizeof(*codes) - 1) /* besides the last */

/* Sorted by name. */
static const struct error_code codes[] = {
    {"deadline_exceeded", 50401, 504, "DEADLINE_EXCEEDED",
     "The request has waited, or was under way, for longer than its own `deadline`. Work that it "
     "has "
     "begun may still be carried out."},
    {"forbidden", 40300, 403, "PERMISSION_DENIED", "The caller may not do this."},
    {ERROR_FRAME_TOO_LARGE, 41300, 413, "RESOURCE_EXHAUSTED",
     "The message is larger than `max_frame` allows; the connection ends with this reply."},
    {ERROR_HEADER_MISMATCH, -32020, 400, "INVALID_ARGUMENT",
     "MCP: a header field is missing, or is not as the body says."},
    {"internal_error", -32603, 500, "INTERNAL",
     "The method gave no answer, or one that cannot be sent: it is too large, or there is no "
     "memory "
     "for it."},
    {"invalid_params", -32602, 400, "INVALID_ARGUMENT", "The method cannot take these params."},
    {ERROR_INVALID_REQUEST, -32600, 400, "INVALID_ARGUMENT",
     "It is JSON, but no request; the message says why, and at which byte."},
    {ERROR_LIMITED, 42900, 429, "RESOURCE_EXHAUSTED",
     "The caller asks more often than the filter `limit` lets it, or its address has more "
     "connections than `limit_conn` allows; the connection then ends with this reply."},
    {ERROR_METHOD_NOT_FOUND, -32601, 404, "UNIMPLEMENTED", "This address offers no such method."},
    {ERROR_METHOD_QUARANTINED, 50301, 503, "UNAVAILABLE",
     "The method has crashed too often and is out of service until the next reload."},
    {ERROR_MODULE_CRASHED, 50001, 500, "INTERNAL",
     "The method crashed, or its worker ended when the request had begun to act; it is not run "
     "again."},
    {"not_a_frame", 40000, 400, "INVALID_ARGUMENT",
     "The connection does not begin as this address's protocol does; it ends with this reply."},
    {"overloaded", 50300, 503, "UNAVAILABLE",
     "The server, or the method, has no resources for it now."},
    {ERROR_PARSE_ERROR, -32700, 400, "INVALID_ARGUMENT",
     "The body is not strict JSON, or exceeds `json_max_depth` or `json_max_values`; the message "
     "names the byte."},
    {"postgres_error", 50002, 500, "UNKNOWN", "PostgreSQL refused the statement."},
    {"postgres_too_large", 50003, 500, "OUT_OF_RANGE",
     "The result is larger than the method's `max_reply`."},
    {"postgres_unavailable", 50302, 503, "UNAVAILABLE", "PostgreSQL cannot be asked now."},
    {"redis_error", 50004, 500, "UNKNOWN", "Redis refused the command."},
    {"redis_not_json", 50005, 500, "DATA_LOSS",
     "Redis's reply is not the JSON that the method promises."},
    {"redis_not_text", 50006, 500, "DATA_LOSS",
     "Redis's reply is not the text that the method promises."},
    {"redis_too_large", 50007, 500, "OUT_OF_RANGE",
     "The reply is larger than the method's `max_reply`."},
    {"redis_unavailable", 50303, 503, "UNAVAILABLE", "Redis cannot be asked now."},
    {ERROR_REQUEST_TIMEOUT, 40800, 408, "DEADLINE_EXCEEDED",
     "The message has begun, and did not arrive within `receive_timeout`; the connection ends with "
     "this reply."},
    {ERROR_TIMEOUT, 50400, 504, "DEADLINE_EXCEEDED",
     "The method ran longer than it may, or what it waits for did not answer in time. Work that it "
     "has begun may still be carried out."},
    {"unauthorized", 40100, 401, "UNAUTHENTICATED",
     "The filter `auth` does not let the request pass."},
    {ERROR_UNSUPPORTED_VERSION, -32022, 400, "UNIMPLEMENTED",
     "MCP: the revision that is asked for is not spoken here; `supported` has those that are."},
    {"upstream_bad_reply", 50201, 502, "DATA_LOSS",
     "The service behind the method of `proxy_http` gave no reply of JSON-RPC: a failure of HTTP, "
     "a "
     "redirect, no JSON, another request's `id`, or more than `max_reply`."},
    {"upstream_error", 50202, 502, "UNKNOWN",
     "The service behind the method of `proxy_http` answered with an error that has no name here: "
     "`number` and `data` beside the message are its own."},
    {"upstream_unavailable", 50200, 502, "UNAVAILABLE",
     "No server behind the method of `proxy` or `proxy_http` can be asked now."},
    {"", 50000, 500, "UNKNOWN", "A code that a module made: its name says which."},
};

static int compare(const void *name, const void *row)
{
    return strcmp(name, ((const struct error_code *)row)->name);
}

const struct error_code *error_code_find(const char *name)
{
    const struct error_code *row = bsearch(name, codes, CODES, sizeof(*codes), compare);

    return row == NULL ? &codes[CODES] : row;
}

static_assert(CODES < ERROR_CODES_MAX, "each row has a counter");

uint32_t error_code_index(const char *name)
{
    return (uint32_t)(error_code_find(name) - codes);
}

const struct error_code *error_codes(size_t *count)
{
    *count = CODES + 1;
    return codes;
}

static const char introduction[] =
    "# Errors\n"
    "\n"
    "<!-- Made from the server's own table, core/wire/error_code.c. -->\n"
    "\n"
    "The **code** of an error is `result.code` in Pillion's own format, and `error.data.code` in\n"
    "JSON-RPC 2.0, where `error.code` is the **number** ([protocols](protocols.md)). A code "
    "that\n"
    "is not here is a module's own: its number is the last one below.\n"
    "\n"
    "**HTTP** is the status of a reply over HTTP, and **meaning** the closest status of gRPC. The\n"
    "number of an error that neither JSON-RPC nor MCP defines is the status of HTTP and two digits "
    "more.\n"
    "\n"
    "| code | number | HTTP | meaning | |\n"
    "| --- | --- | --- | --- | --- |\n";

void error_codes_reference(struct text *out)
{
    text_append_string(out, introduction);
    for (size_t i = 0; i <= CODES; i++) {
        const struct error_code *row = &codes[i];
        text_printf(out, i == CODES ? "| any other%s" : "| `%s`", row->name);
        text_printf(out, " | %d | %u | %s | %s |\n", row->number, row->status, row->meaning,
                    row->help);
    }
}
