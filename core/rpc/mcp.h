/* Requests of MCP, the Model Context Protocol, at `POST /mcp`: agents find the server's tools, and
 * call them. A tool's call is a call of its method like any other.
 *
 * Since revision 2026-07-28 each request says everything about itself. Those of older revisions
 * begin with `initialize`, after which their servers remember nothing here either: there are no
 * sessions, and so no reload and no crash ends one. Which kind a request is, its `_meta` tells. */
#ifndef PILLION_RPC_MCP_H
#define PILLION_RPC_MCP_H

#include "rpc/call.h"

/* The path. */
#define MCP_PATH "/mcp"

/* Reads the body of a request, as http_call_read does. */
enum envelope_status mcp_read(struct call *call, struct bytes body, struct envelope *envelope,
                              struct json_error *error);

#endif
