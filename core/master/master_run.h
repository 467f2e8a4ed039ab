/* The master's entry, for the command that starts it: prepares the master, or takes the server over
 * after an upgrade, starts the first generation, and runs the loop until the server has ended. */
#ifndef PILLION_MASTER_MASTER_RUN_H
#define PILLION_MASTER_MASTER_RUN_H

#include "conf/settings.h"
#include "process/serve_options.h"

/* Runs the master in this process until the server has ended. `settings` have been read by the
 * command: the master needs some before its first generation. `report` leads to the process that
 * waits for a daemon to serve (starter.h), or is -1. `state` is the file that the former binary has
 * left for this one in an upgrade (state.h), or -1. Returns the exit status. */
int master_run(const struct serve_options *options, const struct settings *settings, int report,
               int state);

#endif
