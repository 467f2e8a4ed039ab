/* The configuration: any text is parsed, applied and dumped, and every error shows its place.
 *
 * Whatever the text says, no file outside a small directory made for the run is read: a text that
 * names `include` and holds a slash is passed over. That directory has files which include each
 * other, so that includes, patterns and cycles are reached. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/parser.h"
#include "conf/settings_table.h"

static char directory[] = "/tmp/pillion-fuzz-conf-XXXXXX";

static const struct {
    const char *name, *contents;
} files[] = {
    {"a", "pid x; include b;"},           {"b", "server { listen 1; include c*; }"},
    {"c1", "method one { timeout 1s; }"}, {"c2", "method two; } {"},
    {"loop", "daemon on; include loop;"},
};

#define FILE_COUNT (sizeof(files) / sizeof(*files))

static void remove_directory(void)
{
    char path[100];

    for (size_t i = 0; i < FILE_COUNT; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, files[i].name);
        unlink(path);
    }
    rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[100];

    (void)argc;
    (void)argv;
    if (mkdtemp(directory) == NULL)
        abort();
    atexit(remove_directory);
    for (size_t i = 0; i < FILE_COUNT; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, files[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        size_t length = strlen(files[i].contents);
        if (fd < 0 || write(fd, files[i].contents, length) != (ssize_t)length)
            abort();
        close(fd);
    }
    return 0;
}

/* Backslashes do not count: `incl\ude` is `include` as well. */
static bool may_leave_directory(const uint8_t *data, size_t size)
{
    static const char word[] = "include";
    size_t matched = 0;
    bool names = false, slash = false;

    for (size_t i = 0; i < size; i++) {
        char c = (char)data[i];
        slash = slash || c == '/';
        if (c == '\\')
            continue;
        matched = c == word[matched] ? matched + 1 : c == word[0];
        if (word[matched] == '\0') {
            names = true;
            matched = 0;
        }
    }
    return names && slash;
}

/* What is promised of a tree: every place lies in its source, and no block is without statements'
 * names. */
static void check_statements(const struct conf_statement *statement)
{
    for (; statement != NULL; statement = statement->next) {
        for (size_t i = 0; i <= statement->word_count; i++) {
            const struct conf_word *word = i == 0 ? &statement->name : &statement->words[i - 1];
            const struct conf_place *place = &word->place;
            if (word->text == NULL || place->size == 0 || place->line == 0 || place->column == 0 ||
                place->offset + place->size > place->source->text.size)
                abort();
        }
        if (statement->block != NULL && !statement->has_block)
            abort();
        check_statements(statement->block);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_errors errors = {0};
    struct settings settings;
    struct text dump = {0};

    /* The first byte decides how much of the text is the file's and how much the command line's. */
    if (size == 0 || may_leave_directory(data, size))
        return -1;
    size_t first = (size - 1) * data[0] / 255;
    struct bytes file = {(const char *)data + 1, first};
    struct bytes line = {(const char *)data + 1 + first, size - 1 - first};

    struct conf_tree *tree = conf_tree_new(directory);
    conf_tree_add_text(tree, "fuzz.conf", file, false, &errors);
    conf_tree_add_text(tree, "-g", line, true, &errors);
    bool good = settings_read(tree, &settings, &errors);
    check_statements(tree->statements);
    if (good && (settings.worker_processes < 1 || settings.log.path == NULL ||
                 settings.pid[0] != '/' || (settings.servers == NULL && !tree->damaged)))
        abort();
    if ((errors.count > 0) != (errors.text.size > 0) || (tree->damaged && errors.count == 0))
        abort();
    conf_tree_dump(tree, &dump);
    text_free(&dump);
    conf_tree_free(tree);
    conf_errors_free(&errors);
    return 0;
}
