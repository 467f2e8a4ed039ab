/* Aborts in its constructor. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void construct(void)
{
    abort();
}

static void answer(pillion_request *req)
{
    pillion_reply_raw(req, "answer", pillion_params_raw(req));
}

static const pillion_method methods[] = {{.name = "answer", .handler = answer}, {0}};

PILLION_MODULE(.name = "ctor_abort", .version = "1.0.0", .methods = methods);
