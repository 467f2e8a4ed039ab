/* The table of the state that an upgrade hands on. See owners.h. */
#include "master/owners.h"

#include <stddef.h>

#include "base/log.h"
#include "master/binary.h"
#include "master/control.h"
#include "master/directory_memory.h"
#include "master/found.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/inherit.h"
#include "master/master.h"
#include "master/pid_file.h"
#include "master/registry.h"
#include "master/state.h"
#include "master/vaults.h"
#include "master/wants.h"
#include "master/workers.h"
#include "process/zones.h"

static void board_write(cJSON *state)
{
    const struct generation *current = generation_current();
    bool crowded = !current->former && generation_crowded_out(current, master.board);

    cJSON_AddNumberToObject(state, "board", board_descriptor());
    cJSON_AddBoolToObject(state, "board_crowded", crowded);
}

static void board_keep_open(bool keep)
{
    state_keep_open(board_descriptor(), keep);
}

static const struct owner {
    const char *name;
    void (*write)(cJSON *state);
    void (*read)(const cJSON *state); /* NULL: upgrade.c has read it before all others */
    void (*keep_open)(bool keep);     /* NULL: it has no descriptors */
} owners[] = {
    /* They are read in this order: each may need those before it. */
    {"board", board_write, NULL, board_keep_open},
    {"binary", binary_write, binary_read, binary_keep_open},
    {"generation", inherit_write, inherit_read, inherit_keep_open},
    {"directory", directory_memory_write, directory_memory_read, directory_memory_keep_open},
    {"registry", registry_write, registry_read, registry_keep_open},
    {"wants", wants_write, wants_read, NULL},
    {"found methods", found_write, found_read, NULL},
    {"zones", zones_write, zones_read, zones_keep_open},
    {"vaults", vaults_write, vaults_read, vaults_keep_open},
    {"gates", gates_write, gates_read, gates_keep_open},
    {"workers", workers_write, workers_read, workers_keep_open},
    {"hand-over", handover_write, handover_read, handover_keep_open},
    {"pid file", pid_file_write, pid_file_read, pid_file_keep_open},
    {"control socket", control_write, control_read, control_keep_open}, /* clients may order */
};

#define OWNERS (sizeof(owners) / sizeof(owners[0]))

void owners_write(cJSON *state)
{
    for (size_t i = 0; i < OWNERS; i++)
        owners[i].write(state);
}

void owners_read(const cJSON *state)
{
    for (size_t i = 0; i < OWNERS; i++) {
        log_debug("taking up: %s", owners[i].name);
        if (owners[i].read != NULL)
            owners[i].read(state);
    }
}

void owners_keep_open(bool keep)
{
    for (size_t i = 0; i < OWNERS; i++)
        if (owners[i].keep_open != NULL)
            owners[i].keep_open(keep);
}
