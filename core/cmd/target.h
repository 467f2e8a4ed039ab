/* Which server a command calls: `--server ADDR`, or PILLION_SERVER of the environment, or the port
 * that a configuration has by default. */
#ifndef PILLION_CMD_TARGET_H
#define PILLION_CMD_TARGET_H

#include "cmd/command.h"

#define TARGET_HOST     "127.0.0.1"
#define TARGET_PORT     "8080"
#define TARGET_VARIABLE "PILLION_SERVER"

#define TARGET_SUMMARY                                                                   \
    "HOST, HOST:PORT or unix:PATH; $" TARGET_VARIABLE " or " TARGET_HOST ":" TARGET_PORT \
    " by default"

#define TARGET_SIZE 512u

/* Makes of `given` (NULL: what is called by default) an address as address_resolve takes it, with a
 * port. Names are not looked up. 0, or the exit status after saying what is wrong. */
int target_read(const struct command *self, const char *given, char target[TARGET_SIZE]);

#endif
