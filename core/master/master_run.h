/* The master, as the command that starts it sees it. */
#ifndef PILLION_MASTER_MASTER_RUN_H
#define PILLION_MASTER_MASTER_RUN_H

#include "master/serve.h"

/* What the master writes to `report` once it serves; why it does not, otherwise. */
#define MASTER_REPORT_SERVING '\1'

/* Runs the master in this process until the server has ended. `settings` are those that the
 * command has read already, for what is needed before the first generation. `report` is a pipe to
 * the process that waits for a daemon to serve; -1 in the foreground, where errors go to standard
 * error. `state` is what an upgrade has left for this binary (upgrade.h), or
 * -1. The exit status. */
int master_run(const struct serve_options *options, const struct settings *settings, int report,
               int state);

#endif
