/* The master, as the command that starts it sees it. */
#ifndef PILLION_MASTER_MASTER_RUN_H
#define PILLION_MASTER_MASTER_RUN_H

#include "conf/settings.h"
#include "process/serve_options.h"

/* Runs the master in this process until the server has ended. `settings` are those that the
 * command has read already, for what is needed before the first generation. `report` leads to
 * the process that waits for a daemon to serve (starter.h), or is -1. `state` is what an upgrade
 * has left for this binary (state.h), or -1. Returns the exit status. */
int master_run(const struct serve_options *options, const struct settings *settings, int report,
               int state);

#endif
