/* Starting the server, and testing its configuration, from the command line. `serve` decides
 * whether this process is a new server, one that takes over from a former binary, or a rehearsal
 * for that. */
#ifndef PILLION_MASTER_SERVE_H
#define PILLION_MASTER_SERVE_H

#include <stdbool.h>

#include "conf/settings.h"
#include "process/serve_options.h"

/* `pillion -t`: reads the configuration, and runs a probe over its modules. Messages go to standard
 * error, "configuration file … is good" included unless `quiet`. Returns the exit status. */
int serve_test(const struct serve_options *options, bool quiet);

/* `pillion`: becomes the master (in the background with `daemon on`) and serves until it is told to
 * end. Returns the exit status. */
int serve(const struct serve_options *options);

#endif
