/* A schema that says what cannot be enforced. */
#include <pillion/module.h>

static void greet(pillion_request *req)
{
    pillion_reply(req, "greet", NULL);
}

static const pillion_method methods[] = {
    {.name = "greet",
     .handler = greet,
     .params = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
               "\"unevaluatedProperties\":false}"},
    {0},
};

PILLION_MODULE(.name = "bad_schema", .version = "1", .methods = methods);
