/* What a method declares is enforced: its params before it runs, by its table (rpc/param_read.h)
 * and by its schema, and its result, where `validate all` says so, by its schema
 * (rpc/schema_check.h). */
#ifndef PILLION_RPC_VALIDATE_H
#define PILLION_RPC_VALIDATE_H

#include "rpc/request.h"

/* Reads and checks the params of a method that declares some. False when they are wrong; then the
 * request is answered. */
bool validate_params(struct pillion_request *req);

bool validate_result_by(struct pillion_request *req, struct bytes result);

/* Checks a result, which is valid JSON. False when it breaks what its method declares: that is its
 * module's mistake, which is logged, and the request is answered with an error. */
static inline bool validate_result(struct pillion_request *req, struct bytes result)
{
    return req->method->result_rule == NULL || validate_result_by(req, result);
}

#endif
