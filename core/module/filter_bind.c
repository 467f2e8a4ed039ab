/* From `filter` statements to a method's list of filters. See filter_bind.h. */
#include "module/filter_bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/suggest.h"
#include "module/descriptor.h"

static const pillion_filter *filter_of(const struct module *module, const char *name)
{
    for (const pillion_filter *f = module->descriptor.filters; f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static void report_unknown(struct module_set *set, const struct filter_settings *wanted)
{
    struct suggest suggest = suggest_start(wanted->name);
    struct text offers = {0};

    for (size_t i = 0; i < set->count; i++) {
        for (const pillion_filter *f = set->modules[i].descriptor.filters; f->name != NULL; f++) {
            text_printf(&offers, "%s%s", offers.size == 0 ? "" : ", ", f->name);
            suggest_offer(&suggest, f->name);
        }
    }
    conf_error(set->errors, &wanted->place,
               "no loaded module provides a filter \"%s\"%s%s%s (%s%s)", wanted->name,
               suggest.nearest == NULL ? "" : "; did you mean \"",
               suggest.nearest == NULL ? "" : suggest.nearest, suggest.nearest == NULL ? "" : "\"?",
               offers.size == 0 ? "none provides any" : "there are ", text_string(&offers));
    text_free(&offers);
}

/* Makes the filter's use for a statement, and appends it to the set's list. NULL with the error
 * reported. */
static struct module_filter *use_filter(struct module_set *set,
                                        const struct filter_settings *settings)
{
    struct module_filter **tail = &set->filters;
    const pillion_filter *filter = NULL;
    struct module *module = NULL;
    char where[256];

    for (size_t i = 0; i < set->count && filter == NULL; i++) {
        module = &set->modules[i];
        filter = filter_of(module, settings->name);
    }
    if (filter == NULL) {
        report_unknown(set, settings);
        return NULL;
    }
    struct module_filter *use = must_zalloc(sizeof(*use));
    use->use.filter = filter;
    use->use.instance = &module->instance;
    use->module = module;
    use->settings = settings;
    if (filter->config_size > 0)
        use->use.config = must_zalloc(filter->config_size);
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = use;
    snprintf(where, sizeof(where), "filter %s", settings->name);
    const struct directives_place at = {
        .module = use->module,
        .context = CONF_IN_FILTER,
        .where = where,
        .place = &settings->place,
        .block = settings->block,
    };
    return directives_apply(set, filter->directives, &at, use->use.config) ? use : NULL;
}

bool filters_bind(struct module_set *set, const struct filter_settings *statements,
                  const struct filter_list *before, struct filter_list *list)
{
    bool good = true;

    *list = (struct filter_list){0};
    for (const struct filter_settings *s = statements; s != NULL; s = s->next)
        list->count++;
    list->count += before == NULL ? 0 : before->count;
    if (list->count == 0)
        return true;
    list->uses = must_zalloc(list->count * sizeof(*list->uses));
    size_t at = 0;
    for (; before != NULL && at < before->count; at++)
        list->uses[at] = before->uses[at];
    for (const struct filter_settings *s = statements; s != NULL; s = s->next) {
        const struct module_filter *use = use_filter(set, s);
        if (use == NULL)
            good = false;
        else
            list->uses[at++] = use->use;
    }
    return good;
}
