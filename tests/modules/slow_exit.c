/* Keeps its process for a while after everything else has ended, as a sanitizer's report does. */
#include <pillion/module.h>
#include <time.h>

static void ping(pillion_request *req)
{
    pillion_reply_raw(req, "pong", pillion_params_raw(req));
}

__attribute__((destructor)) static void linger(void)
{
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 500000000}, NULL);
}

static const pillion_method methods[] = {{.name = "ping", .handler = ping}, {0}};

PILLION_MODULE(.name = "slow_exit", .version = "1", .methods = methods);
