/* The modules of a process, with the filters and methods that the configuration's statements make
 * of them.
 *
 * loader.h fills the set, bind.h makes method tables from it, hooks.h calls its hooks. */
#ifndef PILLION_MODULE_SET_H
#define PILLION_MODULE_SET_H

#include <stdio.h>

#include "conf/settings.h"
#include "rpc/instance.h"
#include "rpc/method.h"

/* A module to load, as the generation has it. */
struct module_file {
    const struct module_settings *settings;
    int fd; /* sealed copy; -1 when pin_modules is off: then settings->path is loaded */
};

struct module {
    struct pillion_instance instance; /* first, so that its address is the module's */
    const struct module_settings *settings;
    pillion_module descriptor; /* a copy in this server's version; members that the module was
                                  compiled without are zero */
    void *handle;              /* dlopen(3) */
    bool started;
};

/* A `filter` statement; see rpc/run.h. */
struct module_filter {
    struct filter_use use;
    struct module *module;
    const struct filter_settings *settings;
    bool started;
    struct module_filter *next;
};

/* A `method` statement whose handler has directives. */
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
    struct module_method *methods; /* likewise; only statements whose handlers have directives */
    struct conf_tree *tree;
    struct conf_errors *errors;
    bool advises;  /* what is worth a word to a module's author, and no error, is logged */
    bool is_trial; /* of <pillion/test.h>: results are checked too, where nothing else is said */

    /* Called before each step that runs a module's code, with "ping.so", "loading", say, and after
     * the last step of a kind, with "". If the process dies, it has died in that step. */
    void (*stage)(void *context, const char *label, const char *doing);
    void *stage_context;
};

/* Tells `stage`, if it is set, that a step of `module` begins. */
static inline void module_set_stage(const struct module_set *set, const struct module *module,
                                    const char *doing)
{
    if (set->stage != NULL)
        set->stage(set->stage_context, module->settings->label, doing);
}

/* Tells `stage` that the steps of all modules are over for now: they were "loaded", say. */
static inline void module_set_stage_over(const struct module_set *set, const char *done)
{
    char doing[64];

    snprintf(doing, sizeof(doing), "starting, after its modules were %s", done);
    if (set->stage != NULL)
        set->stage(set->stage_context, "", doing);
}

#endif
