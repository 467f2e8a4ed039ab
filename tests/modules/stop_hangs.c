/* Never returns from stop. */
#include <pillion/module.h>
#include <unistd.h>

static void stop(pillion_instance *self)
{
    (void)self;
    for (;;)
        pause();
}

PILLION_MODULE(.name = "stop_hangs", .version = "1.0.0", .stop = stop);
