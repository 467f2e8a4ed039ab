/* Services, as modules see them. See service.h. */
#include "rpc/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/service_name.h"
#include "rpc/callback.h"

#define LOOK_MS 100u

struct pillion_service {
    char *name;
    bool again;    /* the process has had one of this name before */
    uint32_t slot; /* directory_version's */
    void (*changed)(pillion_instance *self, void *data);
    void *data;
    uint64_t told;                  /* the version of which `changed` was called */
    struct directory_service *copy; /* NULL: there is none yet */
    uint64_t copied;                /* its version */
    uint32_t visits;                /* service_each is looking at the copy: it stays */
    pillion_service *next;
};

static struct service_source source;
static pillion_service *services; /* of this process: for those who look for leaks */

void services_begin(const struct service_source *from)
{
    source = *from;
}

uint64_t service_version(pillion_service *service)
{
    if (service == NULL || source.directory == NULL)
        return 0;
    return directory_version(source.directory, service->name, &service->slot);
}

/* A timer of the module's that opened it, so that what `changed` does is put down to that. */
static void look(pillion_instance *self, void *data)
{
    pillion_service *service = data;
    uint64_t version = service_version(service);

    if (version == service->told)
        return;
    service->told = version;
    service->changed(self, service->data);
}

/* Whether the process has opened the service before; `names`: how many different ones it has. */
static bool is_open(const char *name, size_t *names)
{
    bool open = false;

    *names = 0;
    for (const pillion_service *s = services; s != NULL; s = s->next) {
        open = open || strcmp(s->name, name) == 0;
        *names += !s->again;
    }
    return open;
}

pillion_service *service_open(pillion_instance *self, const char *name,
                              void (*changed)(pillion_instance *self, void *data), void *data,
                              struct error *error)
{
    size_t names;

    if (!service_name_check(name, error))
        return NULL;
    if (service_name_is_registered(name) && !source.registry) {
        error_set(error,
                  "\"%s\" needs a registry: write `registry etcd URL;` in the configuration, "
                  "outside of server blocks",
                  name);
        return NULL;
    }
    if (!service_name_is_registered(name) && source.dns != NULL && !source.dns(error)) {
        error_prefix(error, "\"%s\"", name);
        return NULL;
    }
    bool again = is_open(name, &names);
    if (!again && names >= DIRECTORY_SERVICES_MAX) {
        error_set(error,
                  "\"%s\" is one service too many: a server asks for %u different ones at most",
                  name, DIRECTORY_SERVICES_MAX);
        return NULL;
    }
    pillion_service *service = must_zalloc(sizeof(*service));
    *service = (pillion_service){.name = must_strdup(name),
                                 .again = again,
                                 .changed = changed,
                                 .data = data,
                                 .next = services};
    services = service;
    if (self->worker < 0 || !callbacks_usable()) /* `check` */
        return service;
    if (source.want != NULL)
        source.want(name);
    if (changed != NULL && callback_timer(self, 0, LOOK_MS, look, service) == 0) {
        error_set(error, "there is no memory to watch the service \"%s\"", name);
        return NULL;
    }
    return service;
}

/* ---- Its servers ---- */

static void refresh(pillion_service *service)
{
    uint64_t version = service_version(service);

    if (service->visits > 0 || (service->copy != NULL && service->copied == version))
        return;
    uint64_t copied = 0;
    struct directory_service *copy =
        source.directory == NULL ? NULL : directory_read(source.directory, service->name, &copied);
    if (copy == NULL && version != 0)
        return; /* no memory, say: those that were there last are better than none */
    free(service->copy);
    service->copy = copy;
    service->copied = copied;
}

static bool set_offers(const struct directory_methods *set, const char *method)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].name, method) == 0)
            return true;
    }
    return false;
}

/* Many instances share a set, and come in the order of their keys: what was found out of the last
 * one's set is remembered. */
struct offers {
    const char *method;
    uint32_t set;
    bool known, offered;
};

static bool offers(const struct directory_service *copy, const struct directory_instance *instance,
                   struct offers *last)
{
    if (last->method == NULL || instance->methods == UINT32_MAX)
        return true;
    if (!last->known || last->set != instance->methods)
        *last = (struct offers){last->method, instance->methods, true,
                                set_offers(&copy->sets[instance->methods], last->method)};
    return last->offered;
}

static uint64_t age_of(const struct directory_instance *instance, uint64_t now_ms)
{
    if (instance->since_ms == 0)
        return UINT64_MAX;
    return now_ms > instance->since_ms ? now_ms - instance->since_ms : 0;
}

void service_each(pillion_service *service, const char *method,
                  bool (*each)(const pillion_service_server *server, void *data), void *data)
{
    if (service == NULL)
        return;
    refresh(service);
    const struct directory_service *copy = service->copy;
    struct offers last = {.method = method};
    const uint64_t now_ms = clock_wall_ms();

    service->visits++;
    for (size_t i = 0; copy != NULL && i < copy->count; i++) {
        const struct directory_instance *instance = &copy->instances[i];
        if (!offers(copy, instance, &last))
            continue;
        const pillion_service_server server = {.size = sizeof(server),
                                               .address = instance->address,
                                               .weight = instance->weight,
                                               .age_ms = age_of(instance, now_ms)};
        if (!each(&server, data))
            break;
    }
    service->visits--;
}
