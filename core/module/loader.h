/* Modules: from sealed bytes to methods that can be called.
 *
 * Only probes and workers call this, never the master. A module is inspected as bytes first
 * (module/elf.h), so that what can be known without running it is said before any of its code,
 * constructors included, runs; then loaded with RTLD_NOW | RTLD_LOCAL, its descriptor checked, its
 * directives read, its hooks called. Nothing is ever unloaded: the process's exit is the unload. */
#ifndef PILLION_MODULE_LOADER_H
#define PILLION_MODULE_LOADER_H

#include "conf/settings.h"
#include "rpc/board.h"
#include "rpc/filter.h"
#include "rpc/instance.h"
#include "rpc/method.h"

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
void module_set_stage(const struct module_set *set, const struct module *module, const char *doing);

/* The same before a hook: `hook` is its name in the descriptor. */
void module_set_stage_hook(const struct module_set *set, const struct module *module,
                           const char *hook);

/* Loads all and reads their directives. Errors are added to set->errors at the place of their
 * load_module, as many as can be told in one run. `slot` and the two after it are for
 * pillion_worker() and its kin. */
bool module_set_load(struct module_set *set, const struct module_source *sources, size_t count,
                     int slot, int slots, uint64_t generation);

/* Makes the method table of one server: resolves each `method` statement to a loaded module's
 * method. What no module provides is an error that lists what they offer, and suggests. Timeouts
 * come from the statement, or from `handler_timeout_ms`. */
bool module_set_bind(struct module_set *set, const struct server_settings *server,
                     uint64_t handler_timeout_ms, struct method_table *table);

/* Appends the names of the modules' metrics to a list for the master (metrics_declare). */
void module_set_describe_metrics(const struct module_set *set, struct text *list);

/* Has the modules count in the worker's row from now on. */
void module_set_attach(struct module_set *set, const struct board *board, struct board_row *row);

/* Calls every `check` hook: all are called, all errors are collected. */
bool module_set_check(struct module_set *set);

/* What pillion_worker tells from now on. */
void module_set_place(struct module_set *set, int slot);

/* Calls `start` hooks in order and stops at the first that fails. */
bool module_set_start(struct module_set *set);

/* Calls the `reopen` hooks, all of them. What could not be opened is added to `failures`, a line
 * for each module. */
void module_set_reopen(struct module_set *set, struct text *failures);

/* Calls the `stop` hooks of what was started, in reverse order. */
void module_set_stop(struct module_set *set);

#endif
