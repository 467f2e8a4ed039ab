/* `pillion top`: the running server on a screen, as top(1) shows a machine.
 *
 * The master is asked for its counters over the control socket once in an interval; what happened
 * in between is the difference (cmd/sample.h). A server that goes away is waited for. This file has
 * the loop and the keys; cmd/top_view.h composes what is shown, cmd/screen.h puts it there. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "cmd/commands.h"
#include "cmd/prefix.h"
#include "cmd/pretty.h"
#include "cmd/question.h"
#include "cmd/screen.h"
#include "cmd/signal.h"
#include "cmd/top_json.h"
#include "cmd/top_view.h"
#include "master/control.h"

#define DELAY_LEAST 0.1
#define DELAY_MOST  3600.0
#define AWAY_NS     (500 * NS_PER_MS) /* between two looks for a server that is away */
#define LATE_NS     (2 * NS_PER_S)    /* beyond the interval, for an answer */
#define KEY_MS      60                /* until an ESC is a key of its own */
#define TYPED_MAX   64u

enum { OPTION_ONCE = 256, OPTION_JSON };

static const struct option_row options[] = {
    {'d', "delay", "SECONDS", "the interval, 1 by default; 0.1 at least"},
    {OPTION_ONCE, "once", NULL, "prints one frame as plain text, after one interval"},
    {OPTION_JSON, "json", NULL, "the same as a JSON object"},
    {'c', "conf", "FILE", "the server's configuration; a relative path starts at the prefix"},
    {'p', "prefix", "PREFIX", "the directory where its relative paths start"},
    {0, NULL, NULL, NULL},
};

/* What keys are for now. */
enum mode { MODE_KEYS, MODE_FILTER, MODE_DELAY, MODE_HELP };

struct top {
    const struct command *command;
    struct serve_options server;
    const char *prefix; /* as -p, or NULL */
    bool once, json;
    double delay_s;

    struct question question;
    struct sample *now;
    uint64_t ask_ns; /* when the server is asked next */
    char away[1024]; /* why it does not answer; "" while it does */

    struct top_view view;
    enum mode mode;
    char filter[TYPED_MAX], typed[TYPED_MAX], before[TYPED_MAX];
    char bottom[1280];
    bool paused, over;
    int status;
};

/* ---- The command line ---- */

static bool read_delay(const char *text, double *delay_s)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= DELAY_LEAST && value <= DELAY_MOST))
        return false;
    *delay_s = value;
    return true;
}

static int read_option(struct args *args, int id, void *data)
{
    struct top *top = data;

    switch (id) {
    case 'c':
        top->server.conf = args->value;
        break;
    case 'p':
        top->prefix = args->value;
        break;
    case 'd':
        if (!read_delay(args->value, &top->delay_s))
            return command_misused(args->command,
                                   "-d takes seconds from %.1f to %.0f, as in 0.5, and not \"%s\"",
                                   DELAY_LEAST, DELAY_MOST, args->value);
        break;
    case OPTION_JSON:
        top->json = true;
        break;
    default:
        top->once = true;
        break;
    }
    return 0;
}

/* By the variables of locale(7). */
static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);
        if (value == NULL || value[0] == '\0')
            continue;
        for (; *value != '\0'; value++) {
            if (strncasecmp(value, "UTF-8", 5) == 0 || strncasecmp(value, "UTF8", 4) == 0)
                return true;
        }
        return false;
    }
    return false;
}

/* ---- Asking ---- */

/* Waits until the server is there again: the next sample has none to be compared with. */
static void went_away(struct top *top, const char *why)
{
    snprintf(top->away, sizeof(top->away), "%s", why);
    top->ask_ns = clock_ns() + AWAY_NS;
}

static void ask(struct top *top)
{
    struct text path = {0}, errors = {0};
    struct error error;

    top->ask_ns = clock_ns() + (uint64_t)(top->delay_s * (double)NS_PER_S);
    signal_path(&top->server, &path, &errors); /* a reload may have moved it */
    if (!question_begin(&top->question, text_string(&path), CONTROL_STATS, &error))
        went_away(top, error.text);
    text_free(&path);
    text_free(&errors);
}

static void take_stats(struct top *top, const cJSON *stats)
{
    struct sample *sample = sample_new(stats, clock_ns());

    sample_compare(sample, top->now);
    if (sample->interval_s > 0)
        top_view_note(&top->view, sample);
    sample_free(top->now);
    top->now = sample;
    top->away[0] = '\0';
}

/* Looks at what has come of the answer. True when it is over. */
static bool answered(struct top *top)
{
    enum question_state state = question_look(&top->question);

    if (state == QUESTION_OPEN)
        return false;
    cJSON *stats =
        state == QUESTION_ANSWERED ? cJSON_Parse(text_string(&top->question.answer)) : NULL;
    if (stats != NULL) {
        take_stats(top, stats);
    } else if (state == QUESTION_REFUSED) {
        top->over = true;
        top->status = EXIT_FAILURE;
    } else {
        went_away(top, "the server went away before it answered");
    }
    cJSON_Delete(stats);
    return true;
}

/* ---- Plain text ---- */

/* A sample, asked for without a screen. NULL after a message. */
static struct sample *ask_plainly(const struct top *top)
{
    struct text shown = {0};
    struct sample *sample = NULL;

    if (signal_ask(top->command, &top->server, CONTROL_STATS, &shown)) {
        cJSON *stats = cJSON_Parse(text_string(&shown));
        if (stats != NULL)
            sample = sample_new(stats, clock_ns());
        else
            command_failed(top->command, EXIT_FAILURE, "the server's answer is no JSON");
        cJSON_Delete(stats);
    }
    text_free(&shown);
    return sample;
}

static void pause_for(double seconds)
{
    uint64_t end = clock_ns() + (uint64_t)(seconds * (double)NS_PER_S), now;

    while ((now = clock_ns()) < end)
        poll(NULL, 0, (int)((end - now) / NS_PER_MS) + 1);
}

/* What happens in one interval. */
static int print_once(struct top *top)
{
    struct text out = {0};
    struct sample *before = ask_plainly(top);

    if (before == NULL)
        return EXIT_FAILURE;
    pause_for(top->delay_s);
    top->now = ask_plainly(top);
    if (top->now == NULL) {
        sample_free(before);
        return EXIT_FAILURE;
    }
    sample_compare(top->now, before);
    sample_free(before);
    top_view_note(&top->view, top->now);
    top->view.width = 80;
    top->view.rows = TOP_ALL;
    top->view.bottom = "";
    if (top->json)
        top_json_append(&out, top->now);
    else
        top_view_append(&out, &top->view, top->now);
    fwrite(text_string(&out), 1, out.size, stdout);
    text_free(&out);
    return command_flush(top->command, EXIT_SUCCESS);
}

/* ---- Frames ---- */

static const struct {
    const char *keys, *what;
} help[] = {
    {"q", "quits"},
    {"? h", "shows this; any key leads back"},
    {"< >", "sort the methods by the column to the left or to the right; it has a *"},
    {"up down", "scroll the methods; so do Page Up, Page Down, Home and End"},
    {"/", "shows only methods whose names hold what is typed; Enter keeps that, Esc does not"},
    {"1", "shows all workers, none, or some again"},
    {"d", "sets the interval"},
    {"p", "pauses, and goes on"},
};

static void append_help(struct text *out, const struct top_view *view)
{
    int rows = view->rows;

    for (size_t i = 0; i < sizeof(help) / sizeof(*help) && rows-- > 0; i++) {
        struct text line = {0};
        text_printf(&line, "%-9s %s", help[i].keys, help[i].what);
        top_view_line(out, view, "", text_string(&line));
        text_free(&line);
    }
}

/* The last line. */
static void set_bottom(struct top *top)
{
    size_t size = sizeof(top->bottom);
    bool late = top->question.fd >= 0 && clock_ns() > top->ask_ns + LATE_NS;

    top->view.alarm = top->mode == MODE_KEYS && (top->away[0] != '\0' || late || top->paused);
    if (top->mode == MODE_FILTER)
        snprintf(top->bottom, size, "methods that hold: %s_", top->typed);
    else if (top->mode == MODE_DELAY)
        snprintf(top->bottom, size, "interval in seconds, from %.1f (now %g): %s_", DELAY_LEAST,
                 top->delay_s, top->typed);
    else if (top->away[0] != '\0')
        snprintf(top->bottom, size, "AWAY: %s; waiting for it to come back", top->away);
    else if (late)
        snprintf(top->bottom, size, "LATE: the server has been asked, and does not answer");
    else if (top->paused)
        snprintf(top->bottom, size, "PAUSED: p goes on");
    else
        snprintf(top->bottom, size, "q quits  ? helps  every %g s  by %s%s%s", top->delay_s,
                 top_view_sorted_by(&top->view), top->filter[0] == '\0' ? "" : "  /", top->filter);
    top->view.bottom = top->bottom;
}

static void draw(struct top *top)
{
    struct text frame = {0};

    screen_size(&top->view.width, &top->view.rows);
    top->view.filter = top->filter;
    set_bottom(top);
    if (top->mode == MODE_HELP)
        append_help(&frame, &top->view);
    else
        top_view_append(&frame, &top->view, top->now);
    screen_draw(&frame);
    text_free(&frame);
}

/* ---- Keys ---- */

static void scroll(struct top_view *view, int key)
{
    size_t page = view->page > 0 ? view->page : 1;
    size_t back = key == KEY_UP ? 1 : key == KEY_PAGE_UP ? page : SIZE_MAX;

    if (key == KEY_DOWN)
        view->scroll++;
    else if (key == KEY_PAGE_DOWN)
        view->scroll += page;
    else if (key == KEY_END)
        view->scroll = SIZE_MAX / 2;
    else
        view->scroll -= view->scroll < back ? view->scroll : back;
}

static void begin_typing(struct top *top, enum mode mode)
{
    top->mode = mode;
    snprintf(top->before, sizeof(top->before), "%s", top->filter);
    snprintf(top->typed, sizeof(top->typed), "%s", mode == MODE_FILTER ? top->filter : "");
}

static void command_key(struct top *top, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        top->over = true;
        break;
    case '?':
    case 'h':
        top->mode = MODE_HELP;
        break;
    case '<':
    case KEY_LEFT:
    case '>':
    case KEY_RIGHT:
        top_view_sort(&top->view, key == '>' || key == KEY_RIGHT);
        break;
    case '1':
        top->view.workers = (top->view.workers + 1) % (TOP_WORKERS_NONE + 1);
        break;
    case 'd':
        begin_typing(top, MODE_DELAY);
        break;
    case '/':
        begin_typing(top, MODE_FILTER);
        break;
    case 'p':
        top->paused = !top->paused;
        top->ask_ns = clock_ns();
        break;
    case KEY_UP:
    case KEY_DOWN:
    case KEY_PAGE_UP:
    case KEY_PAGE_DOWN:
    case KEY_HOME:
    case KEY_END:
        scroll(&top->view, key);
        break;
    default:
        break;
    }
}

/* A line that is being typed. */
static void typing_key(struct top *top, int key)
{
    size_t size = strlen(top->typed);
    bool filter = top->mode == MODE_FILTER;

    if (key == KEY_ESCAPE || key == KEY_ENTER) {
        if (key == KEY_ENTER && !filter && !read_delay(top->typed, &top->delay_s))
            return; /* the line says from where on it may be */
        if (key == KEY_ESCAPE)
            snprintf(top->filter, sizeof(top->filter), "%s", top->before);
        top->mode = MODE_KEYS;
        top->ask_ns = clock_ns();
        return;
    }
    if (key == KEY_ERASE && size > 0)
        top->typed[size - 1] = '\0';
    else if (key >= ' ' && key < KEY_ERASE && size + 1 < sizeof(top->typed))
        snprintf(top->typed + size, sizeof(top->typed) - size, "%c", key);
    if (filter)
        snprintf(top->filter, sizeof(top->filter), "%s", top->typed);
}

/* True when there were any. */
static bool take_keys(struct top *top)
{
    bool ended, any = false;
    int key;

    while ((key = screen_key(&ended)) != KEY_NONE && !top->over) {
        any = true;
        if (top->mode == MODE_HELP)
            top->mode = MODE_KEYS;
        else if (top->mode == MODE_KEYS)
            command_key(top, key);
        else
            typing_key(top, key);
    }
    top->over = top->over || ended;
    return any;
}

/* ---- The loop ---- */

static void take_signals(struct top *top, int signals)
{
    struct signalfd_siginfo info;
    struct error error;

    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTSTP) {
            screen_stop();
        } else if (info.ssi_signo == SIGCONT) { /* a shell may have had the terminal meanwhile */
            screen_close();
            screen_open(&error);
        } else if (info.ssi_signo != SIGWINCH) {
            top->over = true;
        }
    }
}

/* Milliseconds to wait for at most, as poll(2) takes them. */
static int time_left(const struct top *top)
{
    uint64_t now = clock_ns(), until = top->ask_ns;

    if (screen_waits())
        return KEY_MS;
    if (top->question.fd >= 0)
        until += LATE_NS;
    else if (top->paused)
        return -1;
    return until <= now ? top->question.fd >= 0 ? -1 : 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static void watch(struct top *top, int signals)
{
    while (!top->over) {
        if (!top->paused && top->question.fd < 0 && clock_ns() >= top->ask_ns)
            ask(top);
        draw(top);
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = signals, .events = POLLIN},
                               {.fd = top->question.fd, .events = POLLIN}};
        bool changed = false;
        while (!changed && !top->over) {
            fds[2].fd = top->question.fd;
            int ready = poll(fds, 3, time_left(top));
            if (ready < 0 && errno != EINTR)
                top->over = true;
            changed = ready == 0 && !screen_waits();
            if (ready > 0 && fds[1].revents != 0) {
                take_signals(top, signals);
                changed = true;
            }
            if (ready > 0 && top->question.fd >= 0 && fds[2].revents != 0)
                changed = answered(top) || changed;
            changed = take_keys(top) || changed;
        }
    }
}

static int show(struct top *top)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    struct error error;
    sigset_t set;

    top->now = ask_plainly(top);
    if (top->now == NULL)
        return EXIT_FAILURE;
    top->ask_ns = clock_ns() + (uint64_t)(top->delay_s * (double)NS_PER_S);
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return command_failed_errno(top->command, EXIT_FAILURE, "cannot receive signals");
    if (!screen_open(&error))
        return command_failed(top->command, EXIT_FAILURE, "%s", error.text);
    watch(top, signals);
    screen_close();
    close(signals);
    if (top->status != EXIT_SUCCESS)
        command_failed(top->command, top->status,
                       "the server is of a version that does not show \"%s\"", CONTROL_STATS);
    return top->status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct top top = {.command = self,
                      .delay_s = 1,
                      .question.fd = -1,
                      .view = {.sort = 1, .filter = "", .bottom = "", .utf8 = is_utf8()}};
    char prefix[PATH_MAX];

    int status = args_read(&args, read_option, &top, NULL, 0);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    if (!prefix_find(self, top.prefix, prefix))
        return EXIT_FAILURE;
    top.server.prefix = prefix;
    if (top.server.conf == NULL)
        top.server.conf = prefix_conf(prefix);
    if (top.once || top.json || !screen_is_possible()) {
        status = print_once(&top);
    } else {
        top.view.styled = true;
        top.view.colours = pretty_wants_colour();
        status = show(&top);
    }
    question_end(&top.question);
    sample_free(top.now);
    return status;
}

const struct command top_command = {
    .name = "top",
    .run = run,
    .usage = "[-d SECONDS] [--once] [--json] [-c FILE] [-p PREFIX]",
    .summary = "Shows the running server on a screen, as top(1) shows a machine.",
    .options = options,
    .notes =
        "Sums with their last values come first, then a row for each worker process, then one\n"
        "for each method. Rates, errors, P50 and P99 are those of the last interval; P50 and\n"
        "P99 are upper limits. FOR is how long a worker has been in its state, AGE how long ago\n"
        "it was started, CPU the processor time that it takes, LAG how long its event loop took\n"
        "to answer the master's last question, MEMORY what it has in RAM that no other process\n"
        "shares. UNDER is how many requests are under way. A method that has ended its workers\n"
        "again and again is quarantined until the next reload.\n"
        "\n"
        "Keys: q quits; ? and h show the keys; < and > choose the column to sort by; the arrow\n"
        "keys, Page Up, Page Down, Home and End scroll the methods; / shows only methods whose\n"
        "names hold what is typed; 1 shows all workers, none, or some again; d sets the\n"
        "interval; p pauses.\n"
        "\n"
        "Where standard input or output is no terminal, it does what --once does. It waits for\n"
        "a server that has ended, or is replaced, to come back. Colours are left out where\n"
        "NO_COLOR is set, and sparklines are ASCII where the locale (LC_ALL, LC_CTYPE, LANG)\n"
        "is not UTF-8.\n"
        "\n"
        "Only users who may connect to the control socket can ask.\n"
        "\n"
        "Exit status: 0 when it is ended by a key or a signal, 1 when no server answers at the\n"
        "start, 64 when the command line is wrong.\n",
};
