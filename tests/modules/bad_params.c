/* A table of params whose member has another size than its type fills. */
#include <pillion/module.h>

struct greet {
    int times;
    int more;
};

static const pillion_param params[] = {PILLION_PARAM(struct greet, times, PILLION_INTEGER), {0}};

static void greet(pillion_request *req)
{
    pillion_reply(req, "greet", NULL);
}

static const pillion_method methods[] = {
    {.name = "greet", .handler = greet, PILLION_PARAMS(struct greet, params)}, {0}};

PILLION_MODULE(.name = "bad_params", .version = "1", .methods = methods);
