/* What a generation's modules need. See sandbox_plan.h. */
#include "process/sandbox_plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sealed.h"
#include "conf/needs.h"
#include "module/descriptor.h"
#include "module/manifest.h"
#include "process/core_dump.h"
#include "process/sandbox_calls.h"
#include "process/sandbox_files.h"
#include "tls/tls.h"

/* ---- Paths ---- */

static void add(struct sandbox_plan *plan, const char *path, unsigned access)
{
    if (plan->path_count % 64 == 0)
        plan->paths = must_realloc(plan->paths, (plan->path_count + 64) * sizeof(*plan->paths));
    plan->paths[plan->path_count++] = (struct sandbox_path){path, access};
}

/* The folder of a file, because files are made anew under their names: logs that were moved away,
 * certificates. The file itself where that would be the root. */
static void add_beside(struct sandbox_plan *plan, const char *path, unsigned access)
{
    struct stat status;
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        add(plan, path, access);
    else
        add(plan, pool_must_strndup(&plan->pool, path, (size_t)(slash - path)), access);
}

/* What every process reads: libraries, time zones, locales, and the kernel's word on itself. Other
 * processes' secrets in /proc are theirs that may be traced, which Landlock forbids. */
static void add_system(struct sandbox_plan *plan)
{
    char tls[PATH_MAX + 64];

    static const char *const read[] = {"/usr",
                                       "/lib",
                                       "/lib32",
                                       "/lib64",
                                       "/libx32",
                                       "/proc",
                                       "/sys/devices/system",
                                       "/sys/kernel/mm/transparent_hugepage",
                                       "/etc/ld.so.cache",
                                       "/etc/ld.so.preload",
                                       "/etc/localtime",
                                       "/etc/timezone",
                                       "/etc/locale.alias",
                                       "/etc/nsswitch.conf",
                                       "/dev/random",
                                       "/dev/urandom"};
    static const char *const network[] = {"/etc/resolv.conf", "/run/systemd/resolve",
                                          "/run/resolvconf",  "/etc/hosts",
                                          "/etc/host.conf",   "/etc/gai.conf",
                                          "/etc/services",    "/etc/protocols",
                                          "/etc/networks",    "/etc/ssl",
                                          "/etc/pki",         "/etc/ca-certificates",
                                          "/etc/gnutls",      "/etc/crypto-policies"};
    static const char *const run[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"};
    static const char *const written[] = {"/dev/null", "/dev/zero", "/dev/full"};

    for (size_t i = 0; i < sizeof(read) / sizeof(*read); i++)
        add(plan, read[i], ACCESS_READ);
    for (size_t i = 0; i < sizeof(written) / sizeof(*written); i++)
        add(plan, written[i], ACCESS_READ | ACCESS_WRITE);
    for (size_t i = 0;
         (plan->needs & PILLION_NEEDS_NETWORK) != 0 && i < sizeof(network) / sizeof(*network); i++)
        add(plan, network[i], ACCESS_READ);
    if ((plan->needs & PILLION_NEEDS_NETWORK) != 0 && tls_find(tls, sizeof(tls)))
        add(plan, pool_must_strdup(&plan->pool, tls), ACCESS_READ);
    for (size_t i = 0;
         (plan->needs & PILLION_NEEDS_PROCESSES) != 0 && i < sizeof(run) / sizeof(*run); i++)
        add(plan, run[i], ACCESS_READ | ACCESS_RUN);
}

/* Adds the folders of a list that has colons between them, as libraries are looked for in. */
static void add_search(struct sandbox_plan *plan, const char *list, const char *origin)
{
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};

    while (list != NULL && *list != '\0') {
        size_t size = strcspn(list, ":"), skipped = 0;
        struct text path = {0};
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
            if (strncmp(list, names[i], strlen(names[i])) == 0)
                skipped = strlen(names[i]);
        }
        if (skipped > 0)
            text_append_string(&path, origin);
        if (size >= skipped)
            text_append(&path, (struct bytes){list + skipped, size - skipped});
        if (path.size > 1 && text_string(&path)[0] == '/')
            add(plan, pool_must_strdup(&plan->pool, text_string(&path)), ACCESS_READ);
        text_free(&path);
        list += size + (list[size] == ':');
    }
}

/* ---- Modules ---- */

/* Names of directives that are paths. */
struct names {
    const char **items;
    size_t count;
};

/* What modules may change, with what is beside it; and files that they have been given. */
struct named {
    struct names paths, files;
};

static void note_paths(struct sandbox_plan *plan, struct names *names, pillion_type type,
                       const pillion_directive *directives)
{
    for (const pillion_directive *d = directives; d->name != NULL; d++) {
        if (d->type != type)
            continue;
        if (names->count % 16 == 0)
            names->items = must_realloc(names->items, (names->count + 16) * sizeof(char *));
        names->items[names->count++] = pool_must_strdup(&plan->pool, d->name);
    }
}

static void note_all_paths(struct sandbox_plan *plan, struct names *names, pillion_type type,
                           const pillion_module *module)
{
    note_paths(plan, names, type, module->directives);
    for (const pillion_method *m = module->methods; m->name != NULL; m++)
        note_paths(plan, names, type, m->directives);
    for (const pillion_filter *f = module->filters; f->name != NULL; f++)
        note_paths(plan, names, type, f->directives);
}

/* Reads the module's descriptor. False when it cannot be known without running it, or not loaded
 * either, which the loader will say. */
static bool look(const struct module_file *file, struct manifest *manifest)
{
    struct error error;
    struct bytes bytes;
    int fd = file->fd >= 0 ? file->fd : sealed_copy(file->settings->path, &error);
    bool good = fd >= 0 && sealed_map(fd, &bytes, &error);

    if (good) {
        good = manifest_glance(bytes, manifest, &error);
        sealed_unmap(bytes);
    }
    if (fd >= 0 && file->fd < 0)
        close(fd);
    return good;
}

/* What the module may do: as the configuration says, or as it declares. */
static uint32_t needs_of(const struct settings *settings, const struct module_settings *module,
                         const struct manifest *manifest)
{
    if (module->needs_given)
        return module->needs;
    if (manifest != NULL && manifest->facts.abi_minor >= DECLARES_SINCE)
        return manifest->descriptor.needs & NEEDS_DECLARABLE;
    return settings->sandbox == SANDBOX_ON ? 0 : NEEDS_DECLARABLE | SANDBOX_ANY;
}

static void tell(struct sandbox_plan *plan, const struct module_settings *module, uint32_t needs)
{
    if (needs == 0)
        return;
    text_append_string(&plan->told, plan->told.size == 0 ? "" : ", ");
    if ((needs & SANDBOX_ANY) != 0)
        text_printf(&plan->told, "all that modules of before 1.%u may (%s)", DECLARES_SINCE,
                    module->label);
    else {
        needs_write(needs, " and ", &plan->told);
        text_printf(&plan->told, " (%s)", module->label);
    }
}

static void add_module(const struct generation *generation, const struct module_file *file,
                       struct sandbox_plan *plan, struct named *named)
{
    struct manifest manifest;
    const struct module_settings *settings = file->settings;
    bool known = look(file, &manifest);
    uint32_t needs = needs_of(generation->settings, settings, known ? &manifest : NULL);
    const char *slash = strrchr(settings->path, '/');
    const char *origin =
        pool_must_strndup(&plan->pool, settings->path, (size_t)(slash - settings->path));

    plan->needs |= needs;
    tell(plan, settings, needs);
    add_beside(plan, settings->path, ACCESS_READ);
    if (!known)
        return;
    add_search(plan, manifest.search, origin);
    if ((needs & PILLION_NEEDS_FILES) != 0)
        note_all_paths(plan, &named->paths, PILLION_PATH, &manifest.descriptor);
    note_all_paths(plan, &named->files, PILLION_FILE, &manifest.descriptor);
    manifest_close(&manifest);
}

/* ---- Their directives ---- */

static bool is_among(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0)
            return true;
    }
    return false;
}

/* A directive of another module that has the same name is taken for a path, too. */
static void add_block(const struct generation *generation, const struct conf_statement *block,
                      const struct named *named, struct sandbox_plan *plan)
{
    for (const struct conf_statement *s = block; s != NULL; s = s->next) {
        if (s->word_count != 1)
            continue;
        if (is_among(&named->paths, s->name.text))
            add_beside(plan, conf_tree_path(generation->tree, s->words[0].text),
                       ACCESS_READ | ACCESS_WRITE);
        else if (is_among(&named->files, s->name.text)) /* a library may want it by its name */
            add(plan, conf_tree_path(generation->tree, s->words[0].text), ACCESS_READ);
    }
}

static void add_filters(const struct generation *generation, const struct filter_settings *filters,
                        const struct named *named, struct sandbox_plan *plan)
{
    for (const struct filter_settings *f = filters; f != NULL; f = f->next)
        add_block(generation, f->block, named, plan);
}

static void add_blocks(const struct generation *generation, const struct named *named,
                       struct sandbox_plan *plan)
{
    const struct settings *settings = generation->settings;

    for (const struct module_settings *m = settings->modules; m != NULL; m = m->next)
        add_block(generation, m->block, named, plan);
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        add_filters(generation, s->filters, named, plan);
        for (const struct method_settings *m = s->methods; m != NULL; m = m->next) {
            add_filters(generation, m->filters, named, plan);
            add_block(generation, m->block, named, plan);
        }
    }
}

static void add_given(const struct generation *generation, const struct conf_list *paths,
                      unsigned access, struct sandbox_plan *plan)
{
    for (size_t i = 0; i < paths->count; i++)
        add(plan, conf_tree_path(generation->tree, paths->items[i]), access);
}

void sandbox_plan_make(const struct generation *generation, struct sandbox_plan *plan)
{
    const struct settings *settings = generation->settings;
    struct named named = {0};
    char folder[PATH_MAX];

    *plan = (struct sandbox_plan){0};
    for (size_t i = 0; i < generation->module_file_count; i++)
        add_module(generation, &generation->module_files[i], plan, &named);
    if (strncmp(settings->log.path, "syslog", 6) == 0)
        plan->needs |= SANDBOX_SYSLOG;
    add_system(plan);
    add_search(plan, getenv("LD_LIBRARY_PATH"), "");
    add_blocks(generation, &named, plan);
    if ((plan->needs & PILLION_NEEDS_FILES) != 0 && settings->working_directory != NULL)
        add(plan, settings->working_directory, ACCESS_READ | ACCESS_WRITE);
    if (core_dump_folder(folder))
        add(plan, pool_must_strdup(&plan->pool, folder), ACCESS_ADD);
    add_given(generation, &settings->sandbox_read, ACCESS_READ | ACCESS_RUN, plan);
    add_given(generation, &settings->sandbox_write, ACCESS_READ | ACCESS_WRITE, plan);
    plan->ports = must_zalloc((settings->sandbox_connect.count + 1) * sizeof(*plan->ports));
    for (size_t i = 0; i < settings->sandbox_connect.count; i++)
        plan->ports[plan->port_count++] =
            (uint16_t)strtoul(settings->sandbox_connect.items[i], NULL, 10);
    free(named.paths.items);
    free(named.files.items);
}

void sandbox_plan_network(struct sandbox_plan *plan)
{
    *plan = (struct sandbox_plan){.needs = PILLION_NEEDS_NETWORK};
    add_system(plan);
}

void sandbox_plan_free(struct sandbox_plan *plan)
{
    free(plan->paths);
    free(plan->ports);
    text_free(&plan->told);
    pool_free(&plan->pool);
}
