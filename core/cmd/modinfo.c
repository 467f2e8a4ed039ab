/* `pillion modinfo FILE.so`: what a module is and what it offers, without running any of its code.
 *
 * Everything comes from the file (module/manifest.h), so it is safe to use on an untrusted one. Its
 * texts are printed in a form that a terminal may hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_escape.h"
#include "base/printable.h"
#include "cmd/commands.h"
#include "cmd/describe.h"
#include "conf/needs.h"
#include "module/descriptor.h"
#include "wire/json.h"

enum { OPTION_JSON = 256 };

static const struct option_row options[] = {
    {OPTION_JSON, "json", NULL, "prints one JSON object"},
    {0, NULL, NULL, NULL},
};

#define HOOKS_MAX 4

/* The hooks that a module has, ended by NULL. */
static const char *const *hooks_of(const pillion_module *module, const char *hooks[HOOKS_MAX + 1])
{
    size_t count = 0;

    if (module->check != NULL)
        hooks[count++] = "check";
    if (module->start != NULL)
        hooks[count++] = "start";
    if (module->stop != NULL)
        hooks[count++] = "stop";
    if (module->reopen != NULL)
        hooks[count++] = "reopen";
    hooks[count] = NULL;
    return hooks;
}

/* ---- for people ---- */

static void append_line(struct text *out, const char *title, const char *value)
{
    text_printf(out, "%-12s", title);
    describe_text(out, value == NULL ? "-" : value);
    text_append_char(out, '\n');
}

static void append_list(struct text *out, const char *title, const char *const *list,
                        const char *between)
{
    struct text line = {0};

    for (; *list != NULL; list++)
        text_printf(&line, "%s%s", line.size == 0 ? "" : between, *list);
    append_line(out, title, line.size == 0 ? NULL : text_string(&line));
    text_free(&line);
}

/* Prints an indented row of a table: a name and its description. */
static void append_row(struct text *out, const char *name, const char *value)
{
    text_append_string(out, "  ");
    size_t before = out->size;
    describe_text(out, name);
    if (value != NULL) {
        size_t width = out->size - before;
        text_printf(out, "%*s", width < 18 ? (int)(20 - width) : 2, "");
        describe_text(out, value);
    }
    text_append_char(out, '\n');
}

/* "directives:" where rows follow, "directives: -" where none do. */
static void append_heading(struct text *out, const char *title, const char *first)
{
    if (first == NULL)
        append_line(out, title, NULL);
    else
        text_printf(out, "%s\n", title);
}

static void append_directives(struct text *out, const char *indent,
                              const pillion_directive *directive)
{
    for (; directive->name != NULL; directive++) {
        struct text line = {0}, name = {0};
        describe_directive(&line, directive);
        text_printf(&name, "%s%s", indent, directive->name);
        append_row(out, text_string(&name), text_string(&line));
        text_free(&name);
        if (directive->summary != NULL)
            append_row(out, "", directive->summary);
        text_free(&line);
    }
}

static void append_methods(struct text *out, const pillion_method *method)
{
    append_heading(out, "methods:", method->name);
    for (; method->name != NULL; method++) {
        append_row(out, method->name, method->summary);
        if (method->title != NULL)
            append_row(out, "    title", method->title);
        if (method->idempotent)
            append_row(out, "    idempotent", "may be run once more after a crash");
        if (method->read_only)
            append_row(out, "    read-only", "can be called by GET over HTTP, too");
        if (method->additive)
            append_row(out, "    additive", "changes and removes nothing that there was");
        if (method->params != NULL)
            append_row(out, "    params", method->params);
        if (method->result != NULL)
            append_row(out, "    result", method->result);
        append_directives(out, "    ", method->directives);
    }
}

static void append_filters(struct text *out, const pillion_filter *filter)
{
    append_heading(out, "filters:", filter->name);
    for (; filter->name != NULL; filter++) {
        append_row(out, filter->name, filter->summary);
        append_directives(out, "    ", filter->directives);
    }
}

static void append_metrics(struct text *out, const pillion_metric *metric)
{
    append_heading(out, "metrics:", metric->name);
    for (; metric->name != NULL; metric++)
        append_row(out, metric->name, metric->summary);
}

static void write_text(const char *path, const struct manifest *manifest, struct text *out)
{
    const pillion_module *module = &manifest->descriptor;
    const char *hooks[HOOKS_MAX + 1];
    char abi[32];

    (void)path;
    snprintf(abi, sizeof(abi), "%u.%u", manifest->facts.abi_major, manifest->facts.abi_minor);
    append_line(out, "name:", module->name);
    append_line(out, "version:", module->version);
    append_line(out, "summary:", module->summary);
    append_line(out, "ABI:", abi);
    append_list(out, "hooks:", hooks_of(module, hooks), ", ");
    struct text may = {0};
    needs_write(module->needs, ", ", &may);
    if (manifest->facts.abi_minor < DECLARES_SINCE) {
        text_clear(&may);
        text_printf(&may, "undeclared, which needs ABI 1.%u", DECLARES_SINCE);
    }
    append_line(out, "sandbox:", text_string(&may));
    text_free(&may);
    append_methods(out, module->methods);
    append_filters(out, module->filters);
    append_metrics(out, module->metrics);
    append_heading(out, "directives:", module->directives->name);
    append_directives(out, "", module->directives);
    append_list(out, "built with:", manifest->built_by, "; ");
    append_list(out, "needs:", manifest->needed, ", ");
    if (manifest->search != NULL)
        append_line(out, "looks in:", manifest->search);
    struct text loads = {0};
    text_append_string(&loads, "yes, as far as the file tells");
    if (manifest->refusal.text[0] != '\0') {
        text_clear(&loads);
        text_printf(&loads, "no: %s", manifest->refusal.text);
    }
    append_line(out, "loads here:", text_string(&loads));
    text_free(&loads);
}

/* ---- for programs ---- */

static void append_string(struct text *out, const char *string)
{
    if (string == NULL) {
        text_append_string(out, "null");
        return;
    }
    text_append_char(out, '"');
    text_append_json(out, bytes_of(string));
    text_append_char(out, '"');
}

static void append_member(struct text *out, const char *name, const char *value)
{
    text_printf(out, ", \"%s\": ", name);
    append_string(out, value);
}

/* A schema is JSON as text; one that is not is given as a string. */
static void append_schema(struct text *out, const char *name, const char *schema)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (schema == NULL || !json_check(bytes_of(schema), &limits, &error))
        append_member(out, name, schema);
    else
        text_printf(out, ", \"%s\": %s", name, schema);
}

static void append_strings(struct text *out, const char *name, const char *const *list)
{
    const char *between = "";

    text_printf(out, ", \"%s\": [", name);
    for (; list != NULL && *list != NULL; list++) {
        text_append_string(out, between);
        append_string(out, *list);
        between = ", ";
    }
    text_append_char(out, ']');
}

static void append_directive_json(struct text *out, const pillion_directive *directive)
{
    text_append_string(out, "{\"name\": ");
    append_string(out, directive->name);
    append_member(out, "kind", describe_kind(directive));
    append_member(out, "default", directive->fallback);
    if (describe_bounded(directive))
        text_printf(out, ", \"min\": %lld, \"max\": %lld", (long long)directive->min,
                    (long long)directive->max);
    if (directive->words != NULL)
        append_strings(out, "words", directive->words);
    text_printf(out, ", \"required\": %s", directive->required ? "true" : "false");
    append_member(out, "summary", directive->summary);
    text_append_char(out, '}');
}

static void append_directives_json(struct text *out, const pillion_directive *directives)
{
    text_append_string(out, ", \"directives\": [");
    for (const pillion_directive *d = directives; d->name != NULL; d++) {
        text_append_string(out, d == directives ? "" : ", ");
        append_directive_json(out, d);
    }
    text_append_char(out, ']');
}

static void append_method_json(struct text *out, const pillion_method *method)
{
    text_append_string(out, "{\"name\": ");
    append_string(out, method->name);
    append_member(out, "summary", method->summary);
    if (method->title != NULL)
        append_member(out, "title", method->title);
    if (method->idempotent)
        text_append_string(out, ", \"idempotent\": true");
    if (method->read_only)
        text_append_string(out, ", \"read_only\": true");
    if (method->additive)
        text_append_string(out, ", \"additive\": true");
    append_schema(out, "params", method->params);
    append_schema(out, "result", method->result);
    if (method->directives->name != NULL)
        append_directives_json(out, method->directives);
    text_append_char(out, '}');
}

/* What it may do in the sandbox; null where it could not say. */
static void append_needs_json(struct text *out, const struct manifest *manifest)
{
    const char *names[8] = {NULL};
    size_t count = 0;

    if (manifest->facts.abi_minor < DECLARES_SINCE) {
        append_member(out, "sandbox", NULL);
        return;
    }
    for (const struct need *n = need_table; n->name != NULL; n++) {
        if ((manifest->descriptor.needs & n->bit) != 0)
            names[count++] = n->name;
    }
    append_strings(out, "sandbox", names);
}

static void write_json(const char *path, const struct manifest *manifest, struct text *out)
{
    const pillion_module *module = &manifest->descriptor;
    const char *hooks[HOOKS_MAX + 1];

    text_append_string(out, "{\"file\": ");
    append_string(out, path);
    append_member(out, "name", module->name);
    append_member(out, "version", module->version);
    append_member(out, "summary", module->summary);
    text_printf(out, ", \"abi\": {\"major\": %u, \"minor\": %u}", manifest->facts.abi_major,
                manifest->facts.abi_minor);
    append_strings(out, "hooks", hooks_of(module, hooks));
    append_needs_json(out, manifest);
    text_append_string(out, ", \"methods\": [");
    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        text_append_string(out, m == module->methods ? "" : ", ");
        append_method_json(out, m);
    }
    text_append_string(out, "], \"filters\": [");
    for (const pillion_filter *f = module->filters; f->name != NULL; f++) {
        text_append_string(out, f == module->filters ? "{\"name\": " : ", {\"name\": ");
        append_string(out, f->name);
        append_member(out, "summary", f->summary);
        append_directives_json(out, f->directives);
        text_append_char(out, '}');
    }
    text_append_string(out, "], \"metrics\": [");
    for (const pillion_metric *m = module->metrics; m->name != NULL; m++) {
        text_append_string(out, m == module->metrics ? "{\"name\": " : ", {\"name\": ");
        append_string(out, m->name);
        append_member(out, "type", describe_metric(m));
        append_member(out, "summary", m->summary);
        for (size_t i = 0; i < m->bound_count; i++)
            text_printf(out, "%s%.17g", i == 0 ? ", \"bounds\": [" : ", ", m->bounds[i]);
        text_append_string(out, m->bound_count > 0 ? "]}" : "}");
    }
    text_append_char(out, ']');
    append_directives_json(out, module->directives);
    append_strings(out, "built_with", manifest->built_by);
    append_strings(out, "needs", manifest->needed);
    if (manifest->search != NULL)
        append_member(out, "looks_in", manifest->search);
    text_printf(out, ", \"loads\": %s", manifest->refusal.text[0] == '\0' ? "true" : "false");
    append_member(out, "refusal",
                  manifest->refusal.text[0] == '\0' ? NULL : manifest->refusal.text);
    text_append_string(out, "}\n");
}

/* ---- the command ---- */

static bool read_file(const char *path, bool json, struct text *out, struct error *error)
{
    struct manifest manifest;

    if (!describe_read(path, &manifest, error))
        return false;
    (json ? write_json : write_text)(path, &manifest, out);
    manifest_close(&manifest);
    return true;
}

static int take_option(struct args *args, int id, void *json)
{
    (void)args;
    (void)id;
    *(bool *)json = true;
    return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct text out = {0};
    struct error error;
    const char *path;
    bool json = false;

    int status = args_read(&args, take_option, &json, &path, 1);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    if (path == NULL)
        return command_misused(self, "which FILE?");
    if (!read_file(path, json, &out, &error))
        return command_failed(self, EXIT_FAILURE, "%s", error.text);
    printable_print(stdout, (struct bytes){text_string(&out), out.size});
    text_free(&out);
    return command_flush(self, EXIT_SUCCESS);
}

const struct command modinfo_command = {
    .name = "modinfo",
    .run = run,
    .usage = "[--json] FILE.so",
    .summary = "Tells what a module is and offers, without running any of it.",
    .options = options,
};
