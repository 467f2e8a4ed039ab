/* Reading options, printing help. See command.h.
 *
 * Not getopt_long(3): its messages cannot suggest, and its state is global. */
#include "cmd/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/printable.h"
#include "base/suggest.h"

#define HELP_COLUMN 22

/* ---- messages ---- */

static void print_usage(const struct command *command, FILE *to)
{
    const char *line = command->usage;
    const char *lead = "usage: ";

    for (;;) {
        int size = (int)strcspn(line, "\n");
        fprintf(to, "%spillion%s%s %.*s\n", lead, command->name[0] == '\0' ? "" : " ",
                command->name, size, line);
        if (line[size] == '\0')
            return;
        line += size + 1;
        lead = "       ";
    }
}

static void print_option(const struct option_row *row, FILE *to)
{
    struct text words = {0};

    if (row->id < 256)
        text_printf(&words, "-%c%s", row->id, row->name == NULL ? "" : ", ");
    if (row->name != NULL)
        text_printf(&words, "--%s", row->name);
    if (row->argument != NULL)
        text_printf(&words, " %s", row->argument);
    bool fits = words.size + 2 <= HELP_COLUMN;
    fprintf(to, "  %-*s%s%*s%s\n", fits ? HELP_COLUMN : 0, text_string(&words), fits ? "" : "\n  ",
            fits ? 0 : HELP_COLUMN, "", row->summary);
    text_free(&words);
}

static void print_help(const struct command *command)
{
    static const struct option_row help = {'h', "help", NULL, "prints this"};

    printf("%s\n\n", command->summary);
    print_usage(command, stdout);
    printf("\n");
    for (const struct option_row *row = command->options; row->id != 0; row++)
        print_option(row, stdout);
    print_option(&help, stdout);
    if (command->notes != NULL)
        printf("\n%s", command->notes);
}

static void print_message(const struct command *command, const char *format, va_list args)
{
    struct text text = {0};

    text_printf(&text, "pillion%s%s: ", command->name[0] == '\0' ? "" : " ", command->name);
    text_vprintf(&text, format, args);
    text_append_char(&text, '\n');
    printable_print(stderr, (struct bytes){text.data, text.size});
    text_free(&text);
}

int command_misused(const struct command *command, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message(command, format, args);
    va_end(args);
    print_usage(command, stderr);
    return EXIT_USAGE;
}

int command_failed(const struct command *command, int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message(command, format, args);
    va_end(args);
    return status;
}

int command_flush(const struct command *command, int status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    return command_failed(command, EXIT_FAILURE, "cannot write to standard output: %s",
                          strerror(errno));
}

/* ---- options ---- */

static int find_value(struct args *args, const struct option_row *row, const char *shown,
                      const char *attached)
{
    args->value = attached;
    if (row->argument == NULL || attached != NULL)
        return row->id;
    if (args->next >= args->argc) {
        command_misused(args->command, "%s needs %s", shown, row->argument);
        return ARGS_ERROR;
    }
    args->value = args->argv[args->next++];
    return row->id;
}

static int read_letter(struct args *args)
{
    char letter = *args->cluster++;
    char shown[3] = {'-', letter, '\0'};
    const char *rest = *args->cluster == '\0' ? NULL : args->cluster;

    args->cluster = rest;
    if (letter == 'h') {
        print_help(args->command);
        return ARGS_HELP;
    }
    for (const struct option_row *row = args->command->options; row->id != 0; row++) {
        if (row->id != letter)
            continue;
        if (row->argument != NULL)
            args->cluster = NULL;
        return find_value(args, row, shown, row->argument == NULL ? NULL : rest);
    }
    command_misused(args->command, "unknown option %s; -h explains those there are", shown);
    return ARGS_ERROR;
}

static int read_name(struct args *args, const char *word)
{
    const char *attached = strchr(word, '=');
    size_t size = strcspn(word, "=");
    char name[64] = "", shown[80];

    if (size < sizeof(name))
        memcpy(name, word, size);
    snprintf(shown, sizeof(shown), "--%s", name);
    if (strcmp(name, "help") == 0) {
        print_help(args->command);
        return ARGS_HELP;
    }
    struct suggest suggest = suggest_start(name);
    suggest_offer(&suggest, "help");
    for (const struct option_row *row = args->command->options; row->id != 0; row++) {
        if (row->name == NULL)
            continue;
        if (strcmp(row->name, name) != 0) {
            suggest_offer(&suggest, row->name);
            continue;
        }
        if (attached == NULL || row->argument != NULL)
            return find_value(args, row, shown, attached == NULL ? NULL : attached + 1);
        command_misused(args->command, "%s takes no value", shown);
        return ARGS_ERROR;
    }
    command_misused(args->command, "unknown option --%.*s; %s%s%s", (int)size, word,
                    suggest.nearest == NULL ? "-h explains those there are" : "did you mean --",
                    suggest.nearest == NULL ? "" : suggest.nearest,
                    suggest.nearest == NULL ? "" : "?");
    return ARGS_ERROR;
}

int args_next(struct args *args)
{
    if (args->cluster != NULL)
        return read_letter(args);
    if (args->next >= args->argc)
        return ARGS_END;
    const char *word = args->argv[args->next];
    if (word[0] != '-' || word[1] == '\0')
        return ARGS_END;
    args->next++;
    if (strcmp(word, "--") == 0)
        return ARGS_END;
    if (word[1] == '-')
        return read_name(args, word + 2);
    args->cluster = word + 1;
    return read_letter(args);
}

const char *args_operand(struct args *args)
{
    return args->next < args->argc ? args->argv[args->next++] : NULL;
}
