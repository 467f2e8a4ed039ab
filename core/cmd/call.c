/* `pillion call METHOD [PARAMS | - | NAME=VALUE…]`: calls from the command line.
 *
 * Params go out and results come out byte for byte: nothing here parses a number and prints it
 * anew. On a terminal results are indented (cmd/pretty.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_escape.h"
#include "base/memory.h"
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/named.h"
#include "cmd/params.h"
#include "cmd/reply_text.h"
#include "cmd/target.h"

#define DEFAULT_MS   30000
#define OPERANDS_MAX 256

enum { OPTION_SERVER = 256, OPTION_TIMEOUT, OPTION_MEMBERS, OPTION_LINES };

static const struct option_row options[] = {
    {OPTION_SERVER, "server", "ADDR", TARGET_SUMMARY},
    {OPTION_TIMEOUT, "timeout", "TIME", "how long to wait, as in 500ms or 10s; 30s by default"},
    {OPTION_MEMBERS, "members", "OBJECT", MEMBERS_SUMMARY},
    {'d', "data", "PARAMS", "PARAMS, as an option"},
    DIALECT_OPTIONS,
    {OPTION_LINES, "lines", NULL, "with -: makes a call of each line that is read"},
    {0, NULL, NULL, NULL},
};

struct call {
    struct client client;
    struct dialect dialect;
    char server[TARGET_SIZE];
    const char *given; /* as --server, or NULL */
    const char *method;
    const char *members;                    /* or NULL */
    const char *data;                       /* as -d, or NULL */
    const char *operand;                    /* PARAMS, or NULL */
    const char *operands[OPERANDS_MAX + 1]; /* METHOD and all that follows */
    bool lines;
    bool help; /* of the method */
};

/* ---- Calls ---- */

/* Sends one request and appends the reply. 0, or the exit status after saying why. */
static int ask_of(const struct command *self, struct call *call, const char *method,
                  const struct text *params, struct text *reply)
{
    struct text request = {0};
    struct error error = {0};

    int status = call->dialect.jsonrpc ? params_check_jsonrpc(self, params) : 0;
    if (status != 0)
        return status;
    params_request(method, params, call->members, call->dialect.jsonrpc, &request);
    bool good =
        client_exchange(&call->client, (struct bytes){request.data, request.size}, reply, &error);
    text_free(&request);
    return good ? 0 : command_failed(self, EXIT_NO_SERVER, "%s", error.text);
}

static int ask(const struct command *self, struct call *call, const struct text *params,
               struct text *reply)
{
    return ask_of(self, call, call->method, params, reply);
}

/* What rpc.describe says of the method; NULL when it is not there, or does not know it: then
 * `refusal` has its error, if one is wanted. 0, or the exit status. */
static int describe(const struct command *self, struct call *call, cJSON **description,
                    struct text *refusal)
{
    struct text params = {0}, reply = {0};
    struct bytes result;
    bool failed = false;

    *description = NULL;
    text_append_string(&params, "{\"method\": \"");
    text_append_json(&params, bytes_of(call->method));
    text_append_string(&params, "\"}");
    int status = ask_of(self, call, "rpc.describe", &params, &reply);
    if (status == 0)
        status = reply_text_read(self, call->server,
                                 (struct bytes){text_string(&reply), reply.size}, &failed, &result);
    if (status == 0 && !failed)
        *description = cJSON_ParseWithLength(result.data, result.size);
    if (status == 0 && failed && refusal != NULL)
        reply_text_append_error(refusal, result);
    text_free(&params);
    text_free(&reply);
    return status;
}

/* PARAMS, or an object of the NAME=VALUE that stand in their place. */
static int read_params(const struct command *self, struct call *call, struct text *params)
{
    cJSON *description;

    if (call->operand == NULL || call->data != NULL || !named_is(call->operand))
        return params_read(self, call->operand, params);
    int status = describe(self, call, &description, NULL);
    if (status == 0)
        status = named_params(self, call->operands + 1,
                              cJSON_GetObjectItemCaseSensitive(description, "params"), params);
    cJSON_Delete(description);
    return status;
}

/* `pillion call METHOD --help` */
static int help(const struct command *self, struct call *call)
{
    struct text refusal = {0};
    cJSON *description;

    int status = describe(self, call, &description, &refusal);
    if (status == 0 && description == NULL)
        status = command_failed(self, EXIT_FAILURE, "%s", text_string(&refusal));
    if (status == 0)
        named_print(description);
    cJSON_Delete(description);
    text_free(&refusal);
    return command_flush(self, status);
}

/* `echo 5 | pillion call METHOD` looks as if standard input were read, but without "-" it is
 * not. */
static void tell_unread_pipe(const struct command *self, const struct call *call)
{
    struct stat status;
    int waiting = 0;

    if (call->operand == NULL && fstat(STDIN_FILENO, &status) == 0 && S_ISFIFO(status.st_mode) &&
        ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting > 0)
        command_failed(self, 0,
                       "note: the piped input was not read, and null was sent; \"pillion call %s "
                       "-\" reads it",
                       call->method);
}

static int call_once(const struct command *self, struct call *call)
{
    struct text params = {0}, reply = {0};

    int status = read_params(self, call, &params);
    if (status == 0)
        status = ask(self, call, &params, &reply);
    if (status == 0) {
        tell_unread_pipe(self, call);
        status =
            reply_text_print(self, call->server, (struct bytes){text_string(&reply), reply.size});
    }
    text_free(&params);
    text_free(&reply);
    return status;
}

/* Makes one call with the `size` bytes at `line` as params. Returns the exit status that it would
 * have alone. */
static int call_line(const struct command *self, struct call *call, const char *line, size_t size,
                     unsigned long number)
{
    struct text params = {0}, reply = {0};

    int status = params_take_line(self, (struct bytes){line, size}, number, &params);
    if (status == 0)
        status = ask(self, call, &params, &reply);
    if (status == 0) {
        const struct bytes body = {text_string(&reply), reply.size};
        status = reply_text_print_line(self, call->server, body, number);
    }
    text_free(&params);
    text_free(&reply);
    return status;
}

/* Makes a call of each line. A bad line or an error reply does not end the run; a server that does
 * not answer does. Returns the highest status of all calls. */
static int call_lines(const struct command *self, struct call *call)
{
    char *line = NULL;
    size_t capacity = 0;
    int worst = 0;
    ssize_t size;

    for (unsigned long number = 1; (size = getline(&line, &capacity, stdin)) >= 0; number++) {
        if (line[strspn(line, " \t\r\n")] == '\0' && strlen(line) == (size_t)size)
            continue;
        int status = call_line(self, call, line, (size_t)size, number);
        worst = status > worst ? status : worst;
        if (status == EXIT_NO_SERVER || command_flush(self, 0) != 0)
            break;
    }
    if (ferror(stdin))
        worst = command_failed_errno(self, EXIT_USAGE, "cannot read standard input");
    free(line);
    return command_flush(self, worst);
}

/* ---- The command ---- */

static int take_option(struct args *args, int id, void *data)
{
    struct call *call = data;

    if (id == OPTION_SERVER)
        call->given = args->value;
    else if (id == OPTION_MEMBERS)
        return members_check(args->command, call->members = args->value);
    else if (id == OPTION_LINES)
        call->lines = true;
    else if (id == 'd')
        call->data = args->value;
    else if (id >= OPTION_PROTOCOL)
        return dialect_option(args, id, &call->dialect);
    else if (!timeout_read(args->value, &call->client.timeout_ms) || call->client.timeout_ms == 0)
        return command_misused(
            args->command, "--timeout takes a time as in 500ms or 10s, not \"%s\"", args->value);
    return 0;
}

/* 0, or the exit status. */
static int read_line(struct args *args, struct call *call)
{
    const struct command *self = args->command;
    const char **operands = call->operands;

    int status = args_read(args, take_option, call, operands, OPERANDS_MAX);
    if (status != 0)
        return status;
    call->method = operands[0];
    call->operand = operands[1];
    if (call->operand != NULL && operands[2] != NULL && !named_is(call->operand))
        return command_misused(self, "\"%s\" is one too many; PARAMS is one argument: quote it",
                               operands[2]);
    if (call->method == NULL && call->help) { /* behind an option's value */
        struct args again = {
            .command = self, .argc = 2, .argv = (char *[]){"call", "--help", NULL}, .next = 1};
        return args_next(&again);
    }
    if (call->method == NULL)
        return command_misused(self, "which METHOD? \"pillion list\" shows the methods");
    if (call->data != NULL && call->operand != NULL)
        return command_misused(self, "PARAMS is given twice, as -d and behind METHOD");
    if (call->data != NULL)
        call->operand = call->data;
    if (call->lines && (call->operand == NULL || strcmp(call->operand, "-") != 0))
        return command_misused(self, "--lines needs \"-\" for PARAMS");
    return dialect_target(self, &call->dialect, call->given, call->server);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct call call = {.client = {.timeout_ms = DEFAULT_MS, .contact = {.fd = -1}}};

    call.client.server = call.server;
    call.client.dialect = &call.dialect;
    /* Behind a METHOD it asks for the method's. */
    call.help = argc > 2 && strcmp(argv[argc - 1], "--help") == 0 && argv[argc - 2][0] != '-';
    args.argc -= call.help;
    int status = read_line(&args, &call);
    if (status == ARGS_HELP)
        return command_flush(self, EXIT_SUCCESS);
    if (status == 0)
        status = call.help    ? help(self, &call)
                 : call.lines ? call_lines(self, &call)
                              : call_once(self, &call);
    client_close(&call.client);
    return status;
}

const struct command call_command = {
    .name = "call",
    .run = run,
    .usage =
        "[--server ADDR] [--timeout TIME] [--members OBJECT] " DIALECT_USAGE
        " METHOD [PARAMS | @FILE | - | NAME=VALUE… | --help]\n"
        "[--server ADDR] [--timeout TIME] [--members OBJECT] " DIALECT_USAGE " --lines METHOD -",
    .summary = "Calls a method and prints its result.",
    .options = options,
    .notes = "PARAMS is JSON, null when it is left out, read from standard input with \"-\",\n"
             "or from a file with \"@FILE\".\n"
             "NAME=VALUE… is an object of them, by the types that rpc.describe tells; several of\n"
             "one NAME are a list, and NAME:=JSON is JSON as it stands. METHOD --help shows what\n"
             "a method takes and gives.\n"
             "The result is printed as the server sent it, and indented on a terminal.\n"
             "With --lines each line of standard input is PARAMS, and each result a line.\n"
             "\n"
             "Exit status: 0 for a reply, 1 for an error reply (shown on standard error),\n"
             "2 when no server answers, 64 when the command line or PARAMS is wrong. With\n"
             "--lines it is the highest of all.\n",
};
