/* Requests of MCP, the Model Context Protocol, at `POST /mcp`: agents find the server's tools, and
 * call them. A tool's call is a call of its method like any other. All other requests are calls of
 * a method that each server has beside its own, and so are calls of tools that cannot be made: the
 * filters see them, so that only clients which may call a tool learn of tools.
 *
 * Since revision 2026-07-28 each request says everything about itself. Those of older revisions
 * begin with `initialize`, after which their servers remember nothing here either: there are no
 * sessions, and so no reload and no crash ends one. Which kind a request is, its `_meta` tells. */
#ifndef PILLION_RPC_MCP_H
#define PILLION_RPC_MCP_H

#include "rpc/call.h"

#define MCP_PATH   "/mcp"
#define MCP_METHOD "mcp" /* the name of that method, for filters, the log and counters */

/* Reads the body of a request, as http_call_read does. ENVELOPE_MCP, and an envelope without a
 * name, when it is one for that method. */
enum envelope_status mcp_read(struct call *call, struct bytes body, struct envelope *envelope,
                              struct json_error *error);

/* The handler of that method. */
void mcp_answer(struct pillion_request *req);

#endif
