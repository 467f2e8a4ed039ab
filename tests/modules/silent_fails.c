/* Its check fails without a reason. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    return 1;
}

PILLION_MODULE(.name = "silent_fails", .version = "1.0.0", .check = hook);
