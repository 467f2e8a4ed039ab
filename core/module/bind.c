/* From `method` statements to a server's method table. See loader.h. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "module/descriptor.h"
#include "module/filters.h"

struct found {
    struct module *module;
    const pillion_method *method;
};

static struct found find_by_name(const struct module_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        const pillion_method *method = descriptor_method(&set->modules[i].descriptor, name);
        if (method != NULL)
            return (struct found){&set->modules[i], method};
    }
    return (struct found){NULL, NULL};
}

/* `hello.greet`: the method greet of the module hello; `rpc.list`: the method that the module rpc
 * itself calls rpc.list. */
static struct found find_handler(const struct module_set *set, const char *handler)
{
    const char *dot = strchr(handler, '.');

    for (size_t i = 0; i < set->count && dot != NULL; i++) {
        struct module *module = &set->modules[i];
        size_t size = (size_t)(dot - handler);
        if (strlen(module->instance.name) != size ||
            memcmp(module->instance.name, handler, size) != 0)
            continue;
        const pillion_method *method = descriptor_method(&module->descriptor, dot + 1);
        if (method == NULL)
            method = descriptor_method(&module->descriptor, handler);
        return (struct found){module, method};
    }
    return (struct found){NULL, NULL};
}

/* As `handler` wants it; in the tree's memory. */
static const char *full_name(const struct module_set *set, const struct module *module,
                             const pillion_method *method)
{
    char name[512];
    snprintf(name, sizeof(name), "%s.%s", module->instance.name, method->name);
    return pool_must_strdup(&set->tree->pool, name);
}

/* "ping offers ping; hello offers greet, hello.count". With `handlers`, as handler wants them. */
static void list_offers(const struct module_set *set, bool handlers, struct suggest *suggest,
                        struct text *text)
{
    if (set->count == 0)
        text_append_string(text, "no module is loaded");
    for (size_t i = 0; i < set->count; i++) {
        const struct module *module = &set->modules[i];
        const pillion_method *methods = module->descriptor.methods;
        text_printf(text, "%s%s offers ", i == 0 ? "" : "; ", module->instance.name);
        if (methods->name == NULL)
            text_append_string(text, "no methods");
        for (const pillion_method *m = methods; m->name != NULL; m++) {
            text_printf(text, "%s%s", m == methods ? "" : ", ", m->name);
            if (handlers)
                suggest_offer(suggest, full_name(set, module, m));
            else
                suggest_offer(suggest, m->name);
        }
    }
}

static void report_unknown(struct module_set *set, const struct method_settings *wanted)
{
    bool handler = wanted->handler != NULL;
    const char *name = handler ? wanted->handler : wanted->name;
    struct suggest suggest = suggest_start(name);
    struct text offers = {0};

    list_offers(set, handler, &suggest, &offers);
    conf_error(set->errors, handler ? &wanted->handler_place : &wanted->place,
               "no loaded module provides %s \"%s\"%s%s%s (%s)",
               handler ? "the handler" : "a method", name,
               suggest.nearest == NULL ? "" : "; did you mean \"",
               suggest.nearest == NULL ? "" : suggest.nearest, suggest.nearest == NULL ? "" : "\"?",
               text_string(&offers));
    text_free(&offers);
}

bool module_set_bind(struct module_set *set, const struct server_settings *server,
                     uint64_t handler_timeout_ms, struct method_table *table)
{
    struct filter_list everywhere, filters;
    bool good = filters_bind(set, server->filters, NULL, &everywhere);

    for (const struct method_settings *m = server->methods; m != NULL; m = m->next) {
        struct found found =
            m->handler != NULL ? find_handler(set, m->handler) : find_by_name(set, m->name);
        if (found.method == NULL) {
            report_unknown(set, m);
            good = false;
            continue;
        }
        good = filters_bind(set, m->filters, &everywhere, &filters) && good;
        uint64_t timeout_ms = m->timeout_ms != 0 ? m->timeout_ms : handler_timeout_ms;
        struct method method = {
            .name = bytes_of(m->name),
            .handler = found.method->handler,
            .instance = &found.module->instance,
            .own_name = found.method->name,
            .summary = found.method->summary == NULL ? "" : found.method->summary,
            .params_schema = found.method->params,
            .result_schema = found.method->result,
            .filters = filters.uses,
            .filter_count = filters.count,
            .timeout_ns = timeout_ms * NS_PER_MS,
            .idempotent = found.method->idempotent,
        };
        method_table_add(table, &method);
    }
    method_table_seal(table);
    return good;
}
