/* Never returns from start. */
#include <pillion/module.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    for (;;)
        pause();
    return 0;
}

PILLION_MODULE(.name = "start_hangs", .version = "1.0.0", .start = hook);
