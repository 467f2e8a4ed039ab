/* The table of commands. */
#ifndef PILLION_CMD_COMMAND_TABLE_H
#define PILLION_CMD_COMMAND_TABLE_H

#include "cmd/command.h"

/* All of them but the server itself, ended by NULL. */
extern const struct command *const all_commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

#endif
