/* The table of commands. See command_table.h. */
#include "cmd/command_table.h"

#include <string.h>

#include "cmd/commands.h"

/* In the order in which `pillion -h` lists them. */
const struct command *const all_commands[] = {
    &call_command,  &list_command,    &describe_command,
    &bench_command, &status_command,  &events_command,
    &top_command,   &new_command,     &dev_command,
    &try_command,   &modinfo_command, &doc_command,
    NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *command = all_commands; *command != NULL; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}
