/* A module that leaks: what the soak test has to notice. */
#include <fcntl.h>
#include <pillion/module.h>
#include <stdlib.h>
#include <string.h>

/* So that the compiler cannot leave out what is never used. */
static void *volatile last;

static void leak_memory(pillion_request *req)
{
    void *lost = malloc(1024);

    if (lost != NULL)
        memset(lost, 1, 1024);
    last = lost;
    pillion_reply_raw(req, "leaked", pillion_params_raw(req));
}

static void leak_descriptor(pillion_request *req)
{
    (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
    pillion_reply_raw(req, "leaked", pillion_params_raw(req));
}

static const pillion_method methods[] = {
    {.name = "leak_memory", .handler = leak_memory},
    {.name = "leak_descriptor", .handler = leak_descriptor},
    {0},
};

PILLION_MODULE(.name = "leaks", .version = "1.0.0", .methods = methods);
