/* Its start fails, in its own words. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    return pillion_error(error, "the oven is cold: %d degrees", 7);
}

PILLION_MODULE(.name = "start_fails", .version = "1.0.0", .start = hook);
