/* `pillion try FILE.so METHOD [PARAMS | -]`: one call of a module's method in this very process,
 * without a server, a worker or a socket. For debuggers, valgrind and sanitizers: what they report
 * is the module's. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/outcome.h"
#include "cmd/params.h"
#include "module/api.h"
#include "module/loader.h"
#include "rpc/callback.h"
#include "rpc/introspect.h"
#include "rpc/offload.h"
#include "wire/frame.h"

#define DEFER_MS     60000u
#define THREADS      8u
#define THREADS_WAIT 1000u
#define WAIT_MAX     3600000u

enum { OPTION_MODULE = 256, OPTION_METHOD, OPTION_WAIT };

static const struct option_row options[] = {
    {OPTION_MODULE, "module", "DIRECTIVES", "as they would stand in the block of load_module"},
    {OPTION_METHOD, "method", "DIRECTIVES", "as they would stand in the block of method"},
    {OPTION_WAIT, "wait", "MS",
     "lets the module's own timers and descriptors work for so long first"},
    {0, NULL, NULL, NULL},
};

/* The one trial of this process. */
static struct {
    const char *file, *method;
    const char *module_block, *method_block;
    struct text params;
    unsigned wait_ms;

    struct conf_tree *tree;
    struct conf_errors errors;
    struct settings settings;
    struct module_set set;
    struct method_table methods;
    struct introspect introspect;
    struct loop loop;
    struct deferreds deferreds;
    struct pool pool;
    struct text request;
    char *reply;
    size_t reply_size;
} trial;

/* ---- The module ---- */

/* As a word of the configuration. */
static void append_quoted(struct text *text, const char *word)
{
    text_append_char(text, '"');
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\')
            text_append_char(text, '\\');
        text_append_char(text, *word);
    }
    text_append_char(text, '"');
}

/* A configuration of this module and this method. */
static bool configure(void)
{
    struct text text = {0};
    char directory[PATH_MAX];

    if (getcwd(directory, sizeof(directory)) == NULL)
        memcpy(directory, "/", 2);
    trial.tree = conf_tree_new(directory);
    text_append_string(&text, "load_module ");
    append_quoted(&text, trial.file);
    text_printf(&text, " { %s }\nserver { listen 127.0.0.1:1; method ", trial.module_block);
    append_quoted(&text, trial.method);
    text_printf(&text, " { %s }\n}\n", trial.method_block);
    bool good = conf_tree_add_text(trial.tree, "the command line",
                                   (struct bytes){text.data, text.size}, false, &trial.errors) &&
                settings_read(trial.tree, &trial.settings, &trial.errors);
    text_free(&text);
    return good;
}

static bool load(void)
{
    const struct module_source source = {.settings = trial.settings.modules, .fd = -1};

    trial.set = (struct module_set){.tree = trial.tree, .errors = &trial.errors};
    request_install_cjson_hooks();
    return module_set_load(&trial.set, &source, 1, 0, 1, 1) &&
           module_set_bind(&trial.set, trial.settings.servers, 0, &trial.methods) &&
           module_set_check(&trial.set);
}

static void waited(struct timer *timer)
{
    (void)timer;
    loop_stop(&trial.loop);
}

/* Gives the module what a worker has, and starts it. */
static bool start(void)
{
    const struct offload_limits limits = {.threads = THREADS, .queue = THREADS};
    struct timer timer = {0};

    api_start(&trial.deferreds);
    callbacks_init(&trial.loop, NULL, 0);
    if (!offload_init(&trial.loop, &limits) || !module_set_start(&trial.set))
        return false;
    if (trial.wait_ms > 0) {
        timer_set(&trial.loop, &timer, trial.wait_ms * NS_PER_MS, waited);
        loop_run(&trial.loop);
    }
    return true;
}

/* ---- The call ---- */

static char *reserve(struct pillion_request *req, size_t size)
{
    (void)req;
    trial.reply = must_alloc(size + 1);
    trial.reply_size = size;
    return trial.reply;
}

static const char *peer(const struct pillion_request *req)
{
    (void)req;
    return "unix:";
}

static void finish(struct deferred *deferred)
{
    trial.reply = must_alloc(deferred->req.size + 1);
    trial.reply_size = deferred->req.size;
    memcpy(trial.reply, deferred->reply, trial.reply_size);
    deferred_free(deferred);
    loop_stop(&trial.loop);
}

static void settle(struct loop *loop, void *context)
{
    (void)loop;
    (void)context;
    deferreds_settle(&trial.deferreds);
}

static void call(void)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct bytes body = {trial.request.data, trial.request.size};
    struct envelope envelope;
    struct json_error error;

    envelope_read(body, &limits, &envelope, &error); /* made here, of params that were checked */
    struct pillion_request req = {
        .method = method_table_find(&trial.methods, envelope.in),
        .body = body,
        .params = envelope.params,
        .pool = &trial.pool,
        .reserve = reserve,
        .peer = peer,
        .deferreds = &trial.deferreds,
        .max_reply = FRAME_BODY_MAX,
        .introspect = &trial.introspect,
    };
    request_run(&req);
    if (req.deferred == NULL)
        return;
    deferred_keep(req.deferred, &trial.pool);
    req.deferred->conn = 1; /* there is a client, in a way */
    loop_run(&trial.loop);
}

/* ---- The command ---- */

static void tidy_up(bool started)
{
    bool quiet = offload_finish(THREADS_WAIT);

    if (started && quiet)
        module_set_stop(&trial.set);
    if (!quiet) /* a thread still uses what would be freed */
        return;
    deferreds_free(&trial.deferreds);
    callbacks_free();
    pool_free(&trial.pool);
    loop_free(&trial.loop);
    method_table_free(&trial.methods);
}

static int try_it(const struct command *self)
{
    struct error error;

    if (!configure()) {
        fputs(text_string(&trial.errors.text), stderr);
        return EXIT_USAGE;
    }
    if (!loop_init(&trial.loop, &error))
        return command_failed(self, EXIT_FAILURE, "%s", error.text);
    trial.loop.after_batch = settle;
    deferreds_init(&trial.deferreds, &trial.loop, DEFER_MS);
    trial.deferreds.finish = finish;
    trial.introspect = (struct introspect){.methods = &trial.methods, .generation = 1};
    params_request(trial.method, &trial.params, &trial.request);
    bool started = load() && start();
    int status = EXIT_USAGE;
    if (started) {
        call();
        trial.reply[trial.reply_size] = '\0';
        status = outcome_print(
            self, trial.file,
            (struct bytes){trial.reply + FRAME_HEADER_SIZE, trial.reply_size - FRAME_HEADER_SIZE});
    } else {
        fputs(text_string(&trial.errors.text), stderr);
    }
    tidy_up(started);
    free(trial.reply);
    return status;
}

/* 0, or the exit status. */
static int read_line(struct args *args)
{
    const struct command *self = args->command;
    char rest;
    int id;

    trial.module_block = trial.method_block = "";
    while ((id = args_next(args)) > 0) {
        if (id == OPTION_MODULE)
            trial.module_block = args->value;
        else if (id == OPTION_METHOD)
            trial.method_block = args->value;
        else if (sscanf(args->value, "%u%c", &trial.wait_ms, &rest) != 1 ||
                 trial.wait_ms > WAIT_MAX)
            return command_misused(self, "--wait takes milliseconds, up to %u, not \"%s\"",
                                   WAIT_MAX, args->value);
    }
    if (id != ARGS_END)
        return id == ARGS_HELP ? id : EXIT_USAGE;
    trial.file = args_operand(args);
    trial.method = args_operand(args);
    if (trial.method == NULL)
        return command_misused(self, "which %s?", trial.file == NULL ? "FILE.so" : "METHOD");
    const char *params = args_operand(args), *more = args_operand(args);
    if (more != NULL)
        return command_misused(self, "\"%s\" is one too many; PARAMS is one argument: quote it",
                               more);
    return params_read(self, params, &trial.params);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    const struct log_target quiet = {"stderr", LOG_NOTICE_LEVEL, LOG_FORMAT_TEXT};
    struct error error;

    log_open(&quiet, &error);
    log_identity("try");
    int status = read_line(&args);
    if (status == ARGS_HELP)
        status = command_flush(self, EXIT_SUCCESS);
    else if (status == 0)
        status = try_it(self);
    text_free(&trial.params);
    text_free(&trial.request);
    conf_errors_free(&trial.errors);
    if (trial.tree != NULL)
        conf_tree_free(trial.tree);
    return status;
}

const struct command try_command = {
    .name = "try",
    .run = run,
    .usage = "[--module DIRECTIVES] [--method DIRECTIVES] [--wait MS] FILE.so METHOD [PARAMS | -]",
    .summary = "Calls a module's method in this process, without a server.",
    .options = options,
    .notes =
        "The module is loaded, checked and started as in a worker, its method called, what it\n"
        "waits for waited for, and the result printed. In a debugger, or under valgrind, all\n"
        "that is seen is the module's.\n"
        "\n"
        "Exit status: 0 after a result, 1 after an error reply, 64 when the module cannot be\n"
        "loaded, or the command line is wrong.\n",
};
