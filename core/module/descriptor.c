/* Descriptors and their directives. See descriptor.h. */
#include "module/descriptor.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "conf/directive.h"
#include "conf/file.h"
#include "conf/needs.h"
#include "module/hook_error.h"
#include "rpc/metric.h"
#include "rpc/note.h"
#include "rpc/param_table.h"
#include "wire/envelope.h"

#define DAMAGED "its descriptor is damaged; make it with PILLION_MODULE(…)"

/* ---- Copying, whatever the module was compiled against ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Copies a table with rows of `stride` bytes to rows of `size` bytes. A row's first member is its
 * name, and a NULL name ends the table. */
static void *copy_table(const void *table, size_t stride, size_t size)
{
    size_t count = 0;
    const char *row = table;

    while (row != NULL && *(const char *const *)(const void *)(row + count * stride) != NULL)
        count++;
    char *copy = must_zalloc((count + 1) * size);
    for (size_t i = 0; i < count; i++)
        memcpy(copy + i * size, row + i * stride, smaller(stride, size));
    return copy;
}

/* The row without a name is the one of zeros that ends a table of params, and not one whose name
 * was forgotten: that would hide all rows behind it. */
static bool check_end(const void *end, ptrdiff_t number, struct error *error)
{
    pillion_param row = {0};

    memcpy(&row, end, PARAM_SIZE_MIN);
    return (row.type == 0 && row.offset == 0 && row.width == 0) ||
           error_set(error,
                     "row %td of a table of params has no name; give it one, or end the table "
                     "before it with a row of zeros",
                     number);
}

/* Replaces a table of params, and those in it, by copies of this server's version. The row that
 * ends a copy says where the module has the table, which calls it by that. */
static bool copy_params(const pillion_param **table, size_t stride, unsigned depth,
                        struct error *error)
{
    const pillion_param *origin = *table;
    pillion_param *rows = copy_table(origin, stride, sizeof(*rows));
    bool good = depth <= PARAM_DEPTH_MAX ||
                error_set(error, "its params are nested deeper than %u tables", PARAM_DEPTH_MAX);

    *table = rows;
    pillion_param *row = rows;
    for (; row->name != NULL; row++) {
        if (row->type != PILLION_OBJECT || !good)
            row->members = NULL;
        else if (row->members != NULL)
            good = copy_params(&row->members, stride, depth + 1, error);
    }
    row->members = origin;
    return good &&
           check_end((const char *)origin + (size_t)(row - rows) * stride, row - rows + 1, error);
}

/* The same for a table that need not be there. */
static bool copy_rows(const pillion_param **table, size_t stride, struct error *error)
{
    if (*table == NULL)
        return true;
    if (stride >= PARAM_SIZE_MIN)
        return copy_params(table, stride, 1, error);
    *table = NULL;
    return error_set(error, DAMAGED);
}

static bool name_valid(const char *name)
{
    return name != NULL && name[0] != '\0' && strlen(name) < 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               strlen(name);
}

bool descriptor_text_is_line(const char *text)
{
    for (size_t i = 0, size = text == NULL ? 0 : strlen(text); i < size;) {
        size_t length = utf8_sequence(text + i, size - i);
        unsigned char c = (unsigned char)text[i];
        if (length == 0 || c < 0x20 || c == 0x7f ||
            (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
            return false;
        i += length;
    }
    return true;
}

static bool check_schema(const pillion_method *method, const char *member, const char *schema,
                         struct error *error)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error fault;

    if (schema == NULL || json_check(bytes_of(schema), &limits, &fault))
        return true;
    return error_set(error,
                     "the .%s of the method \"%s\" is not valid JSON: %s, at byte %zu; it is a "
                     "JSON Schema as text",
                     member, method->name, fault.reason, fault.offset);
}

/* For each public type: the configuration layer's type, and its size in the module's structure. */
static const struct {
    enum conf_type type;
    size_t size;
} types[] = {
    [PILLION_FLAG] = {CONF_FLAG, sizeof(bool)},
    [PILLION_INTEGER] = {CONF_INTEGER, sizeof(int64_t)},
    [PILLION_SIZE] = {CONF_SIZE, sizeof(uint64_t)},
    [PILLION_TIME] = {CONF_TIME, sizeof(uint64_t)},
    [PILLION_STRING] = {CONF_STRING, sizeof(char *)},
    [PILLION_ENUM] = {CONF_ENUM, sizeof(int)},
    [PILLION_LIST] = {CONF_LIST, sizeof(pillion_list)},
    [PILLION_PATH] = {CONF_PATH, sizeof(char *)},
    [PILLION_FILE] = {CONF_FILE, sizeof(pillion_file)},
};
static_assert(sizeof(pillion_file) == sizeof(struct conf_file), "the same structure, twice named");
static_assert(sizeof(pillion_list) == sizeof(struct conf_list), "the same structure, twice named");

/* Checks a table of directives. `where` names the owner of the structure in errors: "" for the
 * module itself. */
static bool check_directives(const pillion_directive *directives, size_t config_size,
                             const char *where, struct error *error)
{
    for (const pillion_directive *d = directives; d->name != NULL; d++) {
        for (const pillion_directive *other = directives; other < d; other++) {
            if (strcmp(other->name, d->name) == 0)
                return error_set(error, "the directive \"%s\" is in the table%s twice", d->name,
                                 where);
        }
        if ((d->type < PILLION_FLAG || d->type > PILLION_PATH) && d->type != PILLION_FILE)
            return error_set(error, "the directive \"%s\"%s has no type that this server knows",
                             d->name, where);
        if (d->offset > config_size || types[d->type].size > config_size - d->offset)
            return error_set(error,
                             "the directive \"%s\"%s lies outside the configuration structure; "
                             "set .config_size to its size",
                             d->name, where);
        if (d->type == PILLION_ENUM && (d->words == NULL || d->words[0] == NULL))
            return error_set(error, "the directive \"%s\"%s is an enumeration without words",
                             d->name, where);
    }
    return true;
}

static bool check_summaries(const pillion_param *params, const char *what, struct error *error)
{
    for (const pillion_param *p = params; p->name != NULL; p++) {
        if (!descriptor_text_is_line(p->summary))
            return error_set(error, "the summary of the %s \"%s\" is not one line of UTF-8", what,
                             p->name);
        if (p->members != NULL && !check_summaries(p->members, what, error))
            return false;
    }
    return true;
}

/* Checks the tables of what the method takes and gives. */
static bool check_tables(const pillion_method *method, struct error *error)
{
    struct param_table *args = NULL, *gives = NULL;
    bool good = true;

    if (method->args != NULL) {
        args = param_table_make(method->args, method->args_size, method->open, error);
        good = (args != NULL && check_summaries(method->args, "param", error)) ||
               error_prefix(error, "the method \"%s\"", method->name);
    }
    if (good && method->gives != NULL) {
        gives = param_table_make_gives(method->gives, method->gives_size, error);
        good = (gives != NULL && check_summaries(method->gives, "member", error)) ||
               error_prefix(error, "the method \"%s\"", method->name);
    }
    param_table_free(args);
    param_table_free(gives);
    return good;
}

static bool check_methods(const pillion_module *module, struct error *error)
{
    char where[128];

    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        if (m->name[0] == '\0' || strlen(m->name) > METHOD_NAME_MAX ||
            !descriptor_text_is_line(m->name))
            return error_set(error,
                             "a method's name has 1 to %u bytes of printable UTF-8; correct row "
                             "%td of the table of methods",
                             METHOD_NAME_MAX, m - module->methods + 1);
        if (m->handler == NULL)
            return error_set(error, "the method \"%s\" has no handler", m->name);
        snprintf(where, sizeof(where), " of the method \"%.64s\"", m->name);
        if (!check_directives(m->directives, m->config_size, where, error))
            return false;
        if (!check_tables(m, error))
            return false;
        if (!descriptor_text_is_line(m->summary) || !descriptor_text_is_line(m->title))
            return error_set(error,
                             "the %s of the method \"%s\" is not one line of UTF-8; correct it, or "
                             "save the source as UTF-8",
                             descriptor_text_is_line(m->summary) ? "title" : "summary", m->name);
        if (!check_schema(m, "params", m->params, error) ||
            !check_schema(m, "result", m->result, error))
            return false;
        for (const pillion_method *other = module->methods; other < m; other++) {
            if (strcmp(other->name, m->name) == 0)
                return error_set(error, "the method \"%s\" is in the table twice", m->name);
        }
    }
    return true;
}

static bool check_filters(const pillion_module *module, struct error *error)
{
    char where[128];

    for (const pillion_filter *f = module->filters; f->name != NULL; f++) {
        if (!name_valid(f->name))
            return error_set(error,
                             "a filter's name has 1 to 63 letters, digits, - and _; correct row "
                             "%td of the table of filters",
                             f - module->filters + 1);
        if (f->before == NULL && f->after == NULL)
            return error_set(error, "the filter \"%s\" has neither .before nor .after", f->name);
        if (!descriptor_text_is_line(f->summary))
            return error_set(error, "the summary of the filter \"%s\" is not one line of UTF-8",
                             f->name);
        for (const pillion_filter *other = module->filters; other < f; other++) {
            if (strcmp(other->name, f->name) == 0)
                return error_set(error, "the filter \"%s\" is in the table twice", f->name);
        }
        snprintf(where, sizeof(where), " of the filter \"%s\"", f->name);
        if (!check_directives(f->directives, f->config_size, where, error))
            return false;
    }
    return true;
}

static bool check_bounds(const pillion_metric *metric, struct error *error)
{
    bool good = metric->bound_count <= PILLION_BOUNDS_MAX &&
                (metric->bounds != NULL) == (metric->bound_count > 0);

    if (metric->type != PILLION_HISTOGRAM && (metric->bounds != NULL || metric->bound_count > 0))
        return error_set(error, "the metric \"%s\" has bounds, and is no PILLION_HISTOGRAM",
                         metric->name);
    for (size_t i = 0; good && i < metric->bound_count; i++)
        good = isfinite(metric->bounds[i]) && (i == 0 || metric->bounds[i] > metric->bounds[i - 1]);
    return good || error_set(error,
                             "the histogram \"%s\" needs up to %u bounds, finite numbers that "
                             "ascend: give it PILLION_BOUNDS(an array of doubles)",
                             metric->name, PILLION_BOUNDS_MAX);
}

static bool check_metrics(const pillion_module *module, struct error *error)
{
    for (const pillion_metric *m = module->metrics; m->name != NULL; m++) {
        if (!name_valid(m->name))
            return error_set(error,
                             "a metric's name has 1 to 63 letters, digits, - and _; correct row "
                             "%td of the table of metrics",
                             m - module->metrics + 1);
        if (m->type < PILLION_COUNTER || m->type > PILLION_HISTOGRAM)
            return error_set(error,
                             "the metric \"%s\" has no type that this server knows; give "
                             ".type = PILLION_COUNTER, PILLION_GAUGE or PILLION_HISTOGRAM",
                             m->name);
        if (!check_bounds(m, error))
            return false;
        if (!descriptor_text_is_line(m->summary))
            return error_set(error, "the summary of the metric \"%s\" is not one line of UTF-8",
                             m->name);
        for (const pillion_metric *other = module->metrics; other < m; other++) {
            if (strcmp(other->name, m->name) == 0)
                return error_set(error, "the metric \"%s\" is in the table twice", m->name);
        }
    }
    return true;
}

static void give_usual_bounds(pillion_metric *metrics)
{
    for (pillion_metric *m = metrics; m->name != NULL; m++) {
        if (m->type != PILLION_HISTOGRAM || m->bounds != NULL)
            continue;
        m->bounds = metric_usual_bounds;
        m->bound_count = METRIC_USUAL_BOUNDS;
    }
}

bool descriptor_copy(const pillion_module *from, pillion_module *to, struct error *error)
{
    if (from->abi_major != PILLION_ABI_MAJOR || from->abi_minor > PILLION_ABI_MINOR)
        return error_set(error, "needs module API %u.%u, this server offers %u.%u", from->abi_major,
                         from->abi_minor, PILLION_ABI_MAJOR, PILLION_ABI_MINOR);
    if (from->size < DESCRIPTOR_SIZE_MIN || from->method_size < METHOD_SIZE_MIN ||
        from->directive_size < DIRECTIVE_SIZE_MIN)
        return error_set(error, DAMAGED);
    error->text[0] = '\0';
    *to = (pillion_module){0};
    memcpy(to, from, smaller(from->size, sizeof(*to)));
    if (!name_valid(to->name))
        return error_set(error, "its name must have 1 to 63 letters, digits, - and _; give "
                                "PILLION_MODULE(.name = \"…\")");
    if ((to->needs & ~NEEDS_DECLARABLE) != 0)
        return error_set(error,
                         "its .needs has bits that this server does not know (0x%x); use "
                         "PILLION_NEEDS_…",
                         to->needs & ~NEEDS_DECLARABLE);
    if (!descriptor_text_is_line(to->version) || !descriptor_text_is_line(to->summary))
        return error_set(error, "its .version or .summary is not one line of UTF-8; correct it, or "
                                "save the source as UTF-8");
    pillion_method *methods = copy_table(to->methods, from->method_size, sizeof(*methods));
    to->methods = methods;
    bool good = true;
    for (pillion_method *m = methods; m->name != NULL; m++) {
        m->directives = copy_table(m->directives, from->directive_size, sizeof(pillion_directive));
        good = copy_rows(&m->args, from->param_size, error) && good;
        good = copy_rows(&m->gives, from->param_size, error) && good;
    }
    to->directives = copy_table(to->directives, from->directive_size, sizeof(pillion_directive));
    pillion_filter *filters =
        copy_table(to->filters, descriptor_filter_size(from->abi_minor), sizeof(*filters));
    to->filters = filters;
    for (pillion_filter *f = filters; f->name != NULL; f++)
        f->directives = copy_table(f->directives, from->directive_size, sizeof(pillion_directive));
    pillion_metric *metrics =
        copy_table(to->metrics, descriptor_metric_size(from->abi_minor), sizeof(*metrics));
    to->metrics = metrics;
    good = good && check_methods(to, error) &&
           check_directives(to->directives, to->config_size, "", error) &&
           check_filters(to, error) && check_metrics(to, error);
    give_usual_bounds(metrics);
    return good;
}

static void free_table(const void *table)
{
    free((void *)(uintptr_t)table);
}

static void free_params(const pillion_param *params)
{
    for (const pillion_param *p = params; p != NULL && p->name != NULL; p++)
        free_params(p->members);
    free_table(params);
}

void descriptor_free(pillion_module *copy)
{
    for (const pillion_method *m = copy->methods; m->name != NULL; m++) {
        free_table(m->directives);
        free_params(m->args);
        free_params(m->gives);
    }
    for (const pillion_filter *f = copy->filters; f->name != NULL; f++)
        free_table(f->directives);
    free_table(copy->methods);
    free_table(copy->filters);
    free_table(copy->metrics);
    free_table(copy->directives);
}

const pillion_method *descriptor_method(const pillion_module *module, const char *name)
{
    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        if (strcmp(m->name, name) == 0)
            return m;
    }
    return NULL;
}

/* ---- Directives ---- */

/* Has the module check a value. What it says against it is in `error`. */
static bool check_value(struct module_set *set, const struct directives_place *at,
                        const pillion_directive *directive, const void *value,
                        pillion_error_text *error)
{
    *error = (pillion_error_text){.text = ""};
    module_set_stage(set, at->module, "running a check of a directive");
    struct note before = note_enter(DUTY_HOOK, &at->module->instance, &(struct origin){0});
    int status = directive->check(value, error);
    note_leave(&before);
    return status == 0;
}

/* The statement with which the value is wrong first: a list may be given by several. */
static const struct conf_statement *find_culprit(struct module_set *set,
                                                 const struct directives_place *at,
                                                 const pillion_directive *directive, void *value,
                                                 const struct conf_statement *first)
{
    const struct conf_statement *culprit = first;
    pillion_error_text error;

    if (directive->type != PILLION_LIST)
        return first;
    pillion_list *list = value, whole = *list;
    list->count = 0;
    for (const struct conf_statement *s = first; s != NULL; s = s->next) {
        if (strcmp(s->name.text, directive->name) != 0)
            continue;
        culprit = s;
        list->count += s->word_count;
        if (list->count >= whole.count || !check_value(set, at, directive, value, &error))
            break;
    }
    *list = whole;
    return culprit;
}

/* The directive that the statement is the first of in its block; NULL: none that has a check. */
static const pillion_directive *begins(const pillion_directive *directives,
                                       const struct conf_statement *block,
                                       const struct conf_statement *statement)
{
    const struct conf_statement *first = block;

    while (strcmp(first->name.text, statement->name.text) != 0)
        first = first->next;
    while (directives->name != NULL && strcmp(directives->name, statement->name.text) != 0)
        directives++;
    return first == statement && directives->name != NULL && directives->check != NULL ? directives
                                                                                       : NULL;
}

/* The module's own checks of the values that its statements give. */
static bool check_values(struct module_set *set, const pillion_directive *directives,
                         const struct directives_place *at, void *config)
{
    pillion_error_text error;
    bool good = true;

    for (const struct conf_statement *s = at->block; s != NULL; s = s->next) {
        const pillion_directive *d = begins(directives, at->block, s);
        void *value = d == NULL ? NULL : (char *)config + d->offset;
        if (d == NULL || check_value(set, at, d, value, &error))
            continue;
        const struct conf_statement *culprit = find_culprit(set, at, d, value, s);
        snprintf(error.at, sizeof(error.at), "%s", d->name);
        conf_error(set->errors, hook_error_place(&error, culprit, at->place), "%s: \"%s\": %s",
                   at->where, d->name,
                   error.text[0] == '\0' ? "the module gave no reason" : error.text);
        good = false;
    }
    return good;
}

bool directives_apply(struct module_set *set, const pillion_directive *directives,
                      const struct directives_place *at, void *config)
{
    struct conf_apply apply = {.tree = set->tree, .errors = set->errors, .others = at->others};
    size_t count = 0;

    for (const pillion_directive *d = directives; d->name != NULL; d++)
        count++;
    struct conf_directive *table = must_zalloc((count + 1) * sizeof(*table));
    for (size_t i = 0; i < count; i++) {
        const pillion_directive *d = &directives[i];
        if (conf_knows(at->others, at->context, d->name)) {
            conf_error(set->errors, at->place,
                       "%s: the handler's directive \"%s\" is called as one of the server's, which "
                       "stands in the same block; give it another name",
                       at->where, d->name);
            free(table);
            return false;
        }
        table[i] = (struct conf_directive){
            .name = d->name,
            .contexts = at->context,
            .type = types[d->type].type,
            .offset = d->offset,
            .fallback = d->fallback,
            .min = d->min,
            .max = d->max,
            /* For other types the core uses `words` itself. */
            .words = d->type == PILLION_ENUM ? d->words : NULL,
            .summary = d->summary,
            .required = d->required,
        };
    }
    bool good = conf_apply(&apply, table, at->context, at->where, at->place, at->block, config);
    free(table);
    return good && check_values(set, directives, at, config);
}

bool descriptor_configure(struct module_set *set, struct module *module)
{
    const pillion_module *descriptor = &module->descriptor;
    char where[256];

    if (descriptor->config_size > 0)
        module->instance.config = must_zalloc(descriptor->config_size);
    snprintf(where, sizeof(where), "load_module %s", module->settings->label);
    const struct directives_place at = {
        .module = module,
        .context = CONF_IN_MODULE,
        .where = where,
        .place = &module->settings->place,
        .block = module->settings->block,
    };
    return directives_apply(set, descriptor->directives, &at, module->instance.config);
}

const pillion_method *descriptor_first_configured(const pillion_module *module)
{
    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        if (m->directives->name != NULL)
            return m;
    }
    return NULL;
}
