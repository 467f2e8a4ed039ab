/* The commands, one file each, and the server's own options. */
#ifndef PILLION_CMD_COMMANDS_H
#define PILLION_CMD_COMMANDS_H

#include <stdbool.h>

#include "cmd/command.h"
#include "master/serve.h"

extern const struct command server_command; /* server.c: `pillion` itself */
extern const struct command bench_command;
extern const struct command call_command;
extern const struct command describe_command; /* offers.c */
extern const struct command dev_command;
extern const struct command doc_command;
extern const struct command list_command; /* offers.c */
extern const struct command modinfo_command;
extern const struct command new_command;
extern const struct command try_command;

/* All of them but the server's, ended by NULL. */
extern const struct command *const all_commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* Sends the order `verb` of the signal table to the server of this configuration, and waits for its
 * answer, however long that takes. Returns the exit status. */
int signal_send(const struct serve_options *options, const char *verb, bool quiet);

/* True when a server of this configuration can be reached. Prints nothing. */
bool signal_reaches(const struct serve_options *options);

#endif
