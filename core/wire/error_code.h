/* The errors that clients are told of, in one table: what each is called, and what it is in
 * JSON-RPC 2.0, in HTTP, and in the words of gRPC. docs/errors.md is made from it.
 *
 * A number, once given, stays what it is: clients compare it. Those of Pillion's own are the status
 * of HTTP, and two digits more; JSON-RPC reserves -32768 to -32000 (section 5.1). */
#ifndef PILLION_WIRE_ERROR_CODE_H
#define PILLION_WIRE_ERROR_CODE_H

#include "base/bytes.h"

/* The codes that the core itself answers with; <pillion/module.h> has those that modules need. */
#define ERROR_PARSE_ERROR        "parse_error"
#define ERROR_INVALID_REQUEST    "invalid_request"
#define ERROR_METHOD_NOT_FOUND   "method_not_found"
#define ERROR_TIMEOUT            "timeout"
#define ERROR_FRAME_TOO_LARGE    "frame_too_large"
#define ERROR_LIMITED            "limited"
#define ERROR_REQUEST_TIMEOUT    "request_timeout"
#define ERROR_MODULE_CRASHED     "module_crashed"
#define ERROR_METHOD_QUARANTINED "method_quarantined"

/* Those of MCP, which has numbers of its own for them. */
#define ERROR_HEADER_MISMATCH     "header_mismatch"
#define ERROR_UNSUPPORTED_VERSION "unsupported_version"

struct error_code {
    const char *name;    /* `code` in an error */
    int32_t number;      /* `code` in an error of JSON-RPC */
    uint16_t status;     /* of HTTP (RFC 9110 section 15) */
    const char *meaning; /* the closest of gRPC's status codes, by its name */
    const char *help;    /* a sentence for the client's author */
};

/* The row of this code. A code that is in no row has one in common with all others of its kind,
 * which a module has made: never NULL. */
const struct error_code *error_code_find(const char *name);

/* The number of that row in error_codes. */
#define ERROR_CODES_MAX 48u
uint32_t error_code_index(const char *name);

/* The rows, by their names; the last is that of codes without a row, whose name is "". */
const struct error_code *error_codes(size_t *count);

/* docs/errors.md, from the table. */
void error_codes_reference(struct text *out);

#endif
