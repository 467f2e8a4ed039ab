/* Provides a method that another module provides as well. */
#include <pillion/module.h>

static void ping(pillion_request *req)
{
    pillion_reply_raw(req, "other", pillion_params_raw(req));
}

static const pillion_method methods[] = {{.name = "ping", .handler = ping}, {0}};

PILLION_MODULE(.name = "ping_method", .version = "1.0.0", .methods = methods);
