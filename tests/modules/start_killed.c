/* Is killed in start, as by the kernel for memory. */
#include <pillion/module.h>
#include <signal.h>
#include <unistd.h>

static int hook(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    (void)error;
    kill(getpid(), SIGKILL);
    return 0;
}

PILLION_MODULE(.name = "start_killed", .version = "1.0.0", .start = hook);
