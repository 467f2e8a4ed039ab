/* The methods of services. See gateway_methods.h. */
#include "process/gateway_methods.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/service_name.h"

/* Instances of one service that share a set of methods. */
struct kind {
    const char *service;
    uint32_t set;
    uint32_t instances;
};

/* Whether methods can be forwarded to the service: it is not the server's own, and a configuration
 * can name it. */
static bool can_be_named(const char *service, const char *own, struct text *faults)
{
    struct error error;

    if (own != NULL && strcmp(service, own) == 0)
        return false;
    if (service_path_check(service, &error))
        return true;
    if (faults != NULL)
        text_printf(faults, "a service is left out: %s\n", error.text);
    return false;
}

static size_t find_kinds(const struct directory_service *read, const char *own, struct kind *kinds,
                         struct text *faults)
{
    const char *last = NULL;
    bool named = false;
    size_t count = 0;

    for (size_t i = 0; i < read->count; i++) {
        const struct directory_instance *it = &read->instances[i];
        if (last == NULL || strcmp(last, it->service) != 0)
            named = can_be_named(it->service, own, faults);
        last = it->service;
        if (it->methods == UINT32_MAX || !named)
            continue;
        size_t k = count; /* instances come in the order of their keys: the last kind is likely */
        while (k > 0 &&
               (kinds[k - 1].set != it->methods || strcmp(kinds[k - 1].service, it->service) != 0))
            k--;
        if (k > 0)
            kinds[k - 1].instances++;
        else
            kinds[count++] = (struct kind){it->service, it->methods, 1};
    }
    return count;
}

static int compare(const void *one, const void *other)
{
    const struct gateway_method *a = one, *b = other;
    int order = strcmp(a->name, b->name);

    order = order != 0 ? order : strcmp(a->service, b->service);
    if (order == 0 && a->votes != b->votes)
        order = a->votes > b->votes ? -1 : 1;
    return order != 0 ? order : strcmp(a->about, b->about);
}

static void add_kind(struct gateway_methods *methods, const struct kind *kind)
{
    const struct directory_methods *set = &methods->read->sets[kind->set];

    methods->items =
        must_realloc(methods->items, (methods->count + set->count + 1) * sizeof(*methods->items));
    for (size_t i = 0; i < set->count; i++)
        methods->items[methods->count++] = (struct gateway_method){
            set->items[i].name, kind->service, set->items[i].about, kind->instances};
}

/* Of equal names, which are neighbours, the first stays. */
static void keep_first(struct gateway_methods *methods, struct text *faults)
{
    size_t left = 0;

    for (size_t i = 0; i < methods->count; i++) {
        const struct gateway_method *it = &methods->items[i];
        const struct gateway_method *last = left == 0 ? NULL : &methods->items[left - 1];
        if (last == NULL || strcmp(last->name, it->name) != 0) {
            methods->items[left++] = *it;
            continue;
        }
        bool told = strcmp(it[-1].service, it->service) == 0;
        if (!told && faults != NULL)
            text_printf(faults, "the method \"%s\" is offered by %s and by %s: %s has it\n",
                        it->name, last->service, it->service, last->service);
    }
    methods->count = left;
}

bool gateway_methods_read(const struct directory *directory, const char *name, const char *own,
                          struct gateway_methods *methods, struct text *faults)
{
    *methods = (struct gateway_methods){0};
    if (directory == NULL || (methods->read = directory_read(directory, name, NULL)) == NULL)
        return false;
    struct kind *kinds = must_zalloc((methods->read->count + 1) * sizeof(*kinds));
    size_t count = find_kinds(methods->read, own, kinds, faults);
    for (size_t i = 0; i < count; i++)
        add_kind(methods, &kinds[i]);
    free(kinds);
    if (methods->count > 0)
        qsort(methods->items, methods->count, sizeof(*methods->items), compare);
    keep_first(methods, faults);
    return methods->read->known;
}

void gateway_methods_free(struct gateway_methods *methods)
{
    free(methods->items);
    free(methods->read);
    *methods = (struct gateway_methods){0};
}
