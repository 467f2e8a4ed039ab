/* Methods that fail as a server does that has too much to do, or is broken. */
#include <pillion/module.h>

static void overloaded(pillion_request *req)
{
    pillion_fail(req, PILLION_OVERLOADED, "there is too much to do");
}

static void broken(pillion_request *req)
{
    pillion_fail(req, PILLION_INTERNAL_ERROR, "it is broken");
}

static const pillion_method methods[] = {
    {.name = "overloaded", .handler = overloaded},
    {.name = "broken", .handler = broken},
    {0},
};

PILLION_MODULE(.name = "refuses", .version = "1", .methods = methods);
