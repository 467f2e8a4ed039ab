/* Methods that say a great deal: params is how many lines. One listens. */
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

/* On standard output. */
static void says(pillion_request *req)
{
    for (int i = 0; i < wanted(req); i++)
        printf("line %d, for a person at the terminal\n", i);
    pillion_reply(req, "says", cJSON_CreateBool(fflush(stdout) == 0));
}

/* Reads a line, if there is any. */
static void asks(pillion_request *req)
{
    pillion_reply(req, "asks", cJSON_CreateBool(getchar() != EOF));
}

static const pillion_method methods[] = {
    {.name = "logs", .handler = logs},
    {.name = "prints", .handler = prints},
    {.name = "says", .handler = says},
    {.name = "asks", .handler = asks},
    {0},
};

PILLION_MODULE(.name = "talks", .version = "1.0.0", .methods = methods);
