/* From `method` statements to a server's method table. See bind.h. */
#include "module/bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "conf/directive.h"
#include "conf/settings_table.h"
#include "module/declared.h"
#include "module/descriptor.h"
#include "module/filter_bind.h"
#include "module/method_schema.h"
#include "rpc/board.h"
#include "rpc/mcp.h"
#include "rpc/mcp_field.h"
#include "rpc/param_table.h"
#include "rpc/schema.h"
#include "rpc/status.h"
#include "rpc/tool.h"

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

/* Finds a handler by its name. `hello.greet` is the method greet of the module hello; `rpc.list` is
 * the method that the module rpc itself names rpc.list. */
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

/* Finds the method that a `MODULE_method` statement makes. When there is none, the error is
 * reported. */
static struct found find_of_module(struct module_set *set, const struct method_settings *wanted)
{
    struct suggest suggest = suggest_start(wanted->module);
    struct text names = {0};

    for (size_t i = 0; i < set->count; i++) {
        struct module *module = &set->modules[i];
        const pillion_method *method = descriptor_first_configured(&module->descriptor);
        bool named = strcmp(module->instance.name, wanted->module) == 0;
        if (named) {
            text_free(&names);
            if (method != NULL)
                return (struct found){module, method};
            conf_error(set->errors, &wanted->handler_place,
                       "module %s makes no methods in the configuration; \"method\" enables the "
                       "methods that it has",
                       wanted->module);
            return (struct found){NULL, NULL};
        }
        if (method == NULL)
            continue;
        text_printf(&names, "%s%s", names.size == 0 ? "" : ", ", module->instance.name);
        suggest_offer(&suggest, module->instance.name);
    }
    conf_error(set->errors, &wanted->handler_place, "no module \"%s\" is loaded%s%s%s (%s%s)",
               wanted->module, suggest.nearest == NULL ? "" : "; did you mean \"",
               suggest.nearest == NULL ? "" : suggest.nearest,
               suggest.nearest == NULL ? "" : "_method\"?",
               names.size == 0 ? "no loaded module makes methods in the configuration"
                               : "methods in the configuration are made by ",
               text_string(&names));
    text_free(&names);
    return (struct found){NULL, NULL};
}

/* The method's name as `handler` takes it; in the tree's memory. */
static const char *full_name(const struct module_set *set, const struct module *module,
                             const pillion_method *method)
{
    char name[512];
    snprintf(name, sizeof(name), "%s.%s", module->instance.name, method->name);
    return pool_must_strdup(&set->tree->pool, name);
}

/* Writes "ping offers ping; hello offers greet, hello.count". `handlers`: suggests names as
 * `handler` takes them. */
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

/* Finds the method that a statement names. When there is none, the error is reported. */
static struct found find_method(struct module_set *set, const struct method_settings *wanted)
{
    if (wanted->module != NULL)
        return find_of_module(set, wanted);
    struct found found = wanted->handler != NULL ? find_handler(set, wanted->handler)
                                                 : find_by_name(set, wanted->name);
    if (found.method == NULL)
        report_unknown(set, wanted);
    return found;
}

/* Fills the structure of a `method` statement by its handler's directives. False with errors
 * reported; `config` stays NULL when the handler has none. */
static bool configure(struct module_set *set, const struct method_settings *settings,
                      const struct found *found, void **config)
{
    const pillion_method *method = found->method;
    char where[256];
    const struct directives_place at = {
        .module = found->module,
        .context = CONF_IN_METHOD,
        .where = where,
        .place = &settings->place,
        .block = settings->block,
        .others = settings_directives,
    };

    if (method->config_size > 0)
        *config = must_zalloc(method->config_size);
    if (method->config_size > 0 || method->start != NULL) {
        struct module_method *use = must_zalloc(sizeof(*use)), **tail = &set->methods;
        *use = (struct module_method){
            .method = method, .module = found->module, .settings = settings, .config = *config};
        while (*tail != NULL)
            tail = &(*tail)->next;
        *tail = use;
    }
    snprintf(where, sizeof(where), "method %.200s", settings->name);
    return directives_apply(set, method->directives, &at, *config);
}

/* Turns the words of a `MODULE_method` statement into a statement of the handler's first directive.
 * False with an error reported when the block gives that directive, too. */
static bool name_words(struct module_set *set, const struct method_settings *m, const char *name)
{
    char what[256];

    if (m->words == NULL)
        return true;
    m->words->name.text = name;
    for (const struct conf_statement *s = m->words->next; s != NULL; s = s->next) {
        if (strcmp(s->name.text, name) != 0)
            continue;
        snprintf(what, sizeof(what), "\"%s\" of \"%s_method %.100s\"", name, m->module, m->name);
        struct conf_apply apply = {.tree = set->tree, .errors = set->errors};
        conf_error_twice(&apply, &s->name.place, &m->words->name.place, what);
        return false;
    }
    return true;
}

/* The table by which requests of the method are read; NULL when it has none. It lives as long as
 * the process. */
static const struct param_table *make_args(const pillion_method *method)
{
    struct error error;

    if (method->args == NULL)
        return NULL;
    const struct param_table *args =
        param_table_make(method->args, method->args_size, method->open, &error);
    if (args == NULL) /* descriptor_copy has made the same one */
        abort();
    return args;
}

/* Likewise the table by which its results are written. */
static const struct param_table *make_gives(const pillion_method *method)
{
    struct error error;

    if (method->gives == NULL)
        return NULL;
    const struct param_table *gives =
        param_table_make_gives(method->gives, method->gives_size, &error);
    if (gives == NULL)
        abort();
    return gives;
}

/* What is enforced of the method's schemas. Without a word in the configuration, a module that was
 * built when nothing was enforced runs as it did. */
static int validated(const struct module_set *set, const struct module *module,
                     const struct server_settings *server, const struct method_settings *method)
{
    if (method->validate != VALIDATE_DEFAULT)
        return method->validate;
    if (server->validate != VALIDATE_DEFAULT)
        return server->validate;
    if (module->descriptor.abi_minor < SCHEMA_MINOR)
        return VALIDATE_OFF;
    return set->is_trial ? VALIDATE_ALL : VALIDATE_PARAMS;
}

/* The schema by which values are checked; NULL when there is none, or an older module has one that
 * is none. It lives as long as the process. */
static const struct schema *make_schema(const char *text, bool enforced)
{
    struct error error;

    return text == NULL || !enforced ? NULL : schema_make(bytes_of(text), &error);
}

static bool any_unseen(const struct filter_list *filters)
{
    for (size_t i = 0; i < filters->count; i++) {
        const pillion_filter *filter = filters->uses[i].filter; /* NULL after a mistake */
        if (filter != NULL && filter->unseen)
            return true;
    }
    return false;
}

/* Stands for unknown methods: only the filters for the whole server run. */
static struct method no_method(const struct filter_list *everywhere)
{
    static struct pillion_instance core = {.name = "core", .version = ""};

    return (struct method){
        .name = BYTES(""),
        .instance = &core,
        .own_name = "?",
        .summary = "",
        .filters = everywhere->uses,
        .filter_count = everywhere->count,
        .unseen = any_unseen(everywhere),
        .index = BOARD_NO_METHOD,
    };
}

/* A method of the core's own, with the filters for the whole server. */
static struct method own_method(const char *name, void (*handler)(pillion_request *req),
                                const struct filter_list *everywhere, uint64_t timeout_ms)
{
    struct method method = no_method(everywhere);

    method.name = bytes_of(name);
    method.own_name = name;
    method.handler = handler;
    method.timeout_ns = timeout_ms * NS_PER_MS;
    method.slow_ns = SLOW_NEVER;
    method.read_only = method.idempotent = true;
    return method;
}

/* From which time on a request of the method is slow. */
static uint64_t slow_after(const struct server_settings *server, const struct method_settings *m)
{
    uint64_t ms =
        m->slow_threshold_ms == SLOW_AS_SERVER ? server->slow_threshold_ms : m->slow_threshold_ms;

    return ms == 0 ? SLOW_NEVER : ms * NS_PER_MS;
}

/* Reads what the configuration declares of the method. False with an error reported. */
static bool declare(struct module_set *set, const struct method_settings *m,
                    const pillion_method *method, struct declared *declared)
{
    struct text advice = {0};
    struct error error;

    *declared = (struct declared){0};
    if (m->declares == NULL)
        return true;
    bool good = declared_read(m->declares, m->declares_lenient, &set->tree->pool, declared, &advice,
                              &error);
    if (good && method->args != NULL && declared->params != NULL) {
        good = m->declares_lenient;
        declared->params = NULL;
        error_set(&error, "the method reads its params by a table of its own, and there is "
                          "nothing to declare of them");
    }
    if (!good)
        conf_error(set->errors, &m->declares_place, "\"declares\" of the method \"%s\": %s",
                   m->name, error.text);
    for (char *line = advice.data, *end;
         set->advises && line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1)
        log_warn("the method \"%s\", as it is declared: %.*s", m->name, (int)(end - line), line);
    text_free(&advice);
    return good;
}

/* Fills the method's members that tell of it: as declared, or as its module says. */
static void describe(struct method *method, const pillion_method *own,
                     const struct declared *declared, int idempotent)
{
    method->summary = declared->summary != NULL ? declared->summary
                      : own->summary != NULL    ? own->summary
                                                : "";
    method->title = declared->title != NULL ? declared->title : own->title;
    method->params_schema = declared->params != NULL                      ? declared->params
                            : own->params != NULL || method->args == NULL ? own->params
                                                                          : method->args->schema;
    method->result_schema = declared->result != NULL                       ? declared->result
                            : own->result != NULL || method->gives == NULL ? own->result
                                                                           : method->gives->schema;
    method->read_only = declared->read_only != NULL ? *declared->read_only : own->read_only;
    method->additive = declared->additive != NULL ? *declared->additive : own->additive;
    method->idempotent = idempotent != IDEMPOTENT_DECLARED ? idempotent == IDEMPOTENT_ON
                         : declared->idempotent != NULL    ? *declared->idempotent
                                                           : own->idempotent;
}

/* Applies the block of a `proxy_all`, as that of each method that is found for it will be. */
static bool try_block(struct module_set *set, const struct found *forward,
                      const struct proxy_all_settings *all, const struct filter_list *everywhere)
{
    struct filter_list filters;
    void *config = NULL;
    bool good = filters_bind(set, all->any->filters, everywhere, &filters);

    return configure(set, all->any, forward, &config) && good;
}

/* `proxy_all` makes methods of proxy's, as soon as some are found: what is wrong with that is said
 * before. The probe tries each block with a method that nobody can call. */
static bool check_proxy_all(struct module_set *set, const struct server_settings *server,
                            const struct filter_list *everywhere)
{
    const struct found forward = find_handler(set, "proxy.forward");
    bool good = true;

    if (server->proxy_alls != NULL && forward.method == NULL) {
        conf_error(set->errors, &server->proxy_alls->place,
                   "\"proxy_all\" needs the module proxy: write \"load_module modules/proxy.so;\", "
                   "outside of all blocks");
        return false;
    }
    for (const struct proxy_all_settings *p = server->proxy_alls; p != NULL && set->advises;
         p = p->next)
        good = try_block(set, &forward, p, everywhere) && good;
    return good;
}

bool module_set_bind(struct module_set *set, const struct server_settings *server,
                     uint64_t handler_timeout_ms, struct method_table *table)
{
    struct filter_list everywhere, filters;
    bool good = filters_bind(set, server->filters, NULL, &everywhere);
    good = check_proxy_all(set, server, &everywhere) && good;

    for (const struct method_settings *m = server->methods; m != NULL; m = m->next) {
        struct found found = find_method(set, m);
        if (found.method == NULL) {
            good = false;
            continue;
        }
        good = name_words(set, m, found.method->directives->name) && good;
        good = filters_bind(set, m->filters, &everywhere, &filters) && good;
        void *config = NULL;
        good = configure(set, m, &found, &config) && good;
        struct declared declared;
        good = declare(set, m, found.method, &declared) && good;
        int validate = validated(set, found.module, server, m);
        uint64_t timeout_ms = m->timeout_ms != 0 ? m->timeout_ms : handler_timeout_ms;
        struct method method = {
            .name = bytes_of(m->name),
            .handler = found.method->handler,
            .instance = &found.module->instance,
            .config = config,
            .own_name = found.method->name,
            .args = make_args(found.method),
            .gives = make_gives(found.method),
            .filters = filters.uses,
            .filter_count = filters.count,
            .unseen = any_unseen(&filters),
            .timeout_ns = timeout_ms * NS_PER_MS,
            .slow_ns = slow_after(server, m),
            .found = m->found,
            .pool = m->pool.name != NULL ? m->pool.index : found.module->instance.pool,
        };
        describe(&method, found.method, &declared, m->idempotent);
        method.params_rule =
            make_schema(method.args != NULL ? found.method->params : method.params_schema,
                        validate != VALIDATE_OFF);
        method.result_rule = make_schema(method.result_schema, validate == VALIDATE_ALL);
        method.declares = method.args != NULL || method.params_rule != NULL;
        method.has_fields = mcp_schema_has_fields(method.params_schema);
        method.tool = m->tool == TOOL_ON ? tool_name_is_valid(method.name)
                                         : m->tool == TOOL_DECLARED && tool_is_declared(&method);
        method_table_add(table, &method);
    }
    table->none = no_method(&everywhere); /* every method has a list of its own */
    table->mcp = own_method(MCP_METHOD, mcp_answer, &everywhere, handler_timeout_ms);
    table->metrics =
        own_method(STATUS_METRICS_METHOD, status_answer_metrics, &everywhere, handler_timeout_ms);
    table->status = own_method(STATUS_METHOD, status_answer, &everywhere, handler_timeout_ms);
    method_table_seal(table);
    return good;
}
