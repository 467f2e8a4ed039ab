/* Filling manual pages from the tables. See manual.h. */
#include "cmd/manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command_table.h"
#include "cmd/commands.h"
#include "cmd/describe.h"
#include "cmd/mdoc.h"
#include "conf/settings_table.h"
#include "process/signals.h"

/* A page that is being filled. */
struct filling {
    struct text *out;
    const char *next; /* the rest of the page as it is written */
    const char *const *modules;
    struct error *error;
};

/* ---- Synopsis ---- */

static bool is_among(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A word of a usage: "--server", "ADDR", "COMMAND", "|". */
static void append_usage_word(struct text *out, struct bytes word)
{
    const char *macro =
        isupper((unsigned char)word.data[0]) || word.data[0] == '@' ? ".Ar " : ".Cm ";

    if (bytes_equal(word, BYTES("|")) || bytes_equal(word, BYTES("\xe2\x80\xa6"))) {
        text_append_string(out, word.size == 1 ? "|\n" : "\\&...\n");
        return;
    }
    if (word.data[0] == '-') {
        macro = ".Fl ";
        word = (struct bytes){word.data + 1, word.size - 1};
    }
    text_append_string(out, macro);
    if (word.size > 0)
        mdoc_argument(out, word);
    text_append_char(out, '\n');
}

static void append_usage_line(struct text *out, struct bytes line)
{
    for (size_t i = 0; i < line.size;) {
        size_t size = 0;
        if (is_among("[] ", line.data[i])) {
            text_append_string(out, line.data[i] == '['   ? ".Oo\n"
                                    : line.data[i] == ']' ? ".Oc\n"
                                                          : "");
            i++;
            continue;
        }
        while (i + size < line.size && !is_among("[] ", line.data[i + size]))
            size++;
        append_usage_word(out, (struct bytes){line.data + i, size});
        i += size;
    }
}

/* The summary as a phrase: "calls a method and prints its result". */
static void append_name(struct text *out, const struct command *command)
{
    struct text phrase = {0};
    size_t size = strlen(command->summary);

    text_append(&phrase,
                (struct bytes){command->summary, size - (command->summary[size - 1] == '.')});
    phrase.data[0] = (char)tolower((unsigned char)phrase.data[0]);
    text_printf(out, ".Nm pillion%s%s\n.Nd ", command->name[0] == '\0' ? "" : "-", command->name);
    mdoc_argument(out, (struct bytes){phrase.data, phrase.size});
    text_append_char(out, '\n');
    text_free(&phrase);
}

static void append_synopsis(struct text *out, const struct command *command)
{
    for (const char *line = command->usage; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        text_append_string(out, ".Nm pillion\n");
        if (command->name[0] != '\0')
            text_printf(out, ".Cm %s\n", command->name);
        append_usage_line(out, (struct bytes){line, size});
        line += size + (line[size] == '\n');
    }
}

/* ---- Options ---- */

static const struct option_row help_row = {'h', "help", NULL, "Prints a summary of the command"};

/* Appends a sentence that the table has without a capital letter and a full stop. */
static void append_sentence(struct text *out, struct bytes words)
{
    struct text sentence = {0};

    while (words.size > 0 && words.data[words.size - 1] == '\n')
        words.size--;
    if (words.size == 0)
        return;
    text_append(&sentence, words);
    sentence.data[0] = (char)toupper((unsigned char)words.data[0]);
    if (!is_among(".!?", words.data[words.size - 1]))
        text_append_char(&sentence, '.');
    mdoc_words(out, (struct bytes){sentence.data, sentence.size});
    text_free(&sentence);
}

static void append_option(struct text *out, const struct option_row *row)
{
    text_append_string(out, ".It");
    if (row->id < 256)
        text_printf(out, " Fl %c%s", row->id, row->name == NULL ? "" : " ,");
    if (row->name != NULL)
        text_printf(out, " Fl -%s", row->name);
    if (row->argument != NULL) {
        text_append_string(out, " Ar ");
        mdoc_argument(out, bytes_of(row->argument));
    }
    text_append_char(out, '\n');
    append_sentence(out, bytes_of(row->summary));
}

/* The next line of the page as it is written; false at its end. */
static bool take_line(struct filling *filling, struct bytes *line)
{
    size_t size = strcspn(filling->next, "\n");

    if (*filling->next == '\0')
        return false;
    *line = (struct bytes){filling->next, size};
    filling->next += size + (filling->next[size] == '\n');
    return true;
}

/* "connections" or "c" in front of a text: the row it is about, or NULL. */
static const struct option_row *find_option(const struct command *command, struct bytes name)
{
    for (const struct option_row *row = command->options; row->id != 0; row++) {
        bool letter = name.size == 1 && row->id < 256 && name.data[0] == (char)row->id;
        if (letter || (row->name != NULL && bytes_equal(bytes_of(row->name), name)))
            return row;
    }
    return NULL;
}

#define MARK ".\\\" @"

/* Reads what the page has to add to options: "@more NAME" and lines of text, up to "@end". */
static bool read_more(struct filling *filling, const struct command *command, struct text *more)
{
    const struct option_row *row = NULL;
    struct bytes line;

    while (take_line(filling, &line)) {
        const size_t size = strlen(MARK "more ");
        if (bytes_equal(line, BYTES(MARK "end")))
            return true;
        if (line.size > size && memcmp(line.data, MARK "more ", size) == 0) {
            const struct bytes name = {line.data + size, line.size - size};
            row = find_option(command, name);
            if (row == NULL)
                return error_set(filling->error, "\"pillion %s\" has no option \"%.*s\"",
                                 command->name, (int)name.size, name.data);
            continue;
        }
        if (row == NULL)
            return error_set(filling->error, "before \"" MARK "end\" stands: %.*s", (int)line.size,
                             line.data);
        text_append(&more[row - command->options], line);
        text_append_char(&more[row - command->options], '\n');
    }
    return error_set(filling->error, "\"" MARK "options\" is not ended by \"" MARK "end\"");
}

#define OPTIONS_MAX 64u

static bool append_options(struct filling *filling, const struct command *command)
{
    struct text more[OPTIONS_MAX] = {0};

    bool good = read_more(filling, command, more);
    text_append_string(filling->out, ".Bl -tag -width Ds\n");
    for (const struct option_row *row = command->options; row->id != 0; row++) {
        append_option(filling->out, row);
        text_append_string(filling->out, text_string(&more[row - command->options]));
    }
    append_option(filling->out, &help_row);
    text_append_string(filling->out, ".El\n");
    for (size_t i = 0; i < OPTIONS_MAX; i++)
        text_free(&more[i]);
    return good;
}

/* ---- Notes ---- */

#define EXIT_NOTE "Exit status: "

/* The paragraphs of the help's notes: those about the exit status, or the others. */
static bool append_notes(struct filling *filling, const struct command *command, bool exits)
{
    bool none = true;

    if (exits)
        text_append_string(filling->out, ".Sh EXIT STATUS\n");
    for (const char *notes = command->notes; notes != NULL;) {
        const char *end = strstr(notes, "\n\n");
        struct bytes words = {notes, end == NULL ? strlen(notes) : (size_t)(end - notes)};
        bool is_exit = strncmp(notes, EXIT_NOTE, strlen(EXIT_NOTE)) == 0;
        notes = end == NULL ? NULL : end + 2;
        if (is_exit != exits)
            continue;
        if (!exits || !none)
            text_append_string(filling->out, ".Pp\n");
        none = false;
        if (exits)
            words = (struct bytes){words.data + strlen(EXIT_NOTE), words.size - strlen(EXIT_NOTE)};
        append_sentence(filling->out, words);
    }
    if (exits && none)
        text_append_string(filling->out, ".Ex -std pillion\n");
    return true;
}

/* ---- Lists of pillion(8) ---- */

static void append_commands(struct text *out)
{
    text_append_string(out, ".Bl -tag -width Ds\n");
    for (const struct command *const *c = all_commands; *c != NULL; c++) {
        text_printf(out, ".It Xr pillion-%s 1\n", (*c)->name);
        append_sentence(out, bytes_of((*c)->summary));
    }
    text_append_string(out, ".El\n");
}

/* The first command by name behind `name`, or NULL. */
static const struct command *next_by_name(const char *name)
{
    const struct command *next = NULL;

    for (const struct command *const *c = all_commands; *c != NULL; c++) {
        if (strcmp((*c)->name, name) > 0 && (next == NULL || strcmp((*c)->name, next->name) < 0))
            next = *c;
    }
    return next;
}

/* ".Xr pillion-call 1 ," and so on, by name, without the page itself. */
static void append_others(struct text *out, const struct command *self)
{
    for (const struct command *c = next_by_name(""); c != NULL; c = next_by_name(c->name)) {
        if (c != self)
            text_printf(out, ".Xr pillion-%s 1 ,\n", c->name);
    }
}

static void append_signals(struct text *out)
{
    text_append_string(
        out, ".Bl -column \"SIGTERM\" \"upgrade\"\n.It Sy Signal Ta Sy Word Ta Sy Meaning\n");
    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        text_printf(out, ".It Dv SIG%s Ta %s Ta ", sigabbrev_np(row->number), row->verb);
        mdoc_argument(out, bytes_of(row->summary));
        text_append_char(out, '\n');
    }
    text_append_string(out, ".El\n");
}

/* ---- Directives of modules ---- */

static void append_directives(struct text *out, const pillion_directive *directive)
{
    text_append_string(out, ".Bl -tag -width Ds\n");
    for (; directive->name != NULL; directive++) {
        struct text takes = {0};
        describe_directive(&takes, directive);
        text_append_string(out, ".It Ic ");
        mdoc_argument(out, bytes_of(directive->name));
        text_append_string(out, "\n");
        append_sentence(out, bytes_of(text_string(&takes)));
        if (directive->summary != NULL)
            append_sentence(out, bytes_of(directive->summary));
        text_free(&takes);
    }
    text_append_string(out, ".El\n");
}

static void append_block(struct text *out, const char *block, const char *name,
                         const pillion_directive *directives)
{
    if (directives->name == NULL)
        return;
    text_printf(out, ".Pp\nIn the block of\n.Ql %s", block);
    if (name != NULL) {
        text_append_char(out, ' ');
        mdoc_argument(out, bytes_of(name));
    }
    text_append_string(out, " :\n");
    append_directives(out, directives);
}

static bool append_module(struct filling *filling, const char *path)
{
    struct text *out = filling->out;
    struct manifest manifest;

    if (!describe_read(path, &manifest, filling->error))
        return false;
    const pillion_module *module = &manifest.descriptor;
    text_printf(out, ".Ss The module %s\n", module->name == NULL ? "?" : module->name);
    append_sentence(out, bytes_of(module->summary == NULL ? "" : module->summary));
    append_block(out, "load_module", NULL, module->directives);
    for (const pillion_method *m = module->methods; m->name != NULL; m++)
        append_block(out, "method", m->name, m->directives);
    for (const pillion_filter *f = module->filters; f->name != NULL; f++) {
        text_append_string(out, ".Pp\n.Ic filter ");
        mdoc_argument(out, bytes_of(f->name));
        text_append_string(out, "\n");
        append_sentence(out, bytes_of(f->summary == NULL ? "" : f->summary));
        append_block(out, "filter", f->name, f->directives);
    }
    manifest_close(&manifest);
    return true;
}

static bool append_modules(struct filling *filling)
{
    bool good = true;

    for (const char *const *path = filling->modules; good && *path != NULL; path++)
        good = append_module(filling, *path);
    return good;
}

/* ---- The whole ---- */

static void append_configuration(struct text *out)
{
    struct text reference = {0};

    settings_reference(&reference);
    mdoc_markdown(out, text_string(&reference));
    text_free(&reference);
}

/* What a line asks for. */
static bool fill(struct filling *filling, struct bytes word, struct bytes name)
{
    const struct command *command = name.size == 0 ? &server_command : NULL;
    struct text *out = filling->out;

    for (const struct command *const *c = all_commands; *c != NULL; c++) {
        if (bytes_equal(bytes_of((*c)->name), name))
            command = *c;
    }
    if (command == NULL)
        return error_set(filling->error, "there is no command \"%.*s\"", (int)name.size, name.data);
    if (bytes_equal(word, BYTES("options")))
        return append_options(filling, command);
    if (bytes_equal(word, BYTES("notes")) || bytes_equal(word, BYTES("exit")))
        return append_notes(filling, command, word.data[0] == 'e');
    if (bytes_equal(word, BYTES("modules")))
        return append_modules(filling);
    if (bytes_equal(word, BYTES("name")))
        append_name(out, command);
    else if (bytes_equal(word, BYTES("synopsis")))
        append_synopsis(out, command);
    else if (bytes_equal(word, BYTES("summary")))
        append_sentence(out, bytes_of(command->summary));
    else if (bytes_equal(word, BYTES("commands")))
        append_commands(out);
    else if (bytes_equal(word, BYTES("others")))
        append_others(out, command);
    else if (bytes_equal(word, BYTES("signals")))
        append_signals(out);
    else if (bytes_equal(word, BYTES("configuration")))
        append_configuration(out);
    else
        return error_set(filling->error, "nothing is called \"%.*s\" here", (int)word.size,
                         word.data);
    return true;
}

bool manual_page(struct text *out, const char *written, const char *const *modules,
                 struct error *error)
{
    struct filling filling = {.out = out, .next = written, .modules = modules, .error = error};
    const size_t mark = strlen(MARK);
    struct bytes line;

    while (take_line(&filling, &line)) {
        if (line.size <= mark || memcmp(line.data, MARK, mark) != 0) {
            text_append(out, line);
            text_append_char(out, '\n');
            continue;
        }
        struct bytes word = {line.data + mark, line.size - mark}, name = {line.data, 0};
        const char *space = memchr(word.data, ' ', word.size);
        if (space != NULL) {
            name = (struct bytes){space + 1, word.size - (size_t)(space + 1 - word.data)};
            word.size = (size_t)(space - word.data);
        }
        if (!fill(&filling, word, name))
            return false;
    }
    return true;
}
