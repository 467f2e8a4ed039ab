/* `pillion events`: what has happened to the running server, and with -f what happens, a line for
 * each event of its journal (rpc/journal.h).
 *
 * A question names the last event that is known, and the server answers it with the next ones, as
 * soon as there are any. So nothing is lost, and nothing told twice, while one server follows
 * another. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/printable.h"
#include "cmd/commands.h"
#include "cmd/prefix.h"
#include "cmd/pretty.h"
#include "cmd/question.h"
#include "cmd/signal.h"
#include "master/control.h"

#define AGAIN_MS 250 /* between two looks for a server */

enum { OPTION_JSON = 256 };

static const struct option_row options[] = {
    {'f', "follow", NULL, "goes on, and prints events as they happen"},
    {OPTION_JSON, "json", NULL, "prints each as a JSON object on a line"},
    {'c', "conf", "FILE", "the server's configuration; a relative path starts at the prefix"},
    {'p', "prefix", "PREFIX", "the directory where its relative paths start"},
    {0, NULL, NULL, NULL},
};

struct events {
    const struct command *command;
    struct serve_options server;
    const char *prefix; /* as -p, or NULL */
    bool follow, json, colours;
    double last; /* the id of the event that was printed last; 0: none was */
};

static int read_option(struct args *args, int id, void *data)
{
    struct events *events = data;

    if (id == 'c')
        events->server.conf = args->value;
    else if (id == 'p')
        events->prefix = args->value;
    else if (id == 'f')
        events->follow = true;
    else
        events->json = true;
    return 0;
}

/* ---- One event ---- */

/* "2026-01-31 12:34:56", local time. */
static void append_time(struct text *out, double at_ms)
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm local;
    char text[32] = "?";

    if (localtime_r(&at, &local) != NULL)
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
    text_append_string(out, text);
}

/* By number of SGR (ECMA-48 section 8.3.117). */
static int colour_of(const char *level)
{
    enum { RED = 31, GREEN, YELLOW };

    return strcmp(level, "error") == 0 ? RED : strcmp(level, "warn") == 0 ? YELLOW : GREEN;
}

static const char *words_of(const cJSON *event, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(event, member);
    return cJSON_IsString(item) ? item->valuestring : "?";
}

static double number_of(const cJSON *event, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(event, member);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static void append_event(const struct events *events, struct text *out, const cJSON *event)
{
    append_time(out, number_of(event, "at_ms"));
    text_append_string(out, "  ");
    if (events->colours)
        text_printf(out, "\033[%dm", colour_of(words_of(event, "level")));
    text_append_line(out, bytes_of(words_of(event, "kind")));
    if (events->colours)
        text_append_string(out, "\033[0m");
    int size = (int)strlen(words_of(event, "kind"));
    text_printf(out, "%*s", size < 15 ? 17 - size : 2, "");
    text_append_line(out, bytes_of(words_of(event, "text")));
    text_append_char(out, '\n');
}

/* Prints all events of an answer. False when standard output takes no more. */
static bool print(struct events *events, const struct text *answer)
{
    struct text out = {0};

    for (const char *line = text_string(answer); *line != '\0';) {
        size_t size = strcspn(line, "\n");
        cJSON *event = cJSON_ParseWithLength(line, size);
        if (events->json) {
            text_append_printable(&out, (struct bytes){line, size});
            text_append_char(&out, '\n');
        } else if (event != NULL) {
            append_event(events, &out, event);
        }
        if (event != NULL)
            events->last = number_of(event, "id");
        cJSON_Delete(event);
        line += size + (line[size] == '\n');
    }
    fwrite(text_string(&out), 1, out.size, stdout);
    text_free(&out);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* ---- All that are kept ---- */

static int print_kept(struct events *events)
{
    struct text shown = {0};
    int status = EXIT_FAILURE;

    if (signal_ask(events->command, &events->server, CONTROL_EVENTS, &shown)) {
        print(events, &shown);
        status = command_flush(events->command, EXIT_SUCCESS);
    }
    text_free(&shown);
    return status;
}

/* ---- Following ---- */

enum happening { HAPPENED_NOTHING, HAPPENED_ANSWER, HAPPENED_END };

/* Waits for more of the answer, for `ms` at most. The end is a signal to end, or that nothing reads
 * standard output any more. */
static enum happening await(const struct question *question, int signals, int ms)
{
    struct pollfd fds[] = {{.fd = question->fd, .events = POLLIN},
                           {.fd = signals, .events = POLLIN},
                           {.fd = STDOUT_FILENO}};

    int ready = poll(fds, 3, ms);
    if (ready < 0)
        return errno == EINTR ? HAPPENED_NOTHING : HAPPENED_END;
    if (fds[1].revents != 0 || fds[2].revents != 0)
        return HAPPENED_END;
    return fds[0].revents != 0 ? HAPPENED_ANSWER : HAPPENED_NOTHING;
}

/* Asks for the next events. The configuration is read each time: a reload may have moved the
 * socket. */
static bool ask(const struct events *events, struct question *question, struct error *error)
{
    struct text path = {0}, errors = {0};
    char word[64];

    snprintf(word, sizeof(word), "%s %.0f", CONTROL_EVENTS, events->last);
    signal_path(&events->server, &path, &errors);
    bool good = question_begin(question, text_string(&path), word, error);
    text_free(&path);
    text_free(&errors);
    return good;
}

/* One question and its answer. False at the end, with `status`. */
static bool follow_once(struct events *events, struct question *question, int signals, int *status)
{
    enum question_state state = QUESTION_OPEN;

    while (state == QUESTION_OPEN) {
        enum happening happening = await(question, signals, -1);
        if (happening == HAPPENED_END)
            return false;
        if (happening == HAPPENED_ANSWER)
            state = question_look(question);
    }
    if (state == QUESTION_REFUSED)
        *status = command_failed(events->command, EXIT_FAILURE,
                                 "the server is of a version that shows no events");
    if (state == QUESTION_LOST)
        return await(question, signals, AGAIN_MS) != HAPPENED_END;
    return state == QUESTION_ANSWERED && print(events, &question->answer);
}

static int follow(struct events *events, int signals)
{
    struct question question = {.fd = -1};
    struct error error;
    int status = EXIT_SUCCESS;
    bool away = false, first = true, goes_on = true;

    while (goes_on) {
        if (ask(events, &question, &error)) {
            away = false;
            goes_on = follow_once(events, &question, signals, &status);
        } else if (first) {
            status = command_failed(events->command, EXIT_FAILURE, "%s", error.text);
            goes_on = false;
        } else {
            if (!away)
                command_failed(events->command, 0, "%s; waiting for one", error.text);
            away = true;
            goes_on = await(&question, signals, AGAIN_MS) != HAPPENED_END;
        }
        first = false;
    }
    question_end(&question);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct events events = {.command = self};
    char prefix[PATH_MAX];
    sigset_t set;

    int status = args_read(&args, read_option, &events, NULL, 0);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    if (!prefix_find(self, events.prefix, prefix))
        return EXIT_FAILURE;
    events.server.prefix = prefix;
    if (events.server.conf == NULL)
        events.server.conf = prefix_conf(prefix);
    events.colours = pretty_wants_colour();
    if (!events.follow)
        return print_kept(&events);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that has enough is no failure */
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return command_failed_errno(self, EXIT_FAILURE, "cannot receive signals");
    status = follow(&events, signals);
    close(signals);
    return status;
}

const struct command events_command = {
    .name = "events",
    .run = run,
    .usage = "[-f] [--json] [-c FILE] [-p PREFIX]",
    .summary = "Shows what has happened to the running server: reloads, crashes, quarantines, "
               "upgrades.",
    .options = options,
    .notes =
        "Each line has the local time, the kind of the event, and the words that the server's log\n"
        "has, too. The server keeps the last 256 events, over reloads and upgrades. The kinds:\n"
        "started, reload, reload_failed, upgrade, upgrade_failed, crash, hang, disorder,\n"
        "quarantine, worker_worn, worker_crippled, not_replaced, correction, vault_restarted,\n"
        "gate_ended, stopping.\n"
        "\n"
        "With -f it waits for the server to come back when that has ended, and ends with exit\n"
        "status 0 at an interrupt, or when nothing reads its output any more.\n"
        "\n"
        "Only users who may connect to the control socket can ask.\n"
        "\n"
        "Exit status: 0, 1 when no server answers, 64 when the command line is wrong.\n",
};
