/* `pillion call METHOD [PARAMS | -]`: one call from the command line.
 *
 * Params go out and results come out byte for byte: nothing here parses a number and prints it
 * anew. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/outcome.h"
#include "cmd/params.h"

#define DEFAULT_MS 30000

enum { OPTION_SERVER = 256, OPTION_TIMEOUT, OPTION_MEMBERS };

static const struct option_row options[] = {
    {OPTION_SERVER, "server", "ADDR", "HOST:PORT or unix:PATH; " DEFAULT_SERVER " by default"},
    {OPTION_TIMEOUT, "timeout", "TIME", "how long to wait, as in 500ms or 10s; 30s by default"},
    {OPTION_MEMBERS, "members", "OBJECT", MEMBERS_SUMMARY},
    {0, NULL, NULL, NULL},
};

struct call {
    const char *server;
    uint64_t timeout_ms;
    const char *method;
    const char *members; /* or NULL */
    struct text params;
};

/* ---- the command ---- */

static int exchange(const struct command *self, const struct call *call)
{
    struct text request = {0}, reply = {0};
    struct error error = {0};
    int status;

    params_request(call->method, &call->params, call->members, &request);
    struct bytes body = {request.data, request.size};
    if (client_exchange(call->server, body, call->timeout_ms, &reply, &error))
        status = outcome_print(self, call->server, (struct bytes){text_string(&reply), reply.size});
    else
        status = command_failed(self, EXIT_NO_SERVER, "%s", error.text);
    text_free(&request);
    text_free(&reply);
    return status;
}

/* 0, or the exit status. */
static int read_line(struct args *args, struct call *call)
{
    const struct command *self = args->command;
    int id;

    while ((id = args_next(args)) > 0) {
        if (id == OPTION_SERVER)
            call->server = args->value;
        else if (id == OPTION_MEMBERS)
            call->members = args->value;
        else if (!timeout_read(args->value, &call->timeout_ms) || call->timeout_ms == 0)
            return command_misused(self, "--timeout takes a time as in 500ms or 10s, not \"%s\"",
                                   args->value);
    }
    if (id != ARGS_END)
        return id == ARGS_HELP ? id : EXIT_USAGE;
    if (call->members != NULL && members_check(self, call->members) != 0)
        return EXIT_USAGE;
    call->method = args_operand(args);
    if (call->method == NULL)
        return command_misused(self, "which METHOD?");
    const char *params = args_operand(args);
    const char *more = args_operand(args);
    if (more != NULL)
        return command_misused(self,
                               "\"%s\" is one too many; options come before METHOD, and "
                               "PARAMS is one argument: quote it",
                               more);
    return params_read(self, params, &call->params);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct call call = {.server = DEFAULT_SERVER, .timeout_ms = DEFAULT_MS};

    int status = read_line(&args, &call);
    if (status == ARGS_HELP)
        status = command_flush(self, EXIT_SUCCESS);
    else if (status == 0)
        status = exchange(self, &call);
    text_free(&call.params);
    return status;
}

const struct command call_command = {
    .name = "call",
    .run = run,
    .usage = "[--server ADDR] [--timeout TIME] [--members OBJECT] METHOD [PARAMS | -]",
    .summary = "Calls a method and prints its result.",
    .options = options,
    .notes = "PARAMS is JSON, null when it is left out, read from standard input with \"-\".\n"
             "The result is printed as the server sent it.\n"
             "\n"
             "Exit status: 0 for a reply, 1 for an error reply (shown on standard error),\n"
             "2 when no server answers, 64 when the command line or PARAMS is wrong.\n",
};
