/* Reading options, printing help. See command.h.
 *
 * Not getopt_long(3): its messages cannot suggest, and its state is global. */
#include "cmd/command.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/suggest.h"

#define HELP_COLUMN 22
#define HELP_WIDTH  79
#define SPACE       " \n"

/* ---- help ---- */

/* Columns of `size` bytes of UTF-8. */
static int columns(const char *text, size_t size)
{
    int count = 0;

    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* The size of the word that `text` begins with. Text in brackets counts as one word: "[--server
 * ADDR]". */
static size_t word_size(const char *text)
{
    size_t size = 0;

    for (int depth = 0; text[size] != '\0' && (depth > 0 || strchr(SPACE, text[size]) == NULL);
         size++)
        depth += (text[size] == '[') - (text[size] == ']');
    return size;
}

/* Prints the words of `text`, which begin in column `column`, in lines of HELP_WIDTH at most; those
 * after the first begin in column `indent`. */
static void print_wrapped(FILE *to, const char *text, int column, int indent)
{
    int start = column;

    for (text += strspn(text, SPACE); *text != '\0'; text += strspn(text, SPACE)) {
        size_t size = word_size(text);
        int width = columns(text, size);
        if (column > start && column + 1 + width > HELP_WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            start = column = indent;
        }
        fprintf(to, "%s%.*s", column > start ? " " : "", (int)size, text);
        column += width + (column > start);
        text += size;
    }
    fputc('\n', to);
}

static void print_usage(const struct command *command, FILE *to)
{
    const char *line = command->usage;
    const char *lead = "usage: ";

    for (;;) {
        struct text form = {0};
        size_t size = strcspn(line, "\n");
        int column =
            fprintf(to, "%spillion%s%s ", lead, command->name[0] == '\0' ? "" : " ", command->name);
        text_append(&form, (struct bytes){line, size});
        print_wrapped(to, text_string(&form), column, column);
        text_free(&form);
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
    command_print_row(to, text_string(&words), row->summary);
    text_free(&words);
}

void command_print_row(FILE *to, const char *left, const char *right)
{
    int width = columns(left, strlen(left));
    bool fits = width + 2 <= HELP_COLUMN;

    if (fits)
        fprintf(to, "  %s%*s", left, HELP_COLUMN - width, "");
    else
        fprintf(to, "  %s\n%*s", left, HELP_COLUMN + 2, "");
    print_wrapped(to, right, HELP_COLUMN + 2, HELP_COLUMN + 2);
}

static void print_help(const struct command *command)
{
    static const struct option_row help = {'h', "help", NULL, "prints this"};

    print_wrapped(stdout, command->summary, 0, 0);
    fputc('\n', stdout);
    print_usage(command, stdout);
    printf("\n");
    for (const struct option_row *row = command->options; row->id != 0; row++)
        print_option(row, stdout);
    print_option(&help, stdout);
    for (const char *notes = command->notes; notes != NULL;) {
        const char *end = strstr(notes, "\n\n");
        struct text paragraph = {0};
        text_append(&paragraph,
                    (struct bytes){notes, end == NULL ? strlen(notes) : (size_t)(end - notes)});
        fputc('\n', stdout);
        print_wrapped(stdout, text_string(&paragraph), 0, 0);
        text_free(&paragraph);
        notes = end == NULL ? NULL : end + 2;
    }
}

/* ---- messages ---- */

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

int command_failed_errno(const struct command *command, int status, const char *format, ...)
{
    struct error error;
    va_list args;

    va_start(args, format);
    error_errno_v(&error, format, args);
    va_end(args);
    return command_failed(command, status, "%s", error.text);
}

int command_flush(const struct command *command, int status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    return command_failed_errno(command, EXIT_FAILURE, "cannot write to standard output");
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
    command_misused(args->command, "unknown option %s; -h explains the known ones", shown);
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
                    suggest.nearest == NULL ? "-h explains the known ones" : "did you mean --",
                    suggest.nearest == NULL ? "" : suggest.nearest,
                    suggest.nearest == NULL ? "" : "?");
    return ARGS_ERROR;
}

int args_next(struct args *args)
{
    if (args->cluster != NULL)
        return read_letter(args);
    if (args->next >= args->argc || args->operands_only)
        return ARGS_END;
    const char *word = args->argv[args->next];
    if (word[0] != '-' || word[1] == '\0' || isdigit((unsigned char)word[1]))
        return ARGS_END;
    args->next++;
    if (strcmp(word, "--") == 0) {
        args->operands_only = true;
        return ARGS_END;
    }
    if (word[1] == '-')
        return read_name(args, word + 2);
    args->cluster = word + 1;
    return read_letter(args);
}

const char *args_operand(struct args *args)
{
    return args->next < args->argc ? args->argv[args->next++] : NULL;
}

int args_read(struct args *args, args_option *option, void *data, const char **operands,
              size_t most)
{
    size_t count = 0;
    int id, status;

    for (size_t i = 0; i < most; i++)
        operands[i] = NULL;
    for (;;) {
        while ((id = args_next(args)) > 0) {
            status = option(args, id, data);
            if (status != 0)
                return status;
        }
        if (id != ARGS_END)
            return id == ARGS_HELP ? id : EXIT_USAGE;
        const char *operand = args_operand(args);
        if (operand == NULL)
            return 0;
        if (count == most)
            return command_misused(args->command, "\"%s\" is one too many%s", operand,
                                   most > 1 ? "; PARAMS is one argument: quote it" : "");
        operands[count++] = operand;
    }
}
