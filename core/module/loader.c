/* Loading modules. See loader.h. */
#include "module/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/sealed.h"
#include "module/descriptor.h"
#include "module/elf.h"
#include "module/method_schema.h"
#include "module/origin.h"
#include "rpc/metric.h"

static bool module_error(struct module_set *set, const struct module *module, const char *text)
{
    conf_error(set->errors, &module->settings->place, "%s: %s", module->settings->label, text);
    return false;
}

/* ---- Before any code runs ---- */

static bool inspect(const struct module_file *file, struct error *error)
{
    struct elf_facts facts;
    struct bytes bytes;
    int fd = file->fd >= 0 ? file->fd : sealed_copy(file->settings->path, error);

    if (fd < 0)
        return false;
    bool good = sealed_map(fd, &bytes, error);
    if (good) {
        good = elf_inspect(bytes, &facts, error);
        sealed_unmap(bytes);
    }
    if (file->fd < 0)
        close(fd);
    return good;
}

/* ---- dlopen ---- */

/* Writes the message with the module's label in place of the opened path, which may be
 * /proc/self/fd/N and would tell a person nothing. */
static void name_module(const char *path, const char *label, const char *message,
                        struct error *error)
{
    struct text text = {0};

    for (const char *at; (at = strstr(message, path)) != NULL; message = at + strlen(path)) {
        text_append(&text, (struct bytes){message, (size_t)(at - message)});
        text_append_string(&text, label);
    }
    text_append_string(&text, message);
    error_set(error, "%s", text_string(&text));
    text_free(&text);
}

/* Turns dlerror(3)'s message about the file that was opened as `path` into words that help. */
static void explain(const char *path, const char *label, const char *message, bool lacks_memory,
                    struct error *error)
{
    static const char undefined[] = "undefined symbol: ", version[] = ": version `";
    size_t size = strlen(path);

    if (strncmp(message, path, size) == 0 && strncmp(message + size, ": ", 2) == 0)
        message += size + 2;
    const char *symbol = strstr(message, undefined), *wanted = strstr(message, version);
    if (lacks_memory) {
        error_set(error, "cannot be loaded: out of memory (%s)", message);
    } else if (symbol != NULL) {
        symbol += strlen(undefined);
        error_set(error,
                  "needs \"%.*s\", which neither this server nor the libraries that it was linked "
                  "with provide; link it with the library (-l…), or correct the name",
                  (int)strcspn(symbol, " ,\t\n"), symbol);
    } else if (wanted != NULL && strstr(wanted, "' not found") != NULL) {
        const char *name = wanted + strlen(version);
        error_set(error,
                  "needs %.*s, which %.*s does not have; it was built on a newer system: build it "
                  "on this one, or bring this one up to date",
                  (int)strcspn(name, "'"), name, (int)(wanted - message), message);
    } else if (strstr(message, "cannot open shared object file") != NULL) {
        error_set(error, "%s; install the library that it was linked with", message);
    } else {
        name_module(path, label, message, error);
    }
}

/* Logs the module's file and address for a debugger: sealed copies have no path of their own. */
static void log_place(const struct module *module)
{
    struct link_map *map;

    if (dlinfo(module->handle, RTLD_DI_LINKMAP, &map) == 0)
        log_debug("loaded %s (%s %s) at %#lx", module->settings->path, module->instance.name,
                  module->instance.version, (unsigned long)map->l_addr);
}

/* Checks the schemas that the module declares. Those of modules that are older than their
 * enforcement are not all schemas. */
static bool check_schemas(struct module_set *set, const struct module *module)
{
    struct text advice = {0};
    struct error error;
    bool good =
        method_schemas_check(&module->descriptor, module->descriptor.abi_minor, &advice, &error) ||
        module_error(set, module, error.text);

    for (char *line = advice.data, *end; set->advises && line != NULL && *line != '\0';
         line = end + 1) {
        end = strchr(line, '\n');
        log_warn("%s: %.*s", module->settings->label, (int)(end - line), line);
    }
    text_free(&advice);
    return good;
}

/* Opens the module's file as `path`. NULL: see dlerror(3). */
static void *load(const char *path, int helper)
{
    char own[64];

    snprintf(own, sizeof(own), "/proc/self/fd/%d", helper);
    if (helper >= 0 && dlopen(own, RTLD_NOW | RTLD_LOCAL) == NULL)
        return NULL;
    return dlopen(path, RTLD_NOW | RTLD_LOCAL); /* is there already, after its helper */
}

static bool open_module(struct module_set *set, const struct module_file *file,
                        struct module *module)
{
    struct error error;
    char path[64];
    const char *opened = file->settings->path;

    if (file->fd >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
        opened = path;
    }
    int helper = -1;
    module_set_stage(set, module, "loading");
    if (file->fd >= 0 && !origin_helper(file->settings->path, file->fd, opened, &helper, &error))
        return module_error(set, module, error.text);
    errno = 0;
    module->handle = load(opened, helper);
    bool lacks_memory = module->handle == NULL && errno == ENOMEM;
    if (helper >= 0)
        close(helper);
    if (module->handle == NULL) {
        explain(opened, module->settings->label, dlerror(), lacks_memory, &error);
        return module_error(set, module, error.text);
    }
    const pillion_module *descriptor = dlsym(module->handle, "pillion_module_descriptor");
    if (descriptor == NULL)
        return module_error(set, module,
                            "no Pillion module: it exports no pillion_module_descriptor; use "
                            "PILLION_MODULE(…)");
    if (!descriptor_copy(descriptor, &module->descriptor, &error))
        return module_error(set, module, error.text);
    return check_schemas(set, module);
}

/* ---- Between modules ---- */

/* Writes where the configuration loads `other`, for an error about `module`: "ping.so on line 3",
 * with the configuration file if it is another one. */
static void describe_place(const struct module *module, const struct module *other,
                           struct error *where)
{
    const struct conf_place *place = &other->settings->place;

    if (place->source == NULL)
        error_set(where, "%s", other->settings->label);
    else if (place->source == module->settings->place.source)
        error_set(where, "%s on line %u", other->settings->label, place->line);
    else
        error_set(where, "%s in %s, line %u", other->settings->label, place->source->name,
                  place->line);
}

static bool check_names(struct module_set *set, const struct module *module)
{
    bool good = true;
    struct error where;

    for (const struct module *other = set->modules; other < module; other++) {
        if (other->handle == NULL || other->instance.name == NULL)
            continue;
        describe_place(module, other, &where);
        if (strcmp(other->instance.name, module->instance.name) == 0) {
            conf_error(
                set->errors, &module->settings->place,
                "%s: a module named \"%s\" is loaded already, from %s; remove one of the two",
                module->settings->label, module->instance.name, where.text);
            return false;
        }
        for (const pillion_filter *f = module->descriptor.filters; f->name != NULL; f++) {
            for (const pillion_filter *g = other->descriptor.filters; g->name != NULL; g++) {
                if (strcmp(f->name, g->name) != 0)
                    continue;
                conf_error(set->errors, &module->settings->place,
                           "%s: the filter \"%s\" is provided already, by %s; load only one of "
                           "the two",
                           module->settings->label, f->name, where.text);
                good = false;
            }
        }
        for (const pillion_method *m = module->descriptor.methods; m->name != NULL; m++) {
            if (descriptor_method(&other->descriptor, m->name) == NULL)
                continue;
            conf_error(set->errors, &module->settings->place,
                       "%s: the method \"%s\" is provided already, by %s; load only one of the two",
                       module->settings->label, m->name, where.text);
            good = false;
        }
    }
    return good;
}

/* ---- The set ---- */

static bool load_one(struct module_set *set, const struct module_file *file, struct module *module)
{
    struct error error;

    if (!inspect(file, &error))
        return module_error(set, module, error.text);
    if (!open_module(set, file, module))
        return false;
    module->instance.name = module->descriptor.name;
    module->instance.version = module->descriptor.version == NULL ? "" : module->descriptor.version;
    module->instance.abi_minor = module->descriptor.abi_minor;
    metrics_init(&module->instance, module->descriptor.metrics);
    log_place(module);
    if (!check_names(set, module))
        return false;
    return descriptor_configure(set, module);
}

bool module_set_load(struct module_set *set, const struct module_file *files, size_t count,
                     int slot, int slots, uint64_t generation)
{
    bool good = true;

    set->modules = must_zalloc(count * sizeof(*set->modules));
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        struct module *module = &set->modules[i];
        module->settings = files[i].settings;
        module->instance.pool = files[i].settings->pool.index;
        module->instance.worker = slot;
        module->instance.worker_count = slots;
        module->instance.generation = generation;
        good = load_one(set, &files[i], module) && good;
    }
    if (good)
        module_set_stage_over(set, "loaded");
    return good;
}

/* ---- Metrics and the worker's number ---- */

void module_set_describe_metrics(const struct module_set *set, struct text *list)
{
    for (size_t i = 0; i < set->count; i++)
        metrics_describe(&set->modules[i].instance, set->modules[i].descriptor.metrics, list);
}

void module_set_attach(struct module_set *set, const struct board *board, struct board_row *row)
{
    for (size_t i = 0; i < set->count; i++) {
        struct pillion_instance *instance = &set->modules[i].instance;
        metrics_attach(instance, set->modules[i].descriptor.metrics, board, row);
        if (i >= BOARD_MODULES_MAX)
            continue;
        snprintf(row->modules[i], sizeof(row->modules[i]), "%s", instance->name);
        instance->number = (uint32_t)i + 1;
    }
}

void module_set_slot(struct module_set *set, int slot)
{
    for (size_t i = 0; i < set->count; i++)
        set->modules[i].instance.worker = slot;
}
