/* `pillion list` and `pillion describe METHOD` show a server's methods, by calling rpc.list and
 * rpc.describe. Programs should call those methods themselves. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_escape.h"
#include "base/printable.h"
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/params.h"
#include "cmd/pretty.h"
#include "cmd/reply_text.h"
#include "cmd/target.h"
#include "wire/envelope.h"

#define TIMEOUT_MS  30000
#define NAME_COLUMN 24 /* longer names push their summaries to the right */

enum { OPTION_SERVER = 256, OPTION_MEMBERS };

static const struct option_row options[] = {
    {OPTION_SERVER, "server", "ADDR", TARGET_SUMMARY},
    {OPTION_MEMBERS, "members", "OBJECT", MEMBERS_SUMMARY},
    DIALECT_OPTIONS,
    {0, NULL, NULL, NULL},
};

struct question {
    const char *given;   /* as --server, or NULL */
    const char *members; /* or NULL */
    char server[TARGET_SIZE];
    struct dialect dialect;
};

static int take_option(struct args *args, int id, void *data)
{
    struct question *question = data;

    if (id == OPTION_SERVER)
        question->given = args->value;
    else if (id >= OPTION_PROTOCOL)
        return dialect_option(args, id, &question->dialect);
    else
        return members_check(args->command, question->members = args->value);
    return 0;
}

/* Says what an error of rpc.list or rpc.describe means. EXIT_FAILURE. */
static int explain(const struct command *self, const struct question *question, const char *method,
                   struct bytes result)
{
    struct text line = {0};

    reply_text_append_error(&line, result);
    command_failed(self, EXIT_FAILURE, "%s", text_string(&line));
    struct text missing = {0};
    text_printf(&missing, "\"%s\"", method);
    if (strncmp(text_string(&line), "method_not_found", 16) == 0 &&
        strstr(text_string(&line), text_string(&missing)) != NULL)
        fprintf(stderr,
                "    the server at %s shows its methods when its configuration has\n"
                "    \"load_module modules/rpc.so;\" and, in the server's block, \"method %s;\"\n",
                question->server, method);
    text_free(&missing);
    text_free(&line);
    return EXIT_FAILURE;
}

/* Calls `method` and finds the result in `reply`. 0, or the exit status after saying why. */
static int ask(const struct command *self, const struct question *question, const char *method,
               const struct text *params, struct text *reply, struct bytes *result)
{
    struct client client = {.server = question->server,
                            .timeout_ms = TIMEOUT_MS,
                            .dialect = &question->dialect,
                            .contact = {.fd = -1}};
    struct text request = {0};
    struct error error = {0};
    bool failed = false;

    params_request(method, params, question->members, question->dialect.jsonrpc, &request);
    bool good = client_exchange(&client, (struct bytes){request.data, request.size}, reply, &error);
    client_close(&client);
    text_free(&request);
    if (!good)
        return command_failed(self, EXIT_NO_SERVER, "%s", error.text);
    int status = reply_text_read(self, question->server,
                                 (struct bytes){text_string(reply), reply->size}, &failed, result);
    if (status != 0)
        return status;
    return failed ? explain(self, question, method, *result) : 0;
}

/* Appends a string member of `object` as it may be shown; nothing when there is none. */
static void append_member(struct text *out, const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

    if (cJSON_IsString(value))
        text_append_line(out, bytes_of(value->valuestring));
}

/* The params of a call about the method, or, with NULL, about all of them. */
static void append_params(struct text *params, const char *method)
{
    text_append_string(params, method == NULL ? "null" : "{\"method\": \"");
    if (method == NULL)
        return;
    text_append_json(params, bytes_of(method));
    text_append_string(params, "\"}");
}

/* A whole command: reads its arguments, calls `asked` and has the result printed. With `missing`,
 * an operand names a method, which is the call's params; `missing` is said when there is none. */
static int show(const struct command *self, int argc, char **argv, const char *missing,
                const char *asked, bool (*print)(struct bytes result))
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct question question = {0};
    struct text params = {0}, reply = {0};
    struct bytes result;
    const char *method = NULL;

    int status = args_read(&args, take_option, &question, &method, missing != NULL);
    if (status == ARGS_HELP)
        return command_flush(self, EXIT_SUCCESS);
    if (status == 0 && missing != NULL && method == NULL)
        status = command_misused(self, "%s", missing);
    if (status == 0)
        status = dialect_target(self, &question.dialect, question.given, question.server);
    if (status == 0) {
        append_params(&params, method);
        status = ask(self, &question, asked, &params, &reply, &result);
    }
    if (status == 0)
        status = print(result) ? command_flush(self, EXIT_SUCCESS)
                               : command_failed(self, EXIT_NO_SERVER,
                                                "%s gave no answer to %s that this command knows",
                                                question.server, asked);
    text_free(&params);
    text_free(&reply);
    return status;
}

/* ---- list ---- */

static void print_method(const cJSON *method)
{
    struct text name = {0}, summary = {0};

    append_member(&name, method, "name");
    append_member(&summary, method, "summary");
    if (summary.size > 0)
        printf("%-*s  %s\n", NAME_COLUMN, text_string(&name), text_string(&summary));
    else
        printf("%s\n", text_string(&name));
    text_free(&name);
    text_free(&summary);
}

/* Prints what rpc.list gave. False when that is no list. */
static bool print_methods(struct bytes result)
{
    cJSON *methods = cJSON_ParseWithLength(result.data, result.size);
    const cJSON *method;

    if (!cJSON_IsArray(methods)) {
        cJSON_Delete(methods);
        return false;
    }
    cJSON_ArrayForEach(method, methods) print_method(method);
    cJSON_Delete(methods);
    return true;
}

static int list(const struct command *self, int argc, char **argv)
{
    return show(self, argc, argv, NULL, "rpc.list", print_methods);
}

/* ---- describe ---- */

/* Prints a schema as it was sent, except for white space. */
static void print_schema(const char *title, struct bytes description, const char *member)
{
    struct bytes schema = envelope_member(description, bytes_of(member));
    struct text shown = {0}, coloured = {0};

    if (schema.data == NULL || bytes_equal(schema, BYTES("null")))
        return;
    pretty_append(&shown, schema, 0);
    if (pretty_wants_colour())
        pretty_colour(&coloured, (struct bytes){shown.data, shown.size});
    printf("\n%s:\n%s\n", title, text_string(coloured.size > 0 ? &coloured : &shown));
    text_free(&shown);
    text_free(&coloured);
}

static void append_text(struct text *out, struct bytes description, const char *member)
{
    struct bytes value = envelope_member(description, bytes_of(member));

    if (value.data != NULL && value.data[0] == '"')
        reply_text_append_string(out, value);
}

/* Prints what the method promises of its calls. */
static void print_promises(struct bytes description)
{
    static const char *const promises[] = {"read_only", "additive", "idempotent"};
    const char *between = "\nPromises: ";

    for (size_t i = 0; i < sizeof(promises) / sizeof(*promises); i++) {
        if (!bytes_equal(envelope_member(description, bytes_of(promises[i])), BYTES("true")))
            continue;
        printf("%s%s", between, promises[i]);
        between = ", ";
    }
    if (*between == ',')
        printf("\n");
}

/* Prints what rpc.describe gave. False when that is no description. */
static bool print_description(struct bytes description)
{
    struct text out = {0}, module = {0}, title = {0};

    if (description.data[0] != '{')
        return false;
    append_text(&out, description, "name");
    text_append_char(&out, '\n');
    append_text(&out, description, "summary");
    printf("%s\n", text_string(&out));
    append_text(&module, description, "module");
    text_append_char(&module, ' ');
    append_text(&module, description, "version");
    if (module.size > 1)
        printf("\nModule: %s\n", text_string(&module));
    append_text(&title, description, "title");
    if (title.size > 0)
        printf("\nTitle: %s\n", text_string(&title));
    print_promises(description);
    print_schema("Params", description, "params");
    print_schema("Result", description, "result");
    text_free(&out);
    text_free(&module);
    text_free(&title);
    return true;
}

static int describe(const struct command *self, int argc, char **argv)
{
    return show(self, argc, argv, "which METHOD? \"pillion list\" shows the methods",
                "rpc.describe", print_description);
}

/* ---- Both ---- */

#define EXIT_NOTES                                                                          \
    "Exit status: 0, 1 for an error reply, 2 when no server answers, 64 when the command\n" \
    "line is wrong.\n"

const struct command list_command = {
    .name = "list",
    .run = list,
    .usage = "[--server ADDR] [--members OBJECT] " DIALECT_USAGE,
    .summary = "Lists the methods that a server offers (it must offer rpc.list).",
    .options = options,
    .notes = EXIT_NOTES,
};

const struct command describe_command = {
    .name = "describe",
    .run = describe,
    .usage = "[--server ADDR] [--members OBJECT] " DIALECT_USAGE " METHOD",
    .summary = "Tells what a method does and takes (the server must offer rpc.describe).",
    .options = options,
    .notes = EXIT_NOTES,
};
