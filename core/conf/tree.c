/* The life of a parsed configuration: its sources and its memory. See tree.h.
 *
 * Files are read here and nowhere else in this layer, and only through sealed copies. */
#include "conf/tree.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sealed.h"

struct conf_tree *conf_tree_new(const char *prefix)
{
    struct conf_tree *tree = must_zalloc(sizeof(*tree));
    size_t size = strlen(prefix);

    while (size > 0 && prefix[size - 1] == '/')
        size--;
    tree->prefix = pool_must_strndup(&tree->pool, prefix, size);
    return tree;
}

const char *conf_tree_path(struct conf_tree *tree, const char *path)
{
    struct text full = {0};

    if (path[0] == '/')
        return pool_must_strdup(&tree->pool, path);
    text_printf(&full, "%s/%s", tree->prefix, path);
    const char *copy = pool_must_strndup(&tree->pool, full.data, full.size);
    text_free(&full);
    return copy;
}

static struct conf_source *add_source(struct conf_tree *tree, const char *name, struct bytes text)
{
    struct conf_source *source = pool_must_zalloc(&tree->pool, sizeof(*source));
    struct conf_source **tail = &tree->sources;

    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = source;
    source->name = pool_must_strdup(&tree->pool, name);
    source->text = text;
    source->fd = -1;
    return source;
}

static bool read_file(const char *path, int *fd, struct bytes *text, struct error *error)
{
    struct stat status;

    /* The size is checked before the file is copied: the path of a disk image, say, may be given by
     * mistake. */
    if (stat(path, &status) == 0 && status.st_size > (off_t)CONF_SOURCE_MAX)
        return error_set(error, "larger than 16 MiB: is this a configuration?");
    *fd = sealed_copy(path, error);
    if (*fd < 0)
        return false;
    if (sealed_map(*fd, text, error))
        return true;
    close(*fd);
    return false;
}

const struct conf_source *conf_tree_open(struct conf_tree *tree, const char *path, const char *name,
                                         struct error *error)
{
    struct bytes text = {0};
    int fd = -1;

    char *real = realpath(path, NULL);
    if (real == NULL) {
        error_errno(error, "cannot open");
        return NULL;
    }
    struct conf_source *source = tree->sources;
    while (source != NULL && (source->path == NULL || strcmp(source->path, real) != 0))
        source = source->next;
    if (source == NULL && read_file(real, &fd, &text, error)) {
        source = add_source(tree, name, text);
        source->path = pool_must_strdup(&tree->pool, real);
        source->asked = pool_must_strdup(&tree->pool, path);
        source->fd = fd;
    }
    free(real);
    return source;
}

const struct conf_source *conf_tree_keep(struct conf_tree *tree, const char *name,
                                         struct bytes text)
{
    text.data = text.size == 0 ? "" : pool_must_strndup(&tree->pool, text.data, text.size);
    return add_source(tree, name, text);
}

void conf_tree_dump(const struct conf_tree *tree, struct text *out)
{
    for (const struct conf_source *source = tree->sources; source != NULL; source = source->next) {
        text_printf(out, "%s# %s:\n", out->size == 0 ? "" : "\n", source->name);
        text_append(out, source->text);
        if (source->text.size > 0 && source->text.data[source->text.size - 1] != '\n')
            text_append_char(out, '\n');
    }
}

static void write_word(const char *word, struct text *out)
{
    text_append_char(out, '"');
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_append_char(out, '\\');
        text_append_char(out, *c);
    }
    text_append_string(out, "\" ");
}

static void write_statements(const struct conf_statement *first, bool found, struct text *out)
{
    for (const struct conf_statement *s = first; s != NULL; s = s->next) {
        if (s->found && !found)
            continue;
        write_word(s->name.text, out);
        for (size_t i = 0; i < s->word_count; i++)
            write_word(s->words[i].text, out);
        if (s->has_block) {
            text_append_string(out, "{\n");
            write_statements(s->block, found, out);
        }
        text_append_string(out, s->has_block ? "}\n" : ";\n");
    }
}

static void write_tree(const struct conf_tree *tree, bool overrides, bool found, struct text *out)
{
    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        struct conf_statement alone = *s;
        alone.next = NULL;
        if (s->overrides == overrides)
            write_statements(&alone, found, out);
    }
}

void conf_tree_write(const struct conf_tree *tree, bool overrides, struct text *out)
{
    write_tree(tree, overrides, true, out);
}

void conf_tree_write_given(const struct conf_tree *tree, bool overrides, struct text *out)
{
    write_tree(tree, overrides, false, out);
}

void conf_tree_free(struct conf_tree *tree)
{
    if (tree == NULL)
        return;
    for (struct conf_source *source = tree->sources; source != NULL; source = source->next) {
        if (source->fd < 0)
            continue;
        sealed_unmap(source->text);
        close(source->fd);
    }
    pool_free(&tree->pool);
    free(tree);
}
