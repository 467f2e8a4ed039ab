/* Its check waits until the file `gate` is there: a test decides when the probe is ready. */
#include <pillion/module.h>
#include <unistd.h>

#define WAIT_MAX_MS 60000

struct config {
    const char *gate;
};

static const pillion_directive directives[] = {
    {.name = "gate",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, gate),
     .summary = "What the check waits for."},
    {0},
};

static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    for (int ms = 0; ms < WAIT_MAX_MS; ms++) {
        if (access(config->gate, F_OK) == 0)
            return 0;
        usleep(1000);
    }
    return pillion_error(error, "%s is not there", config->gate);
}

PILLION_MODULE(.name = "check_waits", .version = "1.0.0", .directives = directives,
               .config_size = sizeof(struct config), .check = check);
