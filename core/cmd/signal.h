/* Asking a running server, over its control socket or by a signal. */
#ifndef PILLION_CMD_SIGNAL_H
#define PILLION_CMD_SIGNAL_H

#include <stdbool.h>

#include "base/bytes.h"
#include "cmd/command.h"
#include "process/serve_options.h"

/* Sends the order `verb` of the signal table to the server of this configuration, and waits for its
 * answer, however long that takes. Error messages are `command`'s. Returns the exit status. */
int signal_send(const struct command *command, const struct serve_options *options,
                const char *verb, bool quiet);

/* Asks the server of this configuration to show what `word` of master/control.h is for, and puts
 * that into `shown`. False after a message of `command`'s. */
bool signal_ask(const struct command *command, const struct serve_options *options,
                const char *word, struct text *shown);

/* The control socket of the configuration as it is now. False, with the configuration's errors,
 * when it has some; then the path is that of the part that can be read. */
bool signal_path(const struct serve_options *options, struct text *path, struct text *errors);

/* True when a server of this configuration can be reached. Prints nothing. */
bool signal_reaches(const struct command *command, const struct serve_options *options);

#endif
