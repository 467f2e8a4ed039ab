/* Asking a running server, over its control socket or by a signal. */
#ifndef PILLION_CMD_SIGNAL_H
#define PILLION_CMD_SIGNAL_H

#include <stdbool.h>

#include "cmd/command.h"
#include "process/serve_options.h"

/* Sends the order `verb` of the signal table to the server of this configuration, and waits for its
 * answer, however long that takes. Error messages are `command`'s. Returns the exit status. */
int signal_send(const struct command *command, const struct serve_options *options,
                const char *verb, bool quiet);

/* True when a server of this configuration can be reached. Prints nothing. */
bool signal_reaches(const struct command *command, const struct serve_options *options);

#endif
