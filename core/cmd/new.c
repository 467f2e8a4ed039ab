/* `pillion new [--c++] NAME [DIR]`: the files of a module that builds, passes its test and can be
 * served.
 *
 * Writes new files only: if one of them exists, nothing is written. The commands that are printed
 * at the end can be typed as they are. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/new_files.h"

#define NAME_SIZE_MAX 63 /* bytes of a module's name, by module/descriptor.c */
#define NAME_LETTERS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define PATH_LETTERS  NAME_LETTERS "/.,+-@=" /* need no quotes in a shell or in make */

enum { OPTION_CXX = 256 };

static const struct option_row options[] = {
    {OPTION_CXX, "c++", NULL, "the module is in C++, not in C"},
    {0, NULL, NULL, NULL},
};

/* What is to be written: values of the @WORDS@ in the templates, and which of them. */
struct words {
    const char *name;
    enum new_language language;
    char binary[PATH_MAX];           /* this executable */
    char include[PATH_MAX + 64];     /* "-I" and where <pillion/module.h> is beside it; or "" */
    char modules[PATH_MAX + 64];     /* where its modules are */
    char library[PATH_MAX * 2 + 64]; /* how libpillion-test is linked */
};

/* ---- where this executable's companions are ---- */

static bool exists(const char *folder, const char *path)
{
    char whole[PATH_MAX + 64];

    snprintf(whole, sizeof(whole), "%s/%s", folder, path);
    return access(whole, F_OK) == 0;
}

/* `size` bytes of `folder`, and `below` it. */
static void set_library(struct words *words, int size, const char *folder, const char *below)
{
    snprintf(words->library, sizeof(words->library), "-L%.*s%s -Wl,-rpath,%.*s%s -lpillion-test",
             size, folder, below, size, folder, below);
}

/* Looks in the folders above the executable: in a source tree it was built somewhere below the
 * root, and installed it is in PREFIX/bin. Paths that make or a shell would split are not used:
 * then pkg-config has to find the header. */
static void find_companions(struct words *words)
{
    char folder[PATH_MAX];

    snprintf(words->binary, sizeof(words->binary), "pillion");
    snprintf(words->modules, sizeof(words->modules), "modules");
    snprintf(words->library, sizeof(words->library), "-lpillion-test");
    ssize_t size = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    if (size <= 0)
        return;
    folder[size] = '\0';
    if (folder[strspn(folder, PATH_LETTERS)] != '\0')
        return;
    snprintf(words->binary, sizeof(words->binary), "%s", folder);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        *slash = '\0';
        if (exists(folder, "core/include/pillion/module.h")) {
            snprintf(words->include, sizeof(words->include), "-I%s/core/include", folder);
            snprintf(words->modules, sizeof(words->modules), "%.*s/modules",
                     (int)(strrchr(words->binary, '/') - words->binary), words->binary);
            set_library(words, (int)(strrchr(words->binary, '/') - words->binary), words->binary,
                        "");
            return;
        }
        if (exists(folder, "include/pillion/module.h")) {
            snprintf(words->include, sizeof(words->include), "-I%s/include", folder);
            snprintf(words->modules, sizeof(words->modules), "%s/lib/pillion/modules", folder);
            set_library(words, (int)strlen(folder), folder, "/lib");
            return;
        }
    }
}

/* ---- the files ---- */

/* Appends `template` with its words replaced. */
static void fill(struct text *out, const char *template, const struct words *words)
{
    const struct {
        const char *word, *value;
    } rows[] = {{"@NAME@", words->name},
                {"@PILLION@", words->binary},
                {"@INCLUDE@", words->include},
                {"@MODULES@", words->modules},
                {"@LIBRARY@", words->library}};

    while (*template != '\0') {
        size_t size = 1 + strcspn(template + 1, "@");
        struct bytes piece = {template, size};
        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
            size = strlen(rows[i].word);
            if (strncmp(template, rows[i].word, size) == 0) {
                piece = bytes_of(rows[i].value);
                break;
            }
            size = piece.size;
        }
        text_append(out, piece);
        template += size;
    }
}

/* The first of `file` and those after it that this module has; NULL after the last. */
static const struct new_file *file_of(const struct words *words, const struct new_file *file)
{
    while (file->path != NULL && file->language != NEW_ALWAYS && file->language != words->language)
        file++;
    return file->path == NULL ? NULL : file;
}

static char *file_path(const char *directory, const struct new_file *file,
                       const struct words *words)
{
    struct text path = {0};

    text_printf(&path, "%s/", directory);
    fill(&path, file->path, words);
    return text_take(&path);
}

/* Makes the directory and those above it. */
static bool make_directory(const char *path, struct error *error)
{
    char *copy = must_strdup(path);
    bool good = true;

    for (char *end = copy; good && *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char kept = *end;
        *end = '\0';
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            good = error_errno(error, "cannot make the directory %s", copy);
        *end = kept;
    }
    free(copy);
    return good;
}

static bool check_absent(const char *directory, const struct words *words, struct error *error)
{
    struct stat status;
    bool good = true;

    for (const struct new_file *file = new_files; good && (file = file_of(words, file)) != NULL;
         file++) {
        char *path = file_path(directory, file, words);
        if (lstat(path, &status) == 0)
            good = error_set(error,
                             "%s is there already, and nothing was written; give another "
                             "directory: pillion new %s DIR",
                             path, words->name);
        free(path);
    }
    return good;
}

static bool write_file(const char *path, const struct text *text, mode_t mode, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return error_errno(error, "cannot create %s", path);
    bool good = write(fd, text->data, text->size) == (ssize_t)text->size;
    if (close(fd) < 0 || !good)
        return error_errno(error, "cannot write %s", path);
    return true;
}

static bool write_files(const char *directory, const struct words *words, struct error *error)
{
    bool good = true;

    for (const struct new_file *file = new_files; good && (file = file_of(words, file)) != NULL;
         file++) {
        char *path = file_path(directory, file, words);
        struct text text = {0};
        fill(&text, file->text, words);
        good = write_file(path, &text, file->mode, error);
        if (good)
            printf("%-28s  %s\n", path, file->about);
        text_free(&text);
        free(path);
    }
    return good;
}

/* ---- the command ---- */

/* Appends `word` quoted as a shell needs it. */
static void append_quoted(struct text *out, const char *word)
{
    if (word[strspn(word, PATH_LETTERS)] == '\0') {
        text_append_string(out, word);
        return;
    }
    text_append_char(out, '\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            text_append_string(out, "'\\''");
        else
            text_append_char(out, *word);
    }
    text_append_char(out, '\'');
}

/* True when a shell finds this executable by its name alone. */
static bool found_by_name(const char *binary)
{
    const char *path = getenv("PATH");
    struct stat self, other;

    if (path == NULL || stat(binary, &self) < 0)
        return false;
    while (*path != '\0') {
        int size = (int)strcspn(path, ":");
        char *candidate = must_printf("%.*s/pillion", size, path);
        bool found = access(candidate, X_OK) == 0 && stat(candidate, &other) == 0;
        free(candidate);
        if (found)
            return self.st_dev == other.st_dev && self.st_ino == other.st_ino;
        path += size + (path[size] == ':' ? 1 : 0);
    }
    return false;
}

static void print_next(const char *directory, const struct words *words)
{
    struct text place = {0}, binary = {0};

    append_quoted(&place, directory);
    append_quoted(&binary, found_by_name(words->binary) ? "pillion" : words->binary);
    printf("\n"
           "Build it and try it:\n"
           "\n"
           "    cd %s\n"
           "    make test\n"
           "\n"
           "Serve it while you work on it; each save rebuilds and reloads it:\n"
           "\n"
           "    %s dev .\n"
           "\n"
           "and, in another terminal, call it:\n"
           "\n"
           "    %s call %s name=Ada\n",
           text_string(&place), text_string(&binary), text_string(&binary), words->name);
    text_free(&place);
    text_free(&binary);
}

static bool name_valid(const char *name)
{
    return name[0] != '\0' && strlen(name) <= NAME_SIZE_MAX &&
           name[strspn(name, NAME_LETTERS)] == '\0';
}

static int take_option(struct args *args, int id, void *language)
{
    (void)args;
    (void)id;
    *(enum new_language *)language = NEW_IN_CXX;
    return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct words words = {.language = NEW_IN_C};
    const char *operands[2];
    struct error error;

    int status = args_read(&args, take_option, &words.language, operands, 2);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    words.name = operands[0];
    const char *directory = operands[1];
    if (words.name == NULL)
        return command_misused(self, "which NAME?");
    if (!name_valid(words.name))
        return command_misused(self,
                               "a name has 1 to %d letters, digits and _, because it becomes a "
                               "part of C names; not \"%s\"",
                               NAME_SIZE_MAX, words.name);
    if (directory == NULL || directory[0] == '\0')
        directory = words.name;
    find_companions(&words);
    if (!check_absent(directory, &words, &error) || !make_directory(directory, &error) ||
        !write_files(directory, &words, &error))
        return command_failed(self, EXIT_FAILURE, "%s", error.text);
    print_next(directory, &words);
    return command_flush(self, EXIT_SUCCESS);
}

const struct command new_command = {
    .name = "new",
    .run = run,
    .usage = "[--c++] NAME [DIR]",
    .summary = "Writes the files of a new module, which builds and passes its test.",
    .options = options,
    .notes =
        "DIR is NAME below the current directory when it is left out. No file is overwritten.\n",
};
