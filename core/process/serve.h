/* The server as the command line starts it. */
#ifndef PILLION_PROCESS_SERVE_H
#define PILLION_PROCESS_SERVE_H

#include <stdbool.h>

#include "conf/settings.h"

struct serve_options {
    const char *conf;       /* the configuration file, relative to the prefix */
    bool conf_given;        /* by -c */
    const char *prefix;     /* absolute */
    const char *directives; /* -g, or NULL */
    char **argv;            /* for process titles, which write over it (with argv[argc] == NULL) */
    int argc;
};

/* Reads the configuration of `options` into a new tree and settings. NULL after an error, with the
 * errors in `errors`. Free with conf_tree_free; the settings live in the tree. */
struct conf_tree *serve_configure(const struct serve_options *options, struct settings **settings,
                                  struct conf_errors *errors);

/* `pillion -t`: reads the configuration, and runs a probe over its modules. Messages go to standard
 * error, "configuration file … is good" included unless `quiet`. The exit status. */
int serve_test(const struct serve_options *options, bool quiet);

/* `pillion`: becomes the master (in the background with `daemon on`) and serves until it is told to
 * end. The exit status. */
int serve(const struct serve_options *options);

#endif
