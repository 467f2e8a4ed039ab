/* Methods that say a great deal: params is how many lines. */
#include <pillion/module.h>
#include <stdio.h>

static int wanted(pillion_request *req)
{
    return (int)cJSON_GetNumberValue(pillion_params(req));
}

/* By the log. */
static void logs(pillion_request *req)
{
    for (int i = 0; i < wanted(req); i++)
        pillion_log(pillion_self(req), PILLION_LOG_INFO,
                    "line %d, which is as long as the lines of logs usually are, or so", i);
    pillion_reply(req, "logs", cJSON_CreateTrue());
}

/* Past the log, as libraries do. */
static void prints(pillion_request *req)
{
    for (int i = 0; i < wanted(req); i++)
        fprintf(stderr, "line %d, from a library that knows nothing of logs\n", i);
    pillion_reply(req, "prints", cJSON_CreateTrue());
}

static const pillion_method methods[] = {
    {.name = "logs", .handler = logs},
    {.name = "prints", .handler = prints},
    {0},
};

PILLION_MODULE(.name = "talks", .version = "1.0.0", .methods = methods);
