/* Calling modules' hooks. See hooks.h. */
#include "module/hooks.h"

#include <stdio.h>

#include "module/hook_error.h"
#include "rpc/note.h"

typedef int statement_hook(pillion_instance *self, void *config, pillion_error_text *error);

/* Announces that a hook of the module runs next; `hook` is its name in the descriptor. */
static void stage_hook(const struct module_set *set, const struct module *module, const char *hook)
{
    char doing[64];

    snprintf(doing, sizeof(doing), "running its %s hook", hook);
    module_set_stage(set, module, doing);
}

static bool call_hook(struct module_set *set, struct module *module, const char *name,
                      int (*hook)(pillion_instance *, pillion_error_text *))
{
    pillion_error_text error = {.text = ""};

    if (hook == NULL)
        return true;
    stage_hook(set, module, name);
    struct note before = note_enter(DUTY_HOOK, &module->instance, &(struct origin){0});
    int status = hook(&module->instance, &error);
    note_leave(&before);
    if (status != 0)
        conf_error(set->errors,
                   hook_error_place(&error, module->settings->block, &module->settings->place),
                   "%s: %s failed: %s", module->settings->label, name,
                   error.text[0] == '\0' ? "the module gave no reason" : error.text);
    return status == 0;
}

/* Calls the start hook of a statement's handler or filter; `kind` and `name` stand for the
 * statement in errors. True when there is no hook. */
static bool statement_start(struct module_set *set, struct module *module, statement_hook *start,
                            void *config, const struct conf_place *place,
                            const struct conf_statement *block, const char *kind, const char *name)
{
    pillion_error_text error = {.text = ""};

    if (start == NULL)
        return true;
    stage_hook(set, module, "start");
    struct note before = note_enter(DUTY_HOOK, &module->instance, &(struct origin){0});
    int status = start(&module->instance, config, &error);
    note_leave(&before);
    if (status != 0)
        conf_error(set->errors, hook_error_place(&error, block, place), "%s %s: start failed: %s",
                   kind, name, error.text[0] == '\0' ? "the module gave no reason" : error.text);
    return status == 0;
}

/* ---- Of statements ---- */

static bool methods_start(struct module_set *set, const struct module *module)
{
    for (struct module_method *use = set->methods; use != NULL; use = use->next) {
        const struct method_settings *settings = use->settings;
        if (use->module == module &&
            !statement_start(set, use->module, use->method->start, use->config, &settings->place,
                             settings->block, "method", settings->name))
            return false;
    }
    return true;
}

static bool filters_start(struct module_set *set, const struct module *module)
{
    for (struct module_filter *use = set->filters; use != NULL; use = use->next) {
        if (use->module != module)
            continue;
        if (!statement_start(set, use->module, use->use.filter->start, use->use.config,
                             &use->settings->place, use->settings->block, "filter",
                             use->settings->name))
            return false;
        use->started = true;
    }
    return true;
}

static void filters_stop(struct module_set *set, const struct module *module)
{
    for (struct module_filter *use = set->filters; use != NULL; use = use->next) {
        if (use->module != module || !use->started || use->use.filter->stop == NULL)
            continue;
        stage_hook(set, module, "stop");
        struct note before = note_enter(DUTY_HOOK, use->use.instance, &(struct origin){0});
        use->use.filter->stop(use->use.instance, use->use.config);
        note_leave(&before);
    }
}

/* ---- Of all modules ---- */

bool module_set_check(struct module_set *set)
{
    bool good = true;

    for (size_t i = 0; i < set->count; i++)
        good = call_hook(set, &set->modules[i], "check", set->modules[i].descriptor.check) && good;
    if (good)
        module_set_stage_over(set, "checked");
    return good;
}

bool module_set_start(struct module_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct module *module = &set->modules[i];
        if (!call_hook(set, module, "start", module->descriptor.start))
            return false;
        module->started = true;
        if (!methods_start(set, module) || !filters_start(set, module))
            return false;
    }
    module_set_stage_over(set, "started");
    return true;
}

void module_set_reopen(struct module_set *set, struct text *failures)
{
    for (size_t i = 0; i < set->count; i++) {
        struct module *module = &set->modules[i];
        pillion_error_text error = {.text = ""};
        if (!module->started || module->descriptor.reopen == NULL)
            continue;
        struct note before = note_enter(DUTY_HOOK, &module->instance, &(struct origin){0});
        int status = module->descriptor.reopen(&module->instance, &error);
        note_leave(&before);
        if (status != 0)
            text_printf(failures, "%s: %s\n", module->settings->label,
                        error.text[0] == '\0' ? "reopen failed, and gave no reason" : error.text);
    }
}

void module_set_stop(struct module_set *set)
{
    for (size_t i = set->count; i-- > 0;) {
        struct module *module = &set->modules[i];
        if (!module->started)
            continue;
        filters_stop(set, module);
        if (module->descriptor.stop != NULL) {
            stage_hook(set, module, "stop");
            struct note before = note_enter(DUTY_HOOK, &module->instance, &(struct origin){0});
            module->descriptor.stop(&module->instance);
            note_leave(&before);
        }
    }
    module_set_stage_over(set, "stopped");
}
