/* Reading files of directives early. See early_files.h.
 *
 * Which directives hold files is in the modules' descriptors, which are read without running
 * anything of the modules (module/manifest.h). */
#include "process/early_files.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/sealed.h"
#include "conf/file.h"
#include "module/manifest.h"

#define FILES_SINCE 6u /* the minor of the interface that brought PILLION_FILE */

/* Names of directives that hold files. A directive of another module that has the same name is
 * taken for one, too: it is read for nothing. */
struct names {
    char **items;
    size_t count;
};

static void note(struct names *names, const pillion_directive *directives)
{
    for (const pillion_directive *d = directives; d->name != NULL; d++) {
        if (d->type != PILLION_FILE)
            continue;
        if (names->count % 16 == 0)
            names->items = must_realloc(names->items, (names->count + 16) * sizeof(char *));
        char *copy = must_alloc(strlen(d->name) + 1);
        names->items[names->count++] = strcpy(copy, d->name);
    }
}

static void note_all(struct names *names, const pillion_module *module)
{
    note(names, module->directives);
    for (const pillion_method *m = module->methods; m->name != NULL; m++)
        note(names, m->directives);
    for (const pillion_filter *f = module->filters; f->name != NULL; f++)
        note(names, f->directives);
}

/* A module that cannot be read is told of by the loader. */
static void look(const struct module_file *file, struct names *names)
{
    struct manifest manifest;
    struct error error;
    struct bytes bytes;
    int fd = file->fd >= 0 ? file->fd : sealed_copy(file->settings->path, &error);

    if (fd >= 0 && sealed_map(fd, &bytes, &error)) {
        if (manifest_glance(bytes, &manifest, &error)) {
            if (manifest.facts.abi_minor >= FILES_SINCE)
                note_all(names, &manifest.descriptor);
            manifest_close(&manifest);
        }
        sealed_unmap(bytes);
    }
    if (fd >= 0 && file->fd < 0)
        close(fd);
}

static void read_block(const struct generation *generation, const struct conf_statement *block,
                       const struct names *names)
{
    for (const struct conf_statement *s = block; s != NULL; s = s->next) {
        for (size_t i = 0; i < names->count && s->word_count == 1; i++) {
            if (strcmp(names->items[i], s->name.text) == 0 && s->words[0].text[0] != '\0')
                conf_file_read(conf_tree_path(generation->tree, s->words[0].text));
        }
    }
}

static void read_filters(const struct generation *generation, const struct filter_settings *filters,
                         const struct names *names)
{
    for (const struct filter_settings *f = filters; f != NULL; f = f->next)
        read_block(generation, f->block, names);
}

/* The copy stays mapped: values of directives are in it. */
static void take(int fd)
{
    struct bytes copy;
    struct error error;

    if (fd >= 0 && sealed_is(fd) && sealed_map(fd, &copy, &error))
        conf_files_take(copy);
}

void early_files_keep(const struct generation *generation)
{
    struct error error;

    early_files_read(generation);
    if (generation->files < 0 || sealed_is(generation->files))
        return;
    struct bytes copy = conf_files_copy();
    if (!sealed_fill(generation->files, copy, &error))
        log_warn("each worker reads the files of directives by itself: %s", error.text);
    free((void *)(uintptr_t)copy.data);
}

void early_files_read(const struct generation *generation)
{
    const struct settings *settings = generation->settings;
    struct names names = {0};

    take(generation->files);
    for (size_t i = 0; i < generation->module_file_count; i++)
        look(&generation->module_files[i], &names);
    for (const struct module_settings *m = settings->modules; m != NULL && names.count > 0;
         m = m->next)
        read_block(generation, m->block, &names);
    for (const struct server_settings *s = settings->servers; s != NULL && names.count > 0;
         s = s->next) {
        read_filters(generation, s->filters, &names);
        for (const struct method_settings *m = s->methods; m != NULL; m = m->next) {
            read_filters(generation, m->filters, &names);
            read_block(generation, m->block, &names);
        }
    }
    for (size_t i = 0; i < names.count; i++)
        free(names.items[i]);
    free(names.items);
}
