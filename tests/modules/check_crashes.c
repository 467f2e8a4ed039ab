/* Crashes in check. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    abort();
}

PILLION_MODULE(.name = "check_crashes", .version = "1.0.0", .check = hook);
