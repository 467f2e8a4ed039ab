/* Its check fails, in its own words. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    return pillion_error(error, "the moon is full");
}

PILLION_MODULE(.name = "check_fails", .version = "1.0.0", .check = hook);
