/* Params by table: from text that has passed the strict check (wire/json.h) to a structure, in one
 * pass. What a value is, is decided on its bytes; there is no tree, and nothing is kept but the
 * structure, the text that it points at, and lists. */
#ifndef PILLION_RPC_PARAM_READ_H
#define PILLION_RPC_PARAM_READ_H

#include "rpc/param_fault.h"
#include "rpc/request.h"

/* Fills the structure of the request's method, whose table is not NULL, from the request's params.
 * False when they are not as the table says, or without memory; then the request is answered. */
bool param_read(struct pillion_request *req);

/* Reads one value, JSON that json_check has accepted with a NUL behind it, by its row to `to`. For
 * defaults. */
void param_read_value(const struct param_row *row, struct bytes value, char *to,
                      struct faults *faults);

#endif
