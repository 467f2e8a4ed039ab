/* The modules of a process: what is loaded, and what the configuration's statements make of it.
 *
 * loader.h fills the set, bind.h makes method tables from it, hooks.h calls its hooks. */
#ifndef PILLION_MODULE_SET_H
#define PILLION_MODULE_SET_H

#include "conf/settings.h"
#include "rpc/filter.h"
#include "rpc/instance.h"

/* A module to load: a row of the generation. */
struct module_source {
    const struct module_settings *settings;
    int fd; /* sealed copy; -1 where pin_modules is off: then settings->path is loaded */
};

struct module {
    struct pillion_instance instance; /* first: its address is the module's */
    const struct module_settings *settings;
    pillion_module descriptor; /* a copy as this server knows it: fields that the module was
                                  compiled without are zero */
    void *handle;              /* dlopen(3) */
    bool started;
};

/* A filter statement of this worker; see rpc/filter.h. */
struct module_filter {
    struct filter_use use;
    struct module *module;
    const struct filter_settings *settings;
    bool started;
    struct module_filter *next;
};

/* A method statement whose handler has directives, likewise. */
struct module_method {
    const pillion_method *method;
    struct module *module;
    const struct method_settings *settings;
    void *config;
    struct module_method *next;
};

struct module_set {
    struct module *modules; /* in the order of the configuration */
    size_t count;
    struct module_filter *filters; /* in the order in which they were bound */
    struct module_method *methods; /* likewise: those whose handlers have directives */
    struct conf_tree *tree;
    struct conf_errors *errors;

    /* Told before each step that runs a module's code: "ping.so", "loading". Should the process
     * die, this is what it died of. */
    void (*stage)(void *context, const char *label, const char *doing);
    void *stage_context;
};

/* Tells `stage` that a step of `module` begins, if there is who wants to know. */
static inline void module_set_stage(const struct module_set *set, const struct module *module,
                                    const char *doing)
{
    if (set->stage != NULL)
        set->stage(set->stage_context, module->settings->label, doing);
}

#endif
