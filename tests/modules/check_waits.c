/* Its check waits until the file `gate` is there, its method until `handler_gate` is: a test
 * decides when the probe is ready, or a worker free. */
#include <fcntl.h>
#include <pillion/module.h>
#include <stdio.h>
#include <unistd.h>

#define WAIT_MAX_MS 60000

struct config {
    const char *gate, *handler_gate;
};

static const pillion_directive directives[] = {
    {.name = "gate",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, gate),
     .summary = "What the check waits for."},
    {.name = "handler_gate",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, handler_gate),
     .summary = "What the method waits for; it makes a file PATH.waiting before."},
    {0},
};

/* True when it is there, at last; no path is none to wait for. */
static int wait_for(const char *path)
{
    for (int ms = 0; path != NULL && ms < WAIT_MAX_MS; ms++) {
        if (access(path, F_OK) == 0)
            return 1;
        usleep(1000);
    }
    return path == NULL;
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    if (wait_for(config->gate))
        return 0;
    return pillion_error(error, "%s is not there", config->gate);
}

static void waits(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    char waiting[512];

    snprintf(waiting, sizeof(waiting), "%s.waiting", config->handler_gate);
    close(open(waiting, O_WRONLY | O_CREAT, 0666));
    wait_for(config->handler_gate);
    pillion_reply(req, "waited", cJSON_CreateNull());
}

static const pillion_method methods[] = {
    {.name = "wait_for_gate",
     .handler = waits,
     .summary = "Keeps its worker until the gate opens."},
    {0},
};

PILLION_MODULE(.name = "check_waits", .version = "1.0.0", .methods = methods,
               .directives = directives, .config_size = sizeof(struct config), .check = check,
               .needs = PILLION_NEEDS_FILES);
