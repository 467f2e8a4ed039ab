/* The address of the server that a command calls: `--server ADDR`, or the environment's
 * PILLION_SERVER, or the default port of a configuration. */
#ifndef PILLION_CMD_TARGET_H
#define PILLION_CMD_TARGET_H

#include "cmd/command.h"

#define TARGET_HOST     "127.0.0.1"
#define TARGET_PORT     "8080"
#define TARGET_VARIABLE "PILLION_SERVER"

#define TARGET_FORM "HOST, HOST:PORT, tls:HOST:PORT or unix:PATH"
#define TARGET_SUMMARY \
    TARGET_FORM "; $" TARGET_VARIABLE " or " TARGET_HOST ":" TARGET_PORT " by default"

#define TARGET_SIZE 512u

/* Makes an address for address_resolve, with a port, of `given`, which the option `option` has
 * given (NULL: the default). "tls:" in front of it becomes `*tls`; where that is NULL it is
 * refused. Names are not looked up. 0, or the exit status after saying what is wrong. */
int target_read(const struct command *self, const char *option, const char *form, const char *given,
                char target[TARGET_SIZE], bool *tls);

#endif
