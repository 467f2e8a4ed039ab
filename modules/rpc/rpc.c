/* rpc: methods that give information about the server.
 *
 *     rpc.list                         the methods of this server
 *     rpc.describe {"method": "ping"}  one of them
 *     rpc.discover                     all of them, as an OpenRPC document
 *     rpc.health                       is it well?
 *     rpc.stats                        counters, summed over all workers */
#include <pillion/module.h>

static void list(pillion_request *req)
{
    pillion_reply(req, "rpc.list", pillion_server_methods(req));
}

static void describe(pillion_request *req)
{
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(pillion_params(req), "method");

    if (!cJSON_IsString(method)) {
        pillion_fail(req, PILLION_INVALID_PARAMS,
                     "give the name of a method: {\"method\": \"ping\"}");
        return;
    }
    cJSON *description = pillion_server_describe(req, method->valuestring);
    if (description == NULL)
        pillion_fail(req, "method_not_found", "there is no method \"%s\" here",
                     method->valuestring);
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
     .read_only = true,
     .handler = list,
     .summary = "Lists the methods of this server."},
    {.name = "rpc.describe",
     .read_only = true,
     .handler = describe,
     .summary = "Describes one method.",
     .params = "{\"type\": \"object\", \"properties\": {\"method\": {\"type\": \"string\"}}, "
               "\"required\": [\"method\"]}"},
    {.name = "rpc.health",
     .read_only = true,
     .handler = health,
     .summary = "Tells whether the server is well."},
    {.name = "rpc.discover",
     .read_only = true,
     .handler = discover,
     .summary = "Describes all methods as an OpenRPC document."},
    {.name = "rpc.stats",
     .read_only = true,
     .handler = stats,
     .summary = "Counters of the whole server: connections, bytes, calls, latencies."},
    {0},
};

PILLION_MODULE(.name = "rpc", .version = "1.0.0", .summary = "What the server can tell of itself.",
               .methods = methods);
