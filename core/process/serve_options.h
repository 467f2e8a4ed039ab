/* The command line's options for the server that it starts. */
#ifndef PILLION_PROCESS_SERVE_OPTIONS_H
#define PILLION_PROCESS_SERVE_OPTIONS_H

#include <stdbool.h>

struct serve_options {
    const char *conf;       /* the configuration file, relative to the prefix */
    bool conf_given;        /* by -c */
    const char *prefix;     /* absolute */
    const char *directives; /* -g, or NULL */
    char **argv;            /* argv[argc] == NULL; process titles overwrite it */
    int argc;
};

#endif
