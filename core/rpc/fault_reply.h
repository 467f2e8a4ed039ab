/* The reply that tells a client what is wrong with its params:
 *
 *     {"code": "invalid_params", "message": "PATH: TEXT; …", "errors": [{"path", "message"}, …]} */
#ifndef PILLION_RPC_FAULT_REPLY_H
#define PILLION_RPC_FAULT_REPLY_H

#include "rpc/fault.h"
#include "rpc/request.h"

/* Answers the request with its faults; without memory for them, `overloaded`. */
void fault_refuse(struct pillion_request *req, const struct faults *faults);

#endif
