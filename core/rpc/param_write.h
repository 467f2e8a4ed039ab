/* Structures as JSON, by the same tables that params are read by: what pillion_reply_struct and
 * pillion_put_struct do. One pass over the structure, with the writer of results (rpc/result.h).
 *
 * What a table says of a value holds here too: a value that is none of those is the module's
 * mistake, and a client never gets it. */
#ifndef PILLION_RPC_PARAM_WRITE_H
#define PILLION_RPC_PARAM_WRITE_H

#include "rpc/param_row.h"
#include "rpc/request.h"

/* Replies with the structure, by the table that the request's method gives. */
void param_reply(struct pillion_request *req, const char *out, const void *structure);

/* Writes the structure into the result that is being written, as the member `name`, or, with NULL,
 * as an element; by `rows`, which are of the module's memory: the table that the method gives, or
 * one in it. */
void param_put(struct pillion_request *req, const char *name, const pillion_param *rows,
               const void *structure);

#endif
