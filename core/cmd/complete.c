/* `pillion complete SHELL LINE [BREAKS]`: what may stand at the cursor, for the scripts of
 * conf/completion. LINE is the command line up to there; BREAKS are the characters at which the
 * shell ends a word within a word, as bash does at "=".
 *
 * The first line of the answer is "words", "files PATTERN KEEP" or "directories * KEEP", where KEEP
 * is what stands before the file's name. The words follow, a line each, with a tab and a few words
 * about each; one that ends with a space is whole. Commands, options and operands come from the
 * table of commands and the usage of each, so that a new command needs nothing here. Whatever goes
 * wrong, nothing is said, and after a second the process ends: a person waits for it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/printable.h"
#include "cmd/command_table.h"
#include "cmd/commands.h"
#include "cmd/complete_ask.h"
#include "cmd/complete_line.h"
#include "conf/settings_table.h"
#include "process/signals.h"

#define LIMIT_MS 1000

struct completion {
    struct complete_line line;
    const struct command *command;
    struct complete_target target;
    const struct option_row *wants; /* the option whose value is at the cursor, or NULL */
    const char *operands[LINE_WORDS_MAX];
    size_t operand_count;
    bool operands_only; /* "--" stood */
    const char *value;  /* of an option, in the current word; otherwise all of that */
    const char *cut;    /* the part of the current word that the shell replaces */
    const char *kind;   /* of the answer's first line */
    struct text words;
};

/* ---- The answer ---- */

/* Offers a word that begins as what is at the cursor does. `whole`: a space follows it. */
static void offer(struct completion *at, const char *word, bool whole, const char *about)
{
    const char *begun = at->value;
    size_t kept = at->cut > begun ? (size_t)(at->cut - begun) : 0;
    int before = at->cut < begun ? (int)(begun - at->cut) : 0;

    if (strncmp(word, begun, strlen(begun)) != 0 || !complete_line_takes(word))
        return;
    text_printf(&at->words, "%.*s%s%s\t", before, at->cut, word + kept, whole ? " " : "");
    if (about != NULL)
        text_append_line(&at->words, bytes_of(about));
    text_append_char(&at->words, '\n');
}

/* The name of a file begins so many bytes behind what is at the cursor. */
static void offer_files(struct completion *at, const char *kind, const char *pattern, size_t behind)
{
    const char *from = at->value + behind;
    int keep = from > at->cut ? (int)(from - at->cut) : 0;

    text_printf(&at->words, "%s\t%s\t%.*s\n", kind, pattern, keep, at->cut);
    at->kind = kind;
}

/* ---- Options ---- */

static const struct option_row *find_row(const struct command *command, const char *name,
                                         size_t size)
{
    for (const struct option_row *row = command->options; row->id != 0; row++) {
        if (row->name != NULL && strlen(row->name) == size && memcmp(row->name, name, size) == 0)
            return row;
    }
    return NULL;
}

/* Notes an option that decides which server is asked. */
static void note(struct completion *at, const struct option_row *row, const char *value)
{
    struct args args = {.command = at->command, .value = value};

    if (row->id >= OPTION_PROTOCOL)
        dialect_option(&args, row->id, &at->target.dialect);
    else if (row->name != NULL && strcmp(row->name, "server") == 0)
        at->target.server = value;
    else if (row->name != NULL && strcmp(row->name, "members") == 0)
        at->target.members = value;
}

/* Reads "--name", "--name=value" or "-abc". */
static void read_option(struct completion *at, const char *word)
{
    const struct option_row *row = NULL;
    const char *value = NULL;

    if (word[1] == '-') {
        size_t size = strcspn(word + 2, "=");
        row = find_row(at->command, word + 2, size);
        value = word[2 + size] == '=' ? word + 3 + size : NULL;
    }
    for (const char *letter = word + 1; word[1] != '-' && row == NULL && *letter != '\0';
         letter++) {
        for (const struct option_row *r = at->command->options; r->id != 0; r++) {
            if (r->id == *letter && r->argument != NULL) {
                row = r;
                value = letter[1] == '\0' ? NULL : letter + 1;
            }
        }
    }
    if (row != NULL && row->argument != NULL && value == NULL)
        at->wants = row;
    else if (row != NULL)
        note(at, row, value);
}

static bool is_option(const struct completion *at, const char *word)
{
    return !at->operands_only && word[0] == '-' && word[1] != '\0';
}

static void offer_options(struct completion *at)
{
    struct text word = {0};

    for (const struct option_row *row = at->command->options; row->id != 0; row++) {
        text_clear(&word);
        if (row->name != NULL)
            text_printf(&word, "--%s", row->name);
        else
            text_printf(&word, "-%c", row->id);
        offer(at, text_string(&word), true, row->summary);
    }
    offer(at, "--help", true, "prints a summary of the command");
    text_free(&word);
}

/* ---- Values and operands, by how a usage calls them ---- */

static void offer_methods(struct completion *at)
{
    bool file = at->operand_count > 0;
    const cJSON *method;

    cJSON *methods =
        file ? complete_read_methods(at->operands[0]) : complete_ask_methods(&at->target);
    cJSON_ArrayForEach(method, methods)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(method, "name"));
        if (name != NULL)
            offer(at, name, true,
                  cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(method, "summary")));
    }
    cJSON_Delete(methods);
}

static bool is_type(const cJSON *schema, const char *type)
{
    const char *is = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(schema, "type"));
    return is != NULL && strcmp(is, type) == 0;
}

/* True when the command line has the param already. */
static bool is_given(const struct completion *at, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < at->operand_count; i++) {
        const char *behind = at->operands[i] + size;
        if (strncmp(at->operands[i], name, size) == 0 &&
            (behind[0] == '=' || (behind[0] == ':' && behind[1] == '=')))
            return true;
    }
    return false;
}

static void offer_value(struct completion *at, const char *name, const char *value,
                        const char *about)
{
    struct text word = {0};

    text_printf(&word, "%s=%s", name, value);
    offer(at, text_string(&word), true, about);
    text_free(&word);
}

/* "name=", or, once that stands there, what it may be. */
static void offer_param(struct completion *at, const cJSON *property)
{
    const char *name = property->string;
    bool list = is_type(property, "array");
    const cJSON *item = list ? cJSON_GetObjectItemCaseSensitive(property, "items") : property;
    const cJSON *about = cJSON_GetObjectItemCaseSensitive(property, "description"), *word;
    struct text param = {0};
    size_t size = strlen(name);

    if (strncmp(at->line.current, name, size) == 0 && at->line.current[size] == '=') {
        cJSON_ArrayForEach(word, cJSON_GetObjectItemCaseSensitive(item, "enum"))
        {
            if (cJSON_IsString(word))
                offer_value(at, name, word->valuestring, cJSON_GetStringValue(about));
        }
        for (int i = 0; is_type(item, "boolean") && i < 2; i++)
            offer_value(at, name, i == 0 ? "true" : "false", cJSON_GetStringValue(about));
    } else if (list || !is_given(at, name)) {
        text_printf(&param, "%s%s", name, is_type(item, "object") ? ":=" : "=");
        offer(at, text_string(&param), false, cJSON_GetStringValue(about));
    }
    text_free(&param);
}

/* `methods`: which operand the method is. */
static void offer_params(struct completion *at, size_t method)
{
    const cJSON *property;

    if (at->operand_count <= method)
        return;
    cJSON *schema = method == 0 ? complete_ask_params(&at->target, at->operands[0])
                                : complete_read_params(at->operands[0], at->operands[method]);
    cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
        offer_param(at, property);
    cJSON_Delete(schema);
}

static void offer_verbs(struct completion *at)
{
    const char *last = "";

    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        if (strcmp(row->verb, last) != 0)
            offer(at, row->verb, true, row->summary);
        last = row->verb;
    }
}

/* What an argument called so may be. */
static void offer_called(struct completion *at, const char *name)
{
    if (strstr(name, "FILE.so") != NULL)
        offer_files(at, "files", "*.so", 0);
    else if (strstr(name, "FILE") != NULL)
        offer_files(at, "files", "*", 0);
    else if (strncmp(name, "DIR", 3) == 0 || strcmp(name, "PREFIX") == 0)
        offer_files(at, "directories", "*", 0);
    else if (strcmp(name, "SIGNAL") == 0)
        offer_verbs(at);
    else if (strcmp(name, "ADDR") == 0 && strncmp(at->value, "unix:", 5) == 0)
        offer_files(at, "files", "*", 5);
}

static void offer_option_value(struct completion *at, const struct option_row *row,
                               const char *value)
{
    at->value = value;
    if (row->id != OPTION_PROTOCOL)
        offer_called(at, row->argument);
    for (unsigned i = 0; row->id == OPTION_PROTOCOL && i < PROTOCOLS; i++) {
        if (i != PROTOCOL_AUTO && i != PROTOCOL_AGENT)
            offer(at, protocols[i].name, true, NULL);
    }
}

/* ---- Operands ---- */

/* Takes the next operand off a usage: "METHOD", or "[PARAMS | @FILE | - | NAME=VALUE…]". Options,
 * in brackets too, are passed over. False at the end of the usage's first form. */
static bool next_operand(const char **usage, struct text *operand)
{
    const char *c = *usage;

    for (;;) {
        c += strspn(c, " ");
        size_t size = 0;
        int depth = 0;
        for (; c[size] != '\0' && c[size] != '\n' && (depth > 0 || c[size] != ' '); size++)
            depth += (c[size] == '[') - (c[size] == ']');
        if (size == 0)
            return false;
        bool option = c[0] == '-' || (c[0] == '[' && c[1] == '-' && c[2] != ' ');
        text_clear(operand);
        text_append(operand, (struct bytes){c, size});
        c += size;
        *usage = c;
        if (!option)
            return true;
    }
}

static void offer_operand(struct completion *at)
{
    const char *usage = at->command->usage;
    struct text operand = {0};
    size_t method = SIZE_MAX;

    /* The last one stands for those behind it when it ends with "…". */
    for (size_t i = 0; next_operand(&usage, &operand) && i < at->operand_count; i++) {
        if (strcmp(text_string(&operand), "METHOD") == 0)
            method = i;
    }
    const char *name = text_string(&operand);
    if (strcmp(name, "METHOD") == 0 && method == SIZE_MAX)
        offer_methods(at);
    else if (strstr(name, "@FILE") != NULL && at->line.current[0] == '@')
        offer_files(at, "files", "*", 1);
    else if (strstr(name, "NAME=VALUE") != NULL)
        offer_params(at, method);
    else if (strstr(name, "PARAMS") == NULL)
        offer_called(at, name[0] == '[' ? name + 1 : name);
    text_free(&operand);
}

/* ---- The line ---- */

static void read_words(struct completion *at)
{
    for (size_t i = at->command == &server_command ? 1 : 2; i < at->line.count; i++) {
        const char *word = at->line.words[i];
        if (at->wants != NULL) {
            note(at, at->wants, word);
            at->wants = NULL;
        } else if (!at->operands_only && strcmp(word, "--") == 0) {
            at->operands_only = true;
        } else if (is_option(at, word)) {
            read_option(at, word);
        } else {
            at->operands[at->operand_count++] = word;
        }
    }
}

static void offer_commands(struct completion *at)
{
    for (const struct command *const *c = all_commands; *c != NULL; c++)
        offer(at, (*c)->name, true, (*c)->summary);
}

static void complete(struct completion *at)
{
    const char *current = at->line.current, *value = strchr(current, '=');

    if (at->line.count > 1 && at->line.words[1][0] != '-')
        at->command = command_find(at->line.words[1]);
    if (at->command == NULL || at->line.count == 0)
        return;
    at->target.command = at->command;
    read_words(at);
    if (at->wants != NULL)
        offer_option_value(at, at->wants, current);
    else if (is_option(at, current) && current[1] == '-' && value != NULL) {
        const struct option_row *row =
            find_row(at->command, current + 2, (size_t)(value - current) - 2);
        if (row != NULL && row->argument != NULL)
            offer_option_value(at, row, value + 1);
    } else if (current[0] == '-' && !at->operands_only)
        offer_options(at);
    else if (at->command == &server_command && at->line.count == 1)
        offer_commands(at);
    else if (at->command != &server_command)
        offer_operand(at);
}

static void time_is_up(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

/* Whatever is asked may be silent, and whatever is said would be in the middle of a command line.
 */
static void keep_quiet(void)
{
    const struct itimerval limit = {.it_value = {.tv_sec = LIMIT_MS / 1000}};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0)
        dup2(null, STDERR_FILENO);
    signal(SIGALRM, time_is_up);
    setitimer(ITIMER_REAL, &limit, NULL);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct completion at = {.command = &server_command, .kind = "words"};

    if (argc < 3 || argc > 4)
        return command_misused(self, "a SHELL and a LINE are needed");
    keep_quiet();
    if (complete_line_split(&at.line, argv[2])) {
        at.cut = at.value = at.line.current;
        for (const char *c = at.cut; argc == 4 && *c != '\0'; c++)
            at.cut = strchr(argv[3], *c) != NULL ? c + 1 : at.cut;
        if (!at.line.quoted)
            complete(&at);
    }
    if (strcmp(at.kind, "words") == 0)
        printf("words\n");
    fwrite(text_string(&at.words), 1, at.words.size, stdout);
    text_free(&at.words);
    complete_line_free(&at.line);
    return command_flush(self, EXIT_SUCCESS);
}

static const struct option_row options[] = {{0, NULL, NULL, NULL}};

const struct command complete_command = {
    .name = "complete",
    .run = run,
    .usage = "SHELL LINE [BREAKS]",
    .summary = "Prints what a command line may be completed with, for the shells' scripts.",
    .options = options,
};
