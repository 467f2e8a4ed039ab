/* `pillion` without a command: the server's own options, for the places of its files, or for
 * something else to do than serving.
 *
 * master/serve.h and signal.c do the work. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "base/suggest.h"
#include "base/version.h"
#include "cmd/command_table.h"
#include "cmd/commands.h"
#include "cmd/prefix.h"
#include "cmd/signal.h"
#include "conf/settings_table.h"
#include "master/serve.h"
#include "pillion/module.h"
#include "process/generation.h"
#include "process/signals.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct option_row options[] = {
    {'c', "conf", "FILE", "the configuration; a relative path starts at the prefix"},
    {'p', "prefix", "PREFIX", "the directory where relative paths start"},
    {'g', "directives", "DIRECTIVES", "directives that override those of the file"},
    {'q', "quiet", NULL, "says nothing of success, with -t and -s"},
    {'t', "test", NULL, "checks the configuration and tries its modules, then exits"},
    {'T', "dump", NULL, "checks the configuration and prints it with all includes"},
    {'s', "signal", "SIGNAL", "asks the running server, and waits for its answer"},
    {'v', "version", NULL, "prints the version"},
    {'V', "build", NULL, "prints the version, how it was built and its paths"},
    {0, NULL, NULL, NULL},
};

/* The command line's options. */
struct request {
    struct serve_options serve;
    int action;       /* the id of -t, -T, -s, -v or -V; 0: serve */
    const char *verb; /* of -s */
    bool quiet;
    struct text directives; /* all -g */
    char prefix[PATH_MAX];
    char conf[PATH_MAX]; /* of -c: a copy, because titles write over argv */
};

/* ---- actions ---- */

/* The place of a file: a relative path starts at the prefix. */
static void print_place(const char *name, const char *prefix, const char *path)
{
    printf("%s: %s%s%s\n", name, path[0] == '/' ? "" : prefix, path[0] == '/' ? "" : "/", path);
}

static int print_build(const char *prefix)
{
    printf("pillion %s\n", PILLION_VERSION);
    printf("built with: %s\n", COMPILER);
    printf("module interface: %d.%d\n", PILLION_ABI_MAJOR, PILLION_ABI_MINOR);
    printf("prefix: %s\n", prefix);
    print_place("configuration", prefix, prefix_conf(prefix));
    for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
        bool path =
            d->fallback != NULL && (d->type == CONF_PATH || strcmp(d->name, "control") == 0);
        if (path)
            print_place(d->name, prefix, d->fallback);
    }
    return 0;
}

static int dump(const struct serve_options *serve)
{
    struct conf_errors errors = {0};
    struct settings *settings;
    struct text out = {0};

    struct conf_tree *tree = generation_configure(serve, &settings, &errors);
    printable_print(stderr, bytes_of(text_string(&errors.text)));
    if (tree != NULL) {
        conf_tree_dump(tree, &out);
        fwrite(text_string(&out), 1, out.size, stdout);
    }
    int status = tree == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
    text_free(&out);
    conf_tree_free(tree);
    conf_errors_free(&errors);
    return status;
}

static int unknown_verb(const struct command *self, const char *verb)
{
    struct suggest suggest = suggest_start(verb);
    struct text known = {0};
    const char *last = "";

    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        suggest_offer(&suggest, row->verb);
        if (strcmp(row->verb, last) != 0)
            text_printf(&known, "%s%s", known.size == 0 ? "" : ", ", row->verb);
        last = row->verb;
    }
    if (suggest.nearest != NULL)
        command_misused(self, "-s knows no \"%s\"; did you mean \"%s\"?", verb, suggest.nearest);
    else
        command_misused(self, "-s knows no \"%s\", only %s", verb, text_string(&known));
    text_free(&known);
    return EXIT_USAGE;
}

static int act(const struct command *self, const struct request *request)
{
    switch (request->action) {
    case 'v':
        printf("pillion %s\n", PILLION_VERSION);
        return command_flush(self, 0);
    case 'V':
        return command_flush(self, print_build(request->prefix));
    case 'T':
        return command_flush(self, dump(&request->serve));
    case 't':
        return serve_test(&request->serve, request->quiet);
    case 's':
        return signal_send(self, &request->serve, request->verb, request->quiet);
    default:
        return serve(&request->serve);
    }
}

/* ---- reading ---- */

/* One of -t -T -s -v -V. False with a message when there was another before. */
static bool set_action(const struct command *self, struct request *request, int id)
{
    if (request->action != 0 && request->action != id) {
        command_misused(self, "-%c and -%c cannot be given together", request->action, id);
        return false;
    }
    request->action = id;
    return true;
}

/* 0, or the exit status. */
static int read_options(struct args *args, struct request *request)
{
    const char *prefix = NULL;
    int id;

    while ((id = args_next(args)) > 0) {
        switch (id) {
        case 'c':
            if (strlen(args->value) >= sizeof(request->conf))
                return command_misused(args->command, "the path after -c is too long");
            snprintf(request->conf, sizeof(request->conf), "%s", args->value);
            request->serve.conf = request->conf;
            request->serve.conf_given = true;
            break;
        case 'p':
            prefix = args->value;
            break;
        case 'g':
            text_printf(&request->directives, "%s\n", args->value);
            break;
        case 'q':
            request->quiet = true;
            break;
        case 's':
            request->verb = args->value;
            if (signal_by_verb(request->verb) == NULL)
                return unknown_verb(args->command, request->verb);
            __attribute__((fallthrough));
        default:
            if (!set_action(args->command, request, id))
                return EXIT_USAGE;
        }
    }
    if (id != ARGS_END)
        return id == ARGS_ERROR ? EXIT_USAGE : id;
    const char *operand = args_operand(args);
    if (operand != NULL && command_find(operand) != NULL)
        return command_misused(
            args->command, "the command comes first, and has options of its own: \"pillion %s\"",
            operand);
    if (operand != NULL)
        return command_misused(args->command, "\"%s\" is not expected here", operand);
    if (!prefix_find(args->command, prefix, request->prefix))
        return EXIT_FAILURE;
    if (!request->serve.conf_given)
        request->serve.conf = prefix_conf(request->prefix);
    return 0;
}

static void print_verbs(void)
{
    const char *last = "";

    printf("\nSIGNAL is one of:\n");
    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        if (strcmp(row->verb, last) != 0)
            command_print_row(stdout, row->verb, row->summary);
        last = row->verb;
    }
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct request request = {.serve = {.argv = argv, .argc = argc}};

    int status = read_options(&args, &request);
    if (status == 0) {
        request.serve.prefix = request.prefix;
        request.serve.directives = request.directives.data;
        status = act(self, &request);
    }
    if (status == ARGS_HELP)
        print_verbs();
    text_free(&request.directives);
    return status;
}

const struct command server_command = {
    .name = "",
    .run = run,
    .usage = "[-c FILE] [-p PREFIX] [-g DIRECTIVES] [-q] [-t | -T | -s SIGNAL | -v | -V | -h]\n"
             "COMMAND …",
    .summary = "Pillion serves remote procedure calls whose methods come from modules.",
    .options = options,
    .notes = "A server in the foreground ends with Ctrl-C, and when its terminal is closed.\n"
             "\n"
             "Exit status: 0 when all went well, 1 when the server cannot start or the order was\n"
             "not carried out, 64 when the command line is wrong.\n",
};
