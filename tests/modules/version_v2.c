/* Version 2 of a module that says which it is. */
#include <pillion/module.h>

static void version(pillion_request *req)
{
    pillion_reply(req, "version", cJSON_CreateString("v2"));
}

static const pillion_method methods[] = {{.name = "version", .handler = version}, {0}};

PILLION_MODULE(.name = "version", .version = "2.0.0", .methods = methods);
