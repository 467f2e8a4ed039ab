/* What completion asks of a server, or of a module's file: which methods there are, and which
 * params one of them takes. What cannot be found out is NULL; nothing is said about it. */
#ifndef PILLION_CMD_COMPLETE_ASK_H
#define PILLION_CMD_COMPLETE_ASK_H

#include <cjson/cJSON.h>

#include "cmd/dialect.h"

/* How the command line, so far, would call. */
struct complete_target {
    const struct command *command;
    struct dialect dialect;
    const char *server;  /* as --server, or NULL */
    const char *members; /* as --members, or NULL */
};

/* The methods of the server, as an array of objects with a name and maybe a summary: by rpc.list,
 * or, of the server whose configuration is the default one, by its control socket. */
cJSON *complete_ask_methods(const struct complete_target *target);

/* The JSON Schema of a method's params, by rpc.describe. */
cJSON *complete_ask_params(const struct complete_target *target, const char *method);

/* The same of a module's file, of which nothing runs. */
cJSON *complete_read_methods(const char *file);
cJSON *complete_read_params(const char *file, const char *method);

#endif
