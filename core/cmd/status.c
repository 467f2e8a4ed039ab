/* `pillion status`: what the running server of a configuration counts. The master answers, over its
 * control socket: it needs no method, no listener, and no worker that is well. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cmd/commands.h"
#include "cmd/prefix.h"
#include "cmd/signal.h"
#include "cmd/view.h"
#include "master/control.h"

enum { OPTION_JSON = 256, OPTION_PROMETHEUS };

static const struct option_row options[] = {
    {'c', "conf", "FILE", "the server's configuration; a relative path starts at the prefix"},
    {'p', "prefix", "PREFIX", "the directory where its relative paths start"},
    {OPTION_JSON, "json", NULL, "prints the object that rpc.stats gives"},
    {OPTION_PROMETHEUS, "prometheus", NULL, "prints what GET /metrics gives"},
    {0, NULL, NULL, NULL},
};

struct request {
    const char *prefix, *conf;
    int form; /* the id of the option; 0: for people */
};

static int read_option(struct args *args, int id, void *data)
{
    struct request *request = data;

    if (id == 'c')
        request->conf = args->value;
    else if (id == 'p')
        request->prefix = args->value;
    else if (request->form != 0 && request->form != id)
        return command_misused(args->command, "--json and --prometheus cannot be given together");
    else
        request->form = id;
    return 0;
}

static int print(const struct command *self, const struct text *shown, int form)
{
    struct text out = {0};
    cJSON *stats = form == OPTION_PROMETHEUS ? NULL : cJSON_Parse(text_string(shown));

    if (form != OPTION_PROMETHEUS && stats == NULL)
        return command_failed(self, EXIT_FAILURE, "the server's answer is no JSON");
    if (form == 0)
        view_append(&out, stats);
    else
        text_append(&out, (struct bytes){shown->data, shown->size});
    fwrite(text_string(&out), 1, out.size, stdout);
    text_free(&out);
    cJSON_Delete(stats);
    return command_flush(self, EXIT_SUCCESS);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct request request = {0};
    char prefix[PATH_MAX];
    struct text shown = {0};

    int status = args_read(&args, read_option, &request, NULL, 0);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    if (!prefix_find(self, request.prefix, prefix))
        return EXIT_FAILURE;
    const struct serve_options server = {
        .conf = request.conf != NULL ? request.conf : prefix_conf(prefix), .prefix = prefix};
    status = EXIT_FAILURE;
    if (signal_ask(self, &server,
                   request.form == OPTION_PROMETHEUS ? CONTROL_METRICS : CONTROL_STATS, &shown))
        status = print(self, &shown, request.form);
    text_free(&shown);
    return status;
}

const struct command status_command = {
    .name = "status",
    .run = run,
    .usage = "[-c FILE] [-p PREFIX] [--json | --prometheus]",
    .summary = "Shows what the running server counts: its workers, and its methods.",
    .options = options,
    .notes =
        "AGE is how long ago a worker was started, CPU the processor time that it has taken,\n"
        "LAG how long its event loop took to answer the master's last question, MEMORY what it\n"
        "has in RAM that no other process shares. UNDER is how many requests are under way.\n"
        "P50 and P99 are upper limits of the time that half, and 99 of 100, of all calls have\n"
        "taken since the server was started. A method that has ended its workers again and\n"
        "again is quarantined until the next reload.\n"
        "\n"
        "Only users who may connect to the control socket can ask.\n"
        "\n"
        "Exit status: 0, 1 when no server answers, 64 when the command line is wrong.\n",
};
