/* rpc: methods that give information about the server.
 *
 *     rpc.list                         the methods of this server
 *     rpc.describe {"method": "ping"}  one of them
 *     rpc.discover                     all of them, as an OpenRPC document
 *     rpc.health                       is it well?
 *     rpc.stats                        counters, summed over all workers
 *
 * The server makes the results as trees, so what they are is told as text, and not by tables. */
#include <pillion/module.h>

/* ---- What the methods give ---- */

#define TEXT    "{\"type\":\"string\"}"
#define COUNT   "{\"type\":\"integer\",\"minimum\":0}"
#define FLAG    "{\"type\":\"boolean\"}"
#define OBJECT  "{\"type\":\"object\"}"
#define OBJECTS "{\"type\":\"array\",\"items\":" OBJECT "}"

#define LIST_RESULT                                                                     \
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":" TEXT \
    ",\"summary\":" TEXT ",\"module\":" TEXT "},\"required\":[\"name\",\"summary\",\"module\"]}}"

#define DESCRIBE_RESULT                                                                            \
    "{\"type\":\"object\",\"properties\":{\"name\":" TEXT ",\"summary\":" TEXT ",\"module\":" TEXT \
    ",\"version\":" TEXT ",\"title\":" TEXT ",\"read_only\":" FLAG ",\"additive\":" FLAG           \
    ",\"idempotent\":" FLAG ",\"params\":{\"description\":\"A JSON Schema, or null.\"},"           \
    "\"result\":{\"description\":\"A JSON Schema, or "                                             \
    "null.\"}},\"required\":[\"name\",\"summary\","                                                \
    "\"module\",\"version\",\"read_only\",\"additive\",\"idempotent\",\"params\",\"result\"]}"

#define HEALTH_RESULT                                                                        \
    "{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"string\",\"enum\":[\"ok\"," \
    "\"degraded\",\"unheld\",\"full\"]},\"stuck_threads\":" COUNT ",\"generation\":" COUNT   \
    ",\"workers\":" COUNT ",\"serving\":" COUNT ",\"uptime_seconds\":" COUNT ",\"vaults\":{" \
    "\"type\":\"object\",\"properties\":{\"processes\":" COUNT ",\"room\":" COUNT            \
    ",\"held\":" COUNT ",\"refused\":" COUNT ",\"unheld\":" COUNT "}}},"                     \
    "\"required\":[\"status\",\"generation\"]}"

#define DISCOVER_RESULT                                                          \
    "{\"type\":\"object\",\"properties\":{\"openrpc\":" TEXT ",\"info\":" OBJECT \
    ",\"servers\":" OBJECTS ",\"methods\":" OBJECTS                              \
    "},\"required\":[\"openrpc\",\"info\",\"methods\"]}"

/* docs/protocols.md tells of all of them. */
#define STATS_RESULT                                                                               \
    "{\"type\":\"object\",\"properties\":{\"generation\":" COUNT ",\"uptime_seconds\":" COUNT      \
    ",\"started_at_ms\":" COUNT ",\"workers\":" OBJECTS ",\"pool\":" OBJECT ",\"pools\":" OBJECT   \
    ",\"connections\":" OBJECT ",\"vaults\":" OBJECT ",\"methods\":" OBJECT ",\"modules\":" OBJECT \
    "}}"

/* ---- Methods ---- */

static void list(pillion_request *req)
{
    pillion_reply(req, "rpc.list", pillion_server_methods(req));
}

struct describe {
    const char *method;
};

static const pillion_param describe_params[] = {
    PILLION_PARAM(struct describe, method, PILLION_STRING, .required = true,
                  .summary = "Its name."),
    {0},
};

static void describe(pillion_request *req)
{
    const struct describe *params = pillion_args(req);
    cJSON *description = pillion_server_describe(req, params->method);

    if (description == NULL)
        pillion_fail(req, "method_not_found", "there is no method \"%s\" here", params->method);
    else
        pillion_reply(req, "rpc.describe", description);
}

static void health(pillion_request *req)
{
    pillion_reply(req, "rpc.health", pillion_server_health(req));
}

static void discover(pillion_request *req)
{
    pillion_reply(req, "rpc.discover", pillion_server_openrpc(req));
}

static void stats(pillion_request *req)
{
    pillion_reply(req, "rpc.stats", pillion_server_stats(req));
}

static const pillion_method methods[] = {
    {.name = "rpc.list",
     .title = "List methods",
     .read_only = true,
     .handler = list,
     .summary = "Lists the methods of this server.",
     .result = LIST_RESULT},
    {.name = "rpc.describe",
     .title = "Describe a method",
     .read_only = true,
     .handler = describe,
     .summary = "Describes one method.",
     .result = DESCRIBE_RESULT,
     PILLION_PARAMS(struct describe, describe_params)},
    {.name = "rpc.health",
     .title = "Check the server",
     .read_only = true,
     .handler = health,
     .summary = "Tells whether the server is well.",
     .result = HEALTH_RESULT},
    {.name = "rpc.discover",
     .title = "Describe all methods",
     .read_only = true,
     .handler = discover,
     .summary = "Describes all methods as an OpenRPC document.",
     .result = DISCOVER_RESULT},
    {.name = "rpc.stats",
     .title = "Read counters",
     .read_only = true,
     .handler = stats,
     .summary = "Counters of the whole server: connections, bytes, calls, latencies.",
     .result = STATS_RESULT},
    {0},
};

PILLION_MODULE(.name = "rpc", .version = "1.0.0", .summary = "What the server can tell of itself.",
               .methods = methods);
