/* ping: gives its params back. The shortest module there can be. */
#include <pillion/module.h>

static void ping(pillion_request *req)
{
    pillion_reply_raw(req, "pong", pillion_params_raw(req));
}

static const pillion_method methods[] = {
    {.name = "ping", .handler = ping, .summary = "Gives its params back."},
    {0},
};

PILLION_MODULE(.name = "ping", .version = "1.0.0", .methods = methods);
