/* Reading a module's descriptor from its image. See manifest.h. */
#include "module/manifest.h"

#include <stdlib.h>

#include "module/descriptor.h"
#include "module/method_schema.h"
#include "rpc/param_table.h"

/* Limits that no module reaches, so that a damaged file cannot keep its reader busy. */
#define ROWS_MAX ((size_t)10000)
#define TEXT_MAX ((size_t)16 << 20)
#define LIST_MAX 100 /* needed libraries; compilers */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Pointers ---- */

/* The address in the image that a pointer, copied from there, holds. */
static uintptr_t pointer_address(const void *pointer)
{
    uintptr_t address;

    memcpy(&address, pointer, sizeof(address));
    return address;
}

static bool follow_failed(uintptr_t address, const char *what, struct error *error)
{
    if (address == ELF_ELSEWHERE)
        return error_set(
            error, "%s is in another library, which cannot be known without loading it", what);
    return error_set(error, "%s is not within the file; is it damaged, or filled in by code?",
                     what);
}

/* Replaces the `const char *` at `pointer`, an address of the image, by a pointer to the string in
 * this process. */
static bool follow_string(struct manifest *manifest, void *pointer, const char *what,
                          struct error *error)
{
    uintptr_t address = pointer_address(pointer);
    const char *string = NULL;

    if (address != 0) {
        string = elf_image_string(&manifest->image, address);
        if (string == NULL)
            return follow_failed(address, what, error);
        manifest->text_size += strlen(string);
    }
    if (manifest->text_size > TEXT_MAX)
        return error_set(error, "its descriptor has more than %zu megabytes of text",
                         TEXT_MAX >> 20);
    memcpy(pointer, &string, sizeof(string));
    return true;
}

/* A kind of table in the descriptor. */
struct table {
    const char *what;
    size_t row_size;       /* in this process */
    const size_t *strings; /* offsets of the members that are strings; the first one, the name,
                              is zero in the row that ends the table */
    size_t string_count;
};

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

static const size_t method_strings[] = {
    offsetof(pillion_method, name), offsetof(pillion_method, summary),
    offsetof(pillion_method, params), offsetof(pillion_method, result),
    offsetof(pillion_method, title)};
static const size_t directive_strings[] = {offsetof(pillion_directive, name),
                                           offsetof(pillion_directive, fallback),
                                           offsetof(pillion_directive, summary)};
static const size_t word_strings[] = {0};
static const size_t param_strings[] = {offsetof(pillion_param, name),
                                       offsetof(pillion_param, fallback),
                                       offsetof(pillion_param, summary)};
static const size_t filter_strings[] = {offsetof(pillion_filter, name),
                                        offsetof(pillion_filter, summary)};

static const size_t metric_strings[] = {offsetof(pillion_metric, name),
                                        offsetof(pillion_metric, summary)};

static const struct table method_table = {"the table of methods", sizeof(pillion_method),
                                          method_strings, COUNT_OF(method_strings)};
static const struct table directive_table = {"the table of directives", sizeof(pillion_directive),
                                             directive_strings, COUNT_OF(directive_strings)};
static const struct table filter_table = {"the table of filters", sizeof(pillion_filter),
                                          filter_strings, COUNT_OF(filter_strings)};
static const struct table metric_table = {"the table of metrics", sizeof(pillion_metric),
                                          metric_strings, COUNT_OF(metric_strings)};
static const struct table params_table = {"the table of params", sizeof(pillion_param),
                                          param_strings, COUNT_OF(param_strings)};
static const struct table word_table = {"the words of an enumeration", sizeof(char *), word_strings,
                                        COUNT_OF(word_strings)};

/* Replaces the pointer to a table in the image, with rows of `stride` bytes, by one to a copy with
 * its strings. */
static bool follow_table(struct manifest *manifest, void *pointer, const struct table *table,
                         size_t stride, struct error *error)
{
    uintptr_t address = pointer_address(pointer);
    size_t size = smaller(stride, table->row_size), count = 0;
    struct text rows = {0};
    char row[sizeof(pillion_param) + sizeof(pillion_method) + sizeof(pillion_filter)] = {0};
    bool good = true;

    while (address != 0) {
        if (count == ROWS_MAX)
            good = error_set(error, "%s does not end within %zu rows", table->what, ROWS_MAX);
        else if (!elf_image_read(&manifest->image, address + count * stride, row, size))
            good = follow_failed(address, table->what, error);
        if (!good || pointer_address(row + table->strings[0]) == 0)
            break;
        for (size_t i = 0; good && i < table->string_count; i++)
            good = follow_string(manifest, row + table->strings[i], table->what, error);
        text_append(&rows, (struct bytes){row, table->row_size});
        count++;
    }
    char *copy = pool_must_zalloc(&manifest->pool, (count + 1) * table->row_size);
    if (count > 0)
        memcpy(copy, rows.data, count * table->row_size);
    text_free(&rows);
    memcpy(pointer, &copy, sizeof(copy));
    return good;
}

/* ---- The descriptor ---- */

/* Checks that the descriptor is at least as large as in interface 1.0; see descriptor.h. */
static bool check_sizes(const pillion_module *module, const struct elf_facts *facts,
                        struct error *error)
{
    if (module->size == 0)
        return error_set(error, "its descriptor is filled in by code when it is loaded, and cannot "
                                "be known without running it; use constants in PILLION_MODULE(…)");
    if (module->abi_major != facts->abi_major || module->abi_minor != facts->abi_minor ||
        module->size < DESCRIPTOR_SIZE_MIN || module->method_size < METHOD_SIZE_MIN ||
        module->directive_size < DIRECTIVE_SIZE_MIN)
        return error_set(error, "its descriptor is damaged; make it with PILLION_MODULE(…)");
    return true;
}

static bool read_descriptor(struct manifest *manifest, struct error *error)
{
    pillion_module *module = &manifest->descriptor;
    uint64_t address;

    if (!elf_image_symbol(&manifest->image, "pillion_module_descriptor", &address))
        return error_set(error, "it does not export pillion_module_descriptor; was it hidden or "
                                "stripped?");
    if (!elf_image_read(&manifest->image, address, module, DESCRIPTOR_SIZE_MIN))
        return error_set(error, "its descriptor is not within the file; build it again");
    if (!check_sizes(module, &manifest->facts, error))
        return false;
    if (!elf_image_read(&manifest->image, address, module, smaller(module->size, sizeof(*module))))
        return error_set(error, "its descriptor is not within the file; build it again");
    if (!follow_string(manifest, &module->name, ".name", error) ||
        !follow_string(manifest, &module->version, ".version", error) ||
        !follow_string(manifest, &module->summary, ".summary", error) ||
        !follow_table(manifest, &module->methods, &method_table, module->method_size, error) ||
        !follow_table(manifest, &module->directives, &directive_table, module->directive_size,
                      error) ||
        !follow_table(manifest, &module->filters, &filter_table,
                      descriptor_filter_size(module->abi_minor), error) ||
        !follow_table(manifest, &module->metrics, &metric_table,
                      descriptor_metric_size(module->abi_minor), error))
        return false;
    manifest->directive_size = module->directive_size;
    manifest->param_size = module->param_size;
    module->abi_minor = PILLION_ABI_MINOR; /* the copied rows have this server's sizes */
    module->size = sizeof(pillion_module);
    module->method_size = sizeof(pillion_method);
    module->directive_size = sizeof(pillion_directive);
    module->param_size = sizeof(pillion_param);
    return true;
}

/* Reads a table of directives and the words of enumerations. A `bool` in a damaged file may be any
 * byte, and is made 0 or 1. */
static bool read_directives(struct manifest *manifest, const pillion_directive *first,
                            struct error *error)
{
    for (size_t i = 0; first[i].name != NULL; i++) {
        pillion_directive *directive = (pillion_directive *)(uintptr_t)&first[i];
        unsigned char required;
        memcpy(&required, &directive->required, 1);
        directive->required = required != 0;
        if (directive->type != PILLION_ENUM)
            directive->words = NULL;
        else if (!follow_table(manifest, &directive->words, &word_table, sizeof(char *), error))
            return false;
    }
    return true;
}

/* A `bool` in a damaged file may be any byte. */
static void settle(bool *flag)
{
    unsigned char byte;

    memcpy(&byte, flag, 1);
    *flag = byte != 0;
}

/* Reads a table of params with those in it. */
static bool read_params(struct manifest *manifest, void *pointer, unsigned depth,
                        struct error *error)
{
    pillion_param *params;

    if (depth > PARAM_DEPTH_MAX)
        return error_set(error, "its params are nested deeper than %u tables", PARAM_DEPTH_MAX);
    if (manifest->param_size < PARAM_SIZE_MIN)
        return error_set(error, "its descriptor is damaged; make it with PILLION_MODULE(…)");
    if (!follow_table(manifest, pointer, &params_table, manifest->param_size, error))
        return false;
    memcpy(&params, pointer, sizeof(params));
    for (pillion_param *p = params; p->name != NULL; p++) {
        manifest->text_size += sizeof(*p); /* tables may be in each other */
        settle(&p->list);
        settle(&p->open);
        settle(&p->required);
        if (p->type != PILLION_ENUM)
            p->words = NULL;
        else if (!follow_table(manifest, &p->words, &word_table, sizeof(char *), error))
            return false;
        if (p->type != PILLION_OBJECT)
            p->members = NULL;
        else if (p->members != NULL && !read_params(manifest, &p->members, depth + 1, error))
            return false;
    }
    return true;
}

static bool read_methods(struct manifest *manifest, struct error *error)
{
    const pillion_method *first = manifest->descriptor.methods;

    for (size_t i = 0; first[i].name != NULL; i++) {
        pillion_method *method = (pillion_method *)(uintptr_t)&first[i];
        settle(&method->idempotent);
        settle(&method->read_only);
        settle(&method->additive);
        settle(&method->open);
        if ((method->args != NULL && !read_params(manifest, &method->args, 1, error)) ||
            (method->gives != NULL && !read_params(manifest, &method->gives, 1, error)))
            return false;
        if (!follow_table(manifest, &method->directives, &directive_table, manifest->directive_size,
                          error) ||
            !read_directives(manifest, method->directives, error))
            return false;
    }
    return true;
}

/* Reads the bounds of histograms. Too many of them, which would be refused, are not read. */
static bool read_metrics(struct manifest *manifest, struct error *error)
{
    const pillion_metric *first = manifest->descriptor.metrics;

    for (size_t i = 0; first[i].name != NULL; i++) {
        pillion_metric *metric = (pillion_metric *)(uintptr_t)&first[i];
        uintptr_t address = pointer_address(&metric->bounds);
        if (address == 0 || metric->bound_count > PILLION_BOUNDS_MAX)
            continue;
        size_t size = metric->bound_count * sizeof(double);
        double *bounds = pool_must_zalloc(&manifest->pool, size + 1);
        if (!elf_image_read(&manifest->image, address, bounds, size))
            return follow_failed(address, "the bounds of a histogram", error);
        metric->bounds = bounds;
    }
    return true;
}

static bool read_filters(struct manifest *manifest, struct error *error)
{
    const pillion_filter *first = manifest->descriptor.filters;

    for (size_t i = 0; first[i].name != NULL; i++) {
        pillion_filter *filter = (pillion_filter *)(uintptr_t)&first[i];
        if (!follow_table(manifest, &filter->directives, &directive_table, manifest->directive_size,
                          error) ||
            !read_directives(manifest, filter->directives, error))
            return false;
    }
    return true;
}

/* Sets `refusal` to the mistake that the loader would find. */
static void judge(struct manifest *manifest)
{
    pillion_module copy = {0};

    if (!elf_offered(&manifest->facts, &manifest->refusal))
        return;
    struct text advice = {0};
    if (descriptor_copy(&manifest->descriptor, &copy, &manifest->refusal))
        method_schemas_check(&copy, manifest->facts.abi_minor, &advice, &manifest->refusal);
    text_free(&advice);
    if (copy.methods != NULL && copy.methods != manifest->descriptor.methods)
        descriptor_free(&copy);
}

/* The table's schema. NULL, when it has a mistake, which `judge` has found. */
static const char *schema_of(struct manifest *manifest, struct param_table *table)
{
    const char *schema = table == NULL ? NULL : pool_must_strdup(&manifest->pool, table->schema);

    param_table_free(table);
    return schema;
}

/* What the tables of params and of results say, as the schemas that clients will see. */
static void add_schemas(struct manifest *manifest)
{
    for (const pillion_method *m = manifest->descriptor.methods; m->name != NULL; m++) {
        pillion_method *method = (pillion_method *)(uintptr_t)m;
        struct error error;
        if (m->args != NULL && m->params == NULL)
            method->params =
                schema_of(manifest, param_table_make(m->args, m->args_size, m->open, &error));
        if (m->gives != NULL && m->result == NULL)
            method->result =
                schema_of(manifest, param_table_make_gives(m->gives, m->gives_size, &error));
    }
}

/* ---- The rest of the file ---- */

static const char **keep_list(struct manifest *manifest, const struct text *list)
{
    const char **copy = pool_must_zalloc(&manifest->pool, list->size + sizeof(*copy));

    if (list->size > 0)
        memcpy(copy, list->data, list->size);
    return copy;
}

static bool list_has(const struct text *list, const char *string)
{
    for (size_t at = 0; at < list->size; at += sizeof(string)) {
        const char *known;
        memcpy(&known, list->data + at, sizeof(known));
        if (strcmp(known, string) == 0)
            return true;
    }
    return false;
}

static void list_add(struct text *list, const char *string)
{
    if (string[0] != '\0' && list->size < LIST_MAX * sizeof(string) && !list_has(list, string))
        text_append(list, (struct bytes){(const char *)&string, sizeof(string)});
}

/* Reads .comment, in which compilers and the linker have left one string each. */
static void read_others(struct manifest *manifest)
{
    struct text needed = {0}, built_by = {0};
    const char *library;

    for (size_t i = 0; (library = elf_image_needed(&manifest->image, i)) != NULL; i++)
        list_add(&needed, library);
    struct bytes comment = elf_image_section(&manifest->image, ".comment");
    for (size_t at = 0; at < comment.size;) {
        const char *string = comment.data + at;
        size_t size = strnlen(string, comment.size - at);
        if (at + size < comment.size)
            list_add(&built_by, string);
        at += size + 1;
    }
    manifest->needed = keep_list(manifest, &needed);
    manifest->built_by = keep_list(manifest, &built_by);
    text_free(&needed);
    text_free(&built_by);
}

bool manifest_glance(struct bytes file, struct manifest *manifest, struct error *error)
{
    int64_t tag;

    *manifest = (struct manifest){0};
    if (!elf_describe(file, &manifest->facts, error))
        return false;
    if (manifest->facts.abi_major != PILLION_ABI_MAJOR)
        return elf_offered(&manifest->facts, error);
    if (!elf_image_open(file, &manifest->image, error))
        return false;
    if (read_descriptor(manifest, error) &&
        read_directives(manifest, manifest->descriptor.directives, error) &&
        read_methods(manifest, error) && read_filters(manifest, error) &&
        read_metrics(manifest, error)) {
        manifest->search = elf_image_search(&manifest->image, &tag);
        return true;
    }
    manifest_close(manifest);
    return false;
}

bool manifest_read(struct bytes file, struct manifest *manifest, struct error *error)
{
    if (!manifest_glance(file, manifest, error))
        return false;
    judge(manifest);
    add_schemas(manifest);
    read_others(manifest);
    return true;
}

void manifest_close(struct manifest *manifest)
{
    elf_image_close(&manifest->image);
    pool_free(&manifest->pool);
}
