/* The commands, one file each, and the server's own options. command_table.h has the table of
 * them. */
#ifndef PILLION_CMD_COMMANDS_H
#define PILLION_CMD_COMMANDS_H

#include "cmd/command.h"

extern const struct command server_command; /* server.c: `pillion` itself */
extern const struct command bench_command;
extern const struct command call_command;
extern const struct command describe_command; /* offers.c */
extern const struct command dev_command;
extern const struct command doc_command;
extern const struct command events_command;
extern const struct command list_command; /* offers.c */
extern const struct command modinfo_command;
extern const struct command new_command;
extern const struct command status_command;
extern const struct command top_command;
extern const struct command try_command;

/* In no table: main.c alone finds these. */
extern const struct command complete_command;
extern const struct command manual_command; /* manual_command.c */

#endif
