/* `pillion try FILE.so METHOD [PARAMS | - | NAME=VALUE…]`: one call of a module's method in this
 * very process, without a server, a worker or a socket. For debuggers, valgrind and sanitizers:
 * their reports are about the module. <pillion/test.h> does the work. */
#include <fcntl.h>
#include <limits.h>
#include <pillion/test.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/printable.h"
#include "cmd/commands.h"
#include "cmd/describe.h"
#include "cmd/named.h"
#include "cmd/params.h"
#include "cmd/reply_text.h"

#define WAIT_MAX     3600000u
#define OPERANDS_MAX 256

#define TIMEOUT "60s"

enum {
    OPTION_MODULE = 256,
    OPTION_METHOD,
    OPTION_MAIN,
    OPTION_WITH,
    OPTION_MEMBERS,
    OPTION_WAIT,
    OPTION_TIMEOUT
};

static const struct option_row options[] = {
    {OPTION_MODULE, "module", "DIRECTIVES", "as they would stand in the block of load_module"},
    {OPTION_METHOD, "method", "DIRECTIVES", "as they would stand in the block of method"},
    {OPTION_MAIN, "main", "DIRECTIVES",
     "as they would stand outside of every block: 'zone limits 1m;'"},
    {OPTION_WITH, "with", "FILE.so", "loads another module as well, such as one with a filter"},
    {OPTION_MEMBERS, "members", "OBJECT", MEMBERS_SUMMARY},
    {OPTION_WAIT, "wait", "MS",
     "lets the module's own timers and descriptors work for so long first"},
    {OPTION_TIMEOUT, "timeout", "TIME",
     "how long the module may take, as in 500ms or 10s, 0 for ever; " TIMEOUT " by default"},
    {0, NULL, NULL, NULL},
};

/* The command line. */
static struct {
    const char *file, *method;
    const char *module_block, *method_block, *main, *with, *members;
    struct text params;
    unsigned wait_ms;
    const char *timeout;
    uint64_t timeout_ms;
} line;

/* ---- The time limit ---- */

/* The message for when time is up. It is formatted beforehand, because the module may be
 * interrupted anywhere, inside malloc say. */
static char late[512];

/* True under a debugger: a person who steps through a handler is not limited. Safe in a signal
 * handler. */
static bool is_traced(void)
{
    char status[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);

    if (fd >= 0)
        close(fd);
    status[size < 0 ? 0 : size] = '\0';
    const char *tracer = strstr(status, "\nTracerPid:\t"); /* proc_pid_status(5) */
    return tracer != NULL && tracer[strlen("\nTracerPid:\t")] != '0';
}

static void time_is_up(int number)
{
    (void)number;
    if (!is_traced() && write(STDERR_FILENO, late, strlen(late)) >= 0)
        _exit(EXIT_FAILURE);
}

/* Ends the time limit: the rest of the process's work, such as a sanitizer's report at exit, is not
 * the module's. */
static void unlimit(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

/* From here on the module may take --timeout, and `more_ms`; then the process ends with a message
 * that begins with `format`, "x.so did not stop" say. */
__attribute__((format(printf, 2, 3))) static void limit(unsigned more_ms, const char *format, ...)
{
    uint64_t ms = line.timeout_ms == 0 ? 0 : line.timeout_ms + more_ms;
    const struct itimerval then = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000}};
    char what[256];
    va_list args;

    unlimit();
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    snprintf(late, sizeof(late),
             "pillion try: %s within %s; --timeout TIME gives it longer, and 0 all the time\n",
             what, line.timeout);
    signal(SIGALRM, time_is_up);
    setitimer(ITIMER_REAL, &then, NULL);
}

/* ---- The call ---- */

/* Appends `word` quoted as the configuration needs it. */
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

/* Loads and starts the module. False after printing the errors. */
static bool start(void)
{
    struct text main_text = {0}, server_text = {0};

    text_printf(&main_text, "%s\n", line.main);
    if (line.with != NULL) {
        text_append_string(&main_text, "load_module ");
        append_quoted(&main_text, line.with);
        text_append_string(&main_text, ";\n");
    }
    text_append_string(&main_text, "load_module ");
    append_quoted(&main_text, line.file);
    text_printf(&main_text, " { %s }", line.module_block);
    text_append_string(&server_text, "method ");
    append_quoted(&server_text, line.method);
    text_printf(&server_text, " { %s }", line.method_block);
    const char *wrong = pillion_test_start(text_string(&main_text), text_string(&server_text));
    if (wrong != NULL)
        printable_print(stderr, bytes_of(wrong));
    text_free(&main_text);
    text_free(&server_text);
    return wrong == NULL;
}

static int try_it(const struct command *self)
{
    struct text request = {0};

    limit(0, "%s was not loaded and started", line.file);
    if (!start())
        return EXIT_USAGE;
    if (line.wait_ms > 0) {
        limit(line.wait_ms, "the timers and descriptors of %s kept the process beyond --wait",
              line.file);
        pillion_test_run(line.wait_ms);
    }
    params_request(line.method, &line.params, line.members, false, &request);
    limit(0, "\"%s\" of %s did not answer", line.method, line.file);
    pillion_test_reply reply = pillion_test_request(text_string(&request));
    limit(0, "%s did not stop", line.file);
    int status = reply_text_print(self, line.file, bytes_of(reply.body));
    pillion_test_stop();
    text_free(&request);
    return status;
}

static int take_option(struct args *args, int id, void *data)
{
    char rest;

    (void)data;
    if (id == OPTION_MODULE)
        line.module_block = args->value;
    else if (id == OPTION_METHOD)
        line.method_block = args->value;
    else if (id == OPTION_MAIN)
        line.main = args->value;
    else if (id == OPTION_WITH)
        line.with = args->value;
    else if (id == OPTION_MEMBERS)
        return members_check(args->command, line.members = args->value);
    else if (id == OPTION_TIMEOUT)
        line.timeout = args->value;
    else if (sscanf(args->value, "%u%c", &line.wait_ms, &rest) != 1 || line.wait_ms > WAIT_MAX)
        return command_misused(args->command, "--wait takes milliseconds, up to %u, not \"%s\"",
                               WAIT_MAX, args->value);
    return 0;
}

/* What the module's file declares of the method's params, as a JSON Schema; NULL where that is
 * nothing. Whatever is wrong with the file is told when it is loaded. */
static cJSON *read_schema(void)
{
    struct manifest manifest;
    struct error error;
    cJSON *schema = NULL;

    if (!describe_read(line.file, &manifest, &error))
        return NULL;
    for (const pillion_method *m = manifest.descriptor.methods; m->name != NULL; m++) {
        if (strcmp(m->name, line.method) == 0 && m->params != NULL)
            schema = cJSON_Parse(m->params);
    }
    manifest_close(&manifest);
    return schema;
}

/* PARAMS, or an object of the NAME=VALUE that stand in their place. 0, or the exit status. */
static int read_params(const struct command *self, const char *const *operands)
{
    if (operands[0] == NULL || !named_is(operands[0])) {
        if (operands[0] != NULL && operands[1] != NULL)
            return command_misused(self, "\"%s\" is one too many; PARAMS is one argument: quote it",
                                   operands[1]);
        return params_read(self, operands[0], &line.params);
    }
    cJSON *schema = read_schema();
    int status = named_params(self, operands, schema, &line.params);
    cJSON_Delete(schema);
    return status;
}

/* 0, or the exit status. */
static int read_line(struct args *args)
{
    const struct command *self = args->command;
    const char *operands[OPERANDS_MAX + 1] = {0};

    line.module_block = line.method_block = line.main = "";
    line.timeout = TIMEOUT;
    int status = args_read(args, take_option, NULL, operands, OPERANDS_MAX);
    if (status != 0)
        return status;
    if (!timeout_read(line.timeout, &line.timeout_ms))
        return command_misused(self, "--timeout takes a time as in 500ms or 10s, not \"%s\"",
                               line.timeout);
    line.file = operands[0];
    line.method = operands[1];
    if (line.method == NULL)
        return command_misused(self, "which %s?", line.file == NULL ? "FILE.so" : "METHOD");
    return read_params(self, operands + 2);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};

    int status = read_line(&args);
    if (status == ARGS_HELP)
        status = command_flush(self, EXIT_SUCCESS);
    else if (status == 0)
        status = try_it(self);
    unlimit();
    text_free(&line.params);
    return status;
}

const struct command try_command = {
    .name = "try",
    .run = run,
    .usage = "[--module DIRECTIVES] [--method DIRECTIVES] [--main DIRECTIVES] [--with FILE.so] "
             "[--members OBJECT] "
             "[--wait MS] [--timeout TIME] FILE.so METHOD [PARAMS | @FILE | - | NAME=VALUE…]",
    .summary = "Calls a module's method in this process, without a server.",
    .options = options,
    .notes =
        "The module is loaded, checked and started as in a worker, its method called, what it\n"
        "waits for waited for, and the result printed. In a debugger, or under valgrind, all\n"
        "that is seen is the module's.\n"
        "NAME=VALUE… is an object of them, by the types that the module's file tells, as\n"
        "\"pillion call\" takes it.\n"
        "\n"
        "Exit status: 0 after a result, 1 after an error reply or when --timeout is over, which\n"
        "is not while a debugger is attached, 64 when the module cannot be loaded, or the\n"
        "command line is wrong.\n",
};
