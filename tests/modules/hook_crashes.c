/* Crashes in the hooks that its directives name. */
#include <pillion/module.h>
#include <signal.h>

struct config {
    bool stop, reopen;
};

static const pillion_directive directives[] = {
    {.name = "crash_stop",
     .type = PILLION_FLAG,
     .offset = offsetof(struct config, stop),
     .fallback = "off"},
    {.name = "crash_reopen",
     .type = PILLION_FLAG,
     .offset = offsetof(struct config, reopen),
     .fallback = "off"},
    {0},
};

static const struct config *config_of(pillion_instance *self)
{
    return pillion_config(self);
}

static void stop(pillion_instance *self)
{
    if (config_of(self)->stop)
        raise(SIGSEGV);
}

static int reopen(pillion_instance *self, pillion_error_text *error)
{
    (void)error;
    if (config_of(self)->reopen)
        raise(SIGSEGV);
    return 0;
}

PILLION_MODULE(.name = "hook_crashes", .version = "1.0.0", .stop = stop, .reopen = reopen,
               .directives = directives, .config_size = sizeof(struct config));
