/* Asking a running server, over its control socket or by a signal. */
#ifndef PILLION_CMD_SIGNAL_H
#define PILLION_CMD_SIGNAL_H

#include <stdbool.h>

#include "cmd/command.h"
#include "process/serve_options.h"

/* Asks the server of this configuration to do what `verb` of the signal table says, and waits for
 * its answer, however long that takes. What goes wrong is said by `command`. The exit status. */
int signal_send(const struct command *command, const struct serve_options *options,
                const char *verb, bool quiet);

/* True when a server of this configuration can be asked. Says nothing. */
bool signal_reaches(const struct command *command, const struct serve_options *options);

#endif
