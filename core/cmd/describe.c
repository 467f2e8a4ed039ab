/* Describing modules for people. See describe.h. */
#include "cmd/describe.h"

#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "base/sealed.h"
#include "module/descriptor.h"
#include "rpc/param_fault.h"
#include "rpc/param_table.h"

bool describe_read(const char *path, struct manifest *manifest, struct error *error)
{
    struct bytes file;

    int fd = sealed_copy(path, error);
    if (fd < 0)
        return error_prefix(error, "%s", path);
    bool good = sealed_map(fd, &file, error);
    if (good) {
        good = manifest_read(file, manifest, error);
        sealed_unmap(file);
    }
    close(fd);
    return good || error_prefix(error, "%s", path);
}

void describe_text(struct text *out, const char *string)
{
    text_append_line(out, bytes_of(string));
}

static const char *const kinds[] = {
    [PILLION_FLAG] = "flag", [PILLION_INTEGER] = "integer", [PILLION_SIZE] = "size",
    [PILLION_TIME] = "time", [PILLION_STRING] = "string",   [PILLION_ENUM] = "enum",
    [PILLION_LIST] = "list", [PILLION_PATH] = "path",       [PILLION_FILE] = "file",
};

const char *describe_kind(const pillion_directive *directive)
{
    size_t kind = (size_t)directive->type;

    return kind < sizeof(kinds) / sizeof(*kinds) && kinds[kind] != NULL ? kinds[kind] : "unknown";
}

const char *describe_metric(const pillion_metric *metric)
{
    return metric->type == PILLION_COUNTER     ? "counter"
           : metric->type == PILLION_GAUGE     ? "gauge"
           : metric->type == PILLION_HISTOGRAM ? "histogram"
                                               : "unknown";
}

bool describe_bounded(const pillion_directive *directive)
{
    return directive->min != 0 || directive->max != 0;
}

void describe_directive(struct text *out, const pillion_directive *directive)
{
    text_append_string(out, describe_kind(directive));
    for (const char *const *word = directive->words; word != NULL && *word != NULL; word++)
        text_printf(out, "%s%s", word == directive->words ? " of " : " | ", *word);
    if (describe_bounded(directive))
        text_printf(out, ", %lld to %lld%s", (long long)directive->min, (long long)directive->max,
                    directive->type == PILLION_TIME   ? " ms"
                    : directive->type == PILLION_SIZE ? " bytes"
                                                      : "");
    if (directive->required)
        text_append_string(out, ", required");
    else if (directive->fallback != NULL)
        text_printf(out, ", default \"%s\"", directive->fallback);
}

/* ---- Markdown ---- */

/* Appends text to a cell of a Markdown table, where a bar would end the cell. */
static void append_cell(struct text *out, const char *string)
{
    struct text clean = {0};

    describe_text(&clean, string == NULL ? "" : string);
    for (const char *c = text_string(&clean); *c != '\0'; c++) {
        if (*c == '|')
            text_append_char(out, '\\');
        text_append_char(out, *c);
    }
    text_free(&clean);
}

static void append_directives(struct text *out, const pillion_directive *directive)
{
    if (directive->name == NULL)
        return;
    text_append_string(out, "\n| directive | takes | |\n| --- | --- | --- |\n");
    for (; directive->name != NULL; directive++) {
        struct text takes = {0};
        describe_directive(&takes, directive);
        text_append_string(out, "| `");
        append_cell(out, directive->name);
        text_append_string(out, "` | ");
        append_cell(out, text_string(&takes));
        text_append_string(out, " | ");
        append_cell(out, directive->summary);
        text_append_string(out, " |\n");
        text_free(&takes);
    }
}

static void append_named(struct text *out, const char *name, const char *summary)
{
    text_append_string(out, "\n### ");
    describe_text(out, name);
    text_append_string(out, "\n");
    if (summary == NULL)
        return;
    text_append_string(out, "\n");
    describe_text(out, summary);
    text_append_string(out, "\n");
}

/* A row for each param, or member of a result, and for those in it. `before` is what their names
 * begin with. */
static void append_rows(struct text *out, const struct param_table *table, const char *before,
                        bool gives)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct param_row *row = &table->rows[i];
        struct text name = {0}, takes = {0};
        text_printf(&name, "%s%s", before, row->name.data);
        param_wanted(&takes, row, false);
        if (row->list)
            text_append_string(&takes, ", each ");
        if (row->list)
            param_wanted(&takes, row, true);
        if (gives && !param_is_always_there(row))
            text_append_string(&takes, ", or not there");
        else if (!gives && row->required)
            text_append_string(&takes, ", required");
        if (!gives && row->param->fallback != NULL)
            text_printf(&takes, ", default %s", row->param->fallback);
        text_append_string(out, "| `");
        append_cell(out, text_string(&name));
        text_append_string(out, "` | ");
        append_cell(out, text_string(&takes));
        text_append_string(out, " | ");
        append_cell(out, row->param->summary);
        text_append_string(out, " |\n");
        text_append_string(&name, row->list ? "[]." : ".");
        if (row->members != NULL)
            append_rows(out, row->members, text_string(&name), gives);
        text_free(&name);
        text_free(&takes);
    }
}

/* The method's table of params. False when it has none, or a wrong one. */
static bool append_params(struct text *out, const pillion_method *method)
{
    struct error error;
    struct param_table *table =
        method->args == NULL
            ? NULL
            : param_table_make(method->args, method->args_size, method->open, &error);

    if (table == NULL)
        return false;
    text_append_string(out, table->count == 0 ? "\nIt takes no params.\n"
                                              : "\n| param | takes | |\n| --- | --- | --- |\n");
    append_rows(out, table, "", false);
    param_table_free(table);
    return true;
}

/* The method's table of its result, likewise. */
static bool append_gives(struct text *out, const pillion_method *method)
{
    struct error error;
    struct param_table *table =
        method->gives == NULL ? NULL
                              : param_table_make_gives(method->gives, method->gives_size, &error);

    if (table == NULL)
        return false;
    text_append_string(out, "\n| result | is | |\n| --- | --- | --- |\n");
    append_rows(out, table, "", true);
    param_table_free(table);
    return true;
}

static void append_schema(struct text *out, const char *title, const char *schema)
{
    if (schema == NULL)
        return;
    text_printf(out, "\n%s:\n\n```json\n", title);
    describe_text(out, schema);
    text_append_string(out, "\n```\n");
}

/* `redis_method NAME WORD …;` */
static void append_short_form(struct text *out, const pillion_module *module,
                              const pillion_method *method)
{
    text_append_string(out, "\nIn one line: `");
    describe_text(out, module->name == NULL ? "?" : module->name);
    text_append_string(out, "_method NAME WORD …;` in a `server`, where the words are those of `");
    describe_text(out, method->directives->name);
    text_append_string(out, "`.\n");
}

void describe_markdown(struct text *out, const struct manifest *manifest)
{
    const pillion_module *module = &manifest->descriptor;

    text_append_string(out, "# ");
    describe_text(out, module->name == NULL ? "?" : module->name);
    if (module->version != NULL) {
        text_append_char(out, ' ');
        describe_text(out, module->version);
    }
    text_append_string(out, "\n");
    if (module->summary != NULL) {
        text_append_string(out, "\n");
        describe_text(out, module->summary);
        text_append_string(out, "\n");
    }
    if (module->directives->name != NULL)
        text_append_string(out, "\nIn the block of `load_module`:\n");
    append_directives(out, module->directives);
    if (module->methods->name != NULL)
        text_append_string(out, "\n## Methods\n");
    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        append_named(out, m->name, m->summary);
        if (m->title != NULL) {
            text_append_string(out, "\nTitle: ");
            describe_text(out, m->title);
            text_append_string(out, "\n");
        }
        if (m->idempotent)
            text_append_string(out, "\nIdempotent: one that waits when its worker crashes is run "
                                    "once more.\n");
        if (m->read_only)
            text_append_string(out, "\nRead-only: over HTTP it can be called by GET, too.\n");
        if (m->additive)
            text_append_string(out, "\nAdditive: nothing that there was is changed or removed.\n");
        if (!append_params(out, m))
            append_schema(out, "Params", m->params);
        if (!append_gives(out, m))
            append_schema(out, "Result", m->result);
        if (m->directives->name != NULL) {
            if (m == descriptor_first_configured(module))
                append_short_form(out, module, m);
            text_append_string(out, "\nIn the block of its `method`:\n");
        }
        append_directives(out, m->directives);
    }
    if (module->filters->name != NULL)
        text_append_string(out, "\n## Filters\n");
    for (const pillion_filter *f = module->filters; f->name != NULL; f++) {
        append_named(out, f->name, f->summary);
        append_directives(out, f->directives);
    }
    if (module->metrics->name != NULL)
        text_append_string(out, "\n## Metrics\n\n| metric | | |\n| --- | --- | --- |\n");
    for (const pillion_metric *m = module->metrics; m->name != NULL; m++) {
        text_append_string(out, "| `");
        append_cell(out, m->name);
        text_printf(out, "` | %s | ", describe_metric(m));
        append_cell(out, m->summary);
        text_append_string(out, " |\n");
    }
}
