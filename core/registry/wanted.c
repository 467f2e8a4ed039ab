/* From watched keys to published services. See wanted.h. */
#include "registry/wanted.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "registry/instances.h"

#define REGISTRY_IS "registry:"
#define DNS_IS      "srv:"

struct service {
    char *name;
    char *prefix; /* of its keys; NULL: of DNS */
    bool below;   /* all below the prefix, and not only directly */
    bool known;   /* this process has been told of it */
    size_t published;
    /* Bytes that each service below it may take, so that all fit; and the most that one does. */
    size_t share, largest;
    struct directory_service *former; /* what the process before has published; or NULL */
    /* Of DNS alone: its last answer. */
    struct directory_instance *answer;
    size_t answer_count;
    struct service *next;
};

struct watched {
    char *prefix;
    bool known;
    struct watched *next;
};

/* When a server was seen first, by its key: from the former process. */
struct seen {
    char *key;
    uint64_t since_ms;
};

static struct {
    struct directory *directory;
    const struct wanted_events *events;
    struct service *services; /* in the order in which they were wanted */
    size_t count;
    struct watched *watches;
    struct seen *seen; /* by key */
    size_t seen_count;
} all;

void wanted_begin(struct directory *directory, const struct wanted_events *events)
{
    all.directory = directory;
    all.events = events;
}

/* ---- What the former process knew ---- */

static int compare_seen(const void *one, const void *other)
{
    return strcmp(((const struct seen *)one)->key, ((const struct seen *)other)->key);
}

static void remember(const struct directory_service *former)
{
    all.seen = must_realloc(all.seen, (all.seen_count + former->count + 1) * sizeof(*all.seen));
    for (size_t i = 0; i < former->count; i++) {
        const struct directory_instance *instance = &former->instances[i];
        all.seen[all.seen_count++] = (struct seen){
            must_printf("%s/%s", instance->service, instance->address), instance->since_ms};
    }
    qsort(all.seen, all.seen_count, sizeof(*all.seen), compare_seen);
}

/* When the key was seen first, or `otherwise`. */
static uint64_t since_of(struct bytes key, uint64_t otherwise)
{
    if (all.seen_count == 0)
        return otherwise;
    char *text = must_strndup(key.data, key.size);
    const struct seen wanted = {.key = text};
    const struct seen *found =
        bsearch(&wanted, all.seen, all.seen_count, sizeof(*all.seen), compare_seen);
    free(text);
    return found == NULL ? otherwise : found->since_ms;
}

/* ---- Watches ---- */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* True when another wanted prefix has all that this one has. */
static bool is_covered(const struct service *service)
{
    for (const struct service *s = all.services; s != NULL; s = s->next) {
        if (s->prefix == NULL || s == service || !begins_with(service->prefix, s->prefix))
            continue;
        if (strcmp(s->prefix, service->prefix) != 0)
            return true;
        /* Of two with the same prefix, one of them watches: the first. */
        for (const struct service *later = s->next; later != NULL; later = later->next) {
            if (later == service)
                return true;
        }
    }
    return false;
}

static struct watched *watch_of(const char *prefix)
{
    for (struct watched *w = all.watches; w != NULL; w = w->next) {
        if (begins_with(prefix, w->prefix))
            return w;
    }
    return NULL;
}

static bool is_wanted(const struct watched *watched)
{
    for (const struct service *s = all.services; s != NULL; s = s->next) {
        if (s->prefix != NULL && strcmp(s->prefix, watched->prefix) == 0 && !is_covered(s))
            return true;
    }
    return false;
}

static bool is_watched(const char *prefix)
{
    for (const struct watched *w = all.watches; w != NULL; w = w->next) {
        if (strcmp(w->prefix, prefix) == 0)
            return true;
    }
    return false;
}

/* Begins the watches that are missing, and ends those that nobody needs. What a wider watch has in
 * common with a former one is known until its first answer comes. */
static void adjust_watches(void)
{
    for (const struct service *s = all.services; s != NULL; s = s->next) {
        if (s->prefix == NULL || is_covered(s) || is_watched(s->prefix))
            continue;
        struct watched *watched = must_zalloc(sizeof(*watched));
        watched->prefix = must_strdup(s->prefix);
        watched->next = all.watches;
        all.watches = watched;
        all.events->watch(watched->prefix, true);
    }
    for (struct watched **at = &all.watches; *at != NULL;) {
        struct watched *watched = *at;
        if (is_wanted(watched)) {
            at = &watched->next;
            continue;
        }
        *at = watched->next;
        all.events->watch(watched->prefix, false);
        if (watch_of(watched->prefix) == NULL)
            instances_forget(watched->prefix);
        free(watched->prefix);
        free(watched);
    }
}

/* ---- Wanting ---- */

static struct service **find(const char *name)
{
    struct service **at = &all.services;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

/* NULL when the text is no name of a service. */
static struct service *service_new(const char *name)
{
    bool registry = begins_with(name, REGISTRY_IS "/"), dns = begins_with(name, DNS_IS);
    size_t size = strlen(name);

    if ((!registry && !dns) || size >= DIRECTORY_NAME_MAX)
        return NULL;
    struct service *service = must_zalloc(sizeof(*service));
    service->name = must_strdup(name);
    if (registry) {
        service->below = name[size - 1] == '/';
        service->prefix =
            must_printf("%s%s", name + strlen(REGISTRY_IS), service->below ? "" : "/");
    }
    service->former = directory_read(all.directory, name, NULL);
    if (service->former != NULL && registry)
        remember(service->former);
    return service;
}

static void service_free(struct service *service)
{
    free(service->name);
    free(service->prefix);
    free(service->former);
    free(service->answer);
    free(service);
}

static bool want(const char *name)
{
    struct service *service = all.count == DIRECTORY_SERVICES_MAX ? NULL : service_new(name);

    if (service == NULL)
        return false;
    *find(name) = service;
    all.count++;
    if (service->prefix == NULL)
        all.events->look_up(service->name + strlen(DNS_IS), true);
    else
        adjust_watches();
    const struct watched *watched = service->prefix == NULL ? NULL : watch_of(service->prefix);
    service->known = watched != NULL && watched->known;
    all.events->changed();
    return true;
}

bool wanted_set(const char *name, bool wanted)
{
    struct service **at = find(name), *service = *at;

    if (wanted)
        return service != NULL || want(name);
    if (service == NULL)
        return true;
    *at = service->next;
    all.count--;
    if (service->prefix == NULL)
        all.events->look_up(service->name + strlen(DNS_IS), false);
    else
        adjust_watches();
    service_free(service);
    all.events->changed();
    return true;
}

/* ---- What is told ---- */

void wanted_snapshot(const char *prefix, const struct etcd_row *rows, size_t count)
{
    struct watched *watched = all.watches;

    while (watched != NULL && strcmp(watched->prefix, prefix) != 0)
        watched = watched->next;
    if (watched == NULL)
        return;
    /* Of a first answer nobody knows how long its servers have been there. */
    uint64_t since_ms = watched->known || all.seen_count > 0 ? clock_wall_ms() : 0;
    instances_begin();
    for (size_t i = 0; i < count; i++)
        instances_put(rows[i].key, rows[i].value, since_of(rows[i].key, since_ms));
    instances_end(prefix);
    watched->known = true;
    for (struct service *s = all.services; s != NULL; s = s->next)
        s->known = s->known || (s->prefix != NULL && begins_with(s->prefix, prefix));
    all.events->changed();
}

void wanted_put(struct bytes key, struct bytes value)
{
    instances_put(key, value, clock_wall_ms());
    all.events->changed();
}

void wanted_gone(struct bytes key)
{
    instances_remove(key);
    all.events->changed();
}

/* What the former process knew of a server, as a record. */
static void put_former(const struct directory_service *former,
                       const struct directory_instance *instance)
{
    char *key = must_printf("%s/%s", instance->service, instance->address);
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "address", instance->address);
    cJSON_AddNumberToObject(record, "weight", instance->weight);
    const struct directory_methods *set =
        instance->methods < former->set_count ? &former->sets[instance->methods] : NULL;
    cJSON *methods = set == NULL ? NULL : cJSON_AddArrayToObject(record, "methods");
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        cJSON *method = cJSON_Parse(set->items[i].about);
        cJSON_AddStringToObject(method, "name", set->items[i].name);
        cJSON_AddItemToArray(methods, method);
    }
    char *value = cJSON_PrintUnformatted(record);
    if (value != NULL)
        instances_put(bytes_of(key), bytes_of(value), instance->since_ms);
    cJSON_free(value);
    cJSON_Delete(record);
    free(key);
}

void wanted_keep(bool on)
{
    for (const struct service *s = all.services; on && s != NULL; s = s->next) {
        for (size_t i = 0;
             !s->known && s->former != NULL && s->prefix != NULL && i < s->former->count; i++)
            put_former(s->former, &s->former->instances[i]);
    }
    if (instances_keep(on))
        all.events->changed();
}

void wanted_answer(const char *name, const struct directory_instance *instances, size_t count)
{
    struct service *service = all.services;
    size_t text = 0;

    while (service != NULL &&
           (service->prefix != NULL || strcmp(service->name + strlen(DNS_IS), name) != 0))
        service = service->next;
    if (service == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        text += strlen(instances[i].address) + 1;
    /* One block, with the addresses behind the table. */
    struct directory_instance *answer = must_alloc(count * sizeof(*answer) + text + 1);
    char *at = (char *)(answer + count);
    const struct directory_instance *former = service->answer;
    size_t former_count = service->answer_count;
    bool first = !service->known;
    if (first && service->former != NULL && service->former->known) {
        former = service->former->instances;
        former_count = service->former->count;
        first = false;
    }
    for (size_t i = 0; i < count; i++) {
        answer[i] = instances[i];
        answer[i].address = strcpy(at, instances[i].address);
        answer[i].service = "";
        answer[i].methods = UINT32_MAX;
        answer[i].since_ms = first ? 0 : clock_wall_ms();
        for (size_t f = 0; f < former_count; f++) {
            if (strcmp(former[f].address, at) == 0)
                answer[i].since_ms = former[f].since_ms;
        }
        at += strlen(at) + 1;
    }
    free(service->answer);
    service->answer = answer;
    service->answer_count = count;
    service->known = true;
    all.events->changed();
}

/* ---- Publishing ---- */

/* Numbers the sets that the servers of a service use, by `index` from 0. */
static size_t number_sets(struct instance *const *items, size_t count)
{
    size_t sets = 0;

    for (size_t i = 0; i < count; i++) {
        if (items[i]->set != NULL)
            items[i]->set->index = UINT32_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i]->set != NULL && items[i]->set->index == UINT32_MAX)
            items[i]->set->index = (uint32_t)sets++;
    }
    return sets;
}

static bool belongs(const struct service *service, const struct instance *instance)
{
    size_t size = strlen(service->prefix) - 1; /* without the slash */

    return service->below || instance->service[size] == '\0';
}

/* About what an instance takes in the directory; with its methods, unless one before it in its
 * service, which has the number `run`, has the same. */
static size_t cost_of(const struct instance *instance, size_t run)
{
    bool alone = instance->set != NULL && instance->set->index != run;

    return sizeof(struct directory_instance) + strlen(instance->key) +
           (alone ? instance->set->size : 0);
}

/* Fills `kept` with instances of the service: of each service below its prefix those that fit into
 * its share, the first ones first. Returns how many. */
static size_t keep_shares(struct service *service, struct instance **kept)
{
    size_t count, kept_count = 0, run = 0, cost = 0;
    struct instance *const *items = instances_below(service->prefix, &count);
    const struct service_count *last = NULL;

    run = number_sets(items, count); /* sets have the numbers before that */
    service->largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!belongs(service, items[i]))
            continue;
        if (items[i]->of != last) {
            last = items[i]->of;
            cost = 0;
            run++;
        }
        size_t more = cost_of(items[i], run);
        if (more > service->share - cost)
            continue;
        cost += more;
        service->largest = cost > service->largest ? cost : service->largest;
        if (items[i]->set != NULL)
            items[i]->set->index = (uint32_t)run;
        kept[kept_count++] = items[i];
    }
    return kept_count;
}

/* What the registry has of the service; `shown->instances` and `sets` are the caller's to free. */
static void gather(struct service *service, struct directory_service *shown)
{
    size_t count;
    instances_below(service->prefix, &count);
    struct instance **items = must_zalloc((count + 1) * sizeof(*items));
    count = keep_shares(service, items);
    size_t set_count = number_sets(items, count);
    struct directory_methods *sets = must_zalloc((set_count + 1) * sizeof(*sets));
    struct directory_instance *instances = must_zalloc((count + 1) * sizeof(*instances));

    for (size_t i = 0; i < count; i++) {
        const struct instance *it = items[i];
        uint32_t methods = it->set == NULL ? UINT32_MAX : it->set->index;
        if (it->set != NULL)
            sets[methods] = it->set->methods;
        instances[i] = (struct directory_instance){.address = it->address,
                                                   .service = it->service,
                                                   .weight = it->weight,
                                                   .methods = methods,
                                                   .since_ms = it->since_ms};
    }
    shown->instances = instances;
    shown->count = count;
    shown->sets = sets;
    shown->set_count = set_count;
    free(items);
}

static void show(struct service *service, struct directory_service *shown)
{
    service->share = SIZE_MAX;
    *shown = (struct directory_service){.name = service->name, .known = service->known};
    if (!service->known && service->former != NULL)
        *shown = *service->former;
    else if (service->prefix != NULL)
        gather(service, shown);
    else {
        shown->instances = service->answer;
        shown->count = service->answer_count;
    }
    shown->name = service->name;
}

/* What gather has made. */
static void shown_free(const struct service *service, struct directory_service *shown)
{
    if (service->prefix == NULL || shown->instances == NULL ||
        (service->former != NULL && shown->instances == service->former->instances))
        return;
    free((struct directory_instance *)(uintptr_t)shown->instances);
    free((struct directory_methods *)(uintptr_t)shown->sets);
}

/* The former process's knowledge is of no use any more once this one knows as much. */
static void forget_former(void)
{
    bool all_known = true;

    for (struct service *s = all.services; s != NULL; s = s->next) {
        all_known = all_known && s->known;
        if (s->known) {
            free(s->former);
            s->former = NULL;
        }
    }
    for (size_t i = 0; all_known && i < all.seen_count; i++)
        free(all.seen[i].key);
    if (all_known) {
        free(all.seen);
        all.seen = NULL;
        all.seen_count = 0;
    }
}

/* ---- What does not fit ---- */

static uint64_t size_of(const struct directory_service *shown)
{
    uint64_t size = 0;

    for (size_t i = 0; i < all.count; i++)
        size += directory_size(&shown[i]);
    return size;
}

static struct service *largest(const struct directory_service *shown, size_t *at)
{
    struct service *found = all.services, *s = all.services;

    *at = 0;
    for (size_t i = 0; s != NULL; s = s->next, i++) {
        if (directory_size(&shown[i]) > directory_size(&shown[*at])) {
            found = s;
            *at = i;
        }
    }
    return found;
}

/* Leaves out an eighth of what the largest service below it has, and of those that are as large:
 * servers, with the methods that they alone offer. */
static void cut(struct service *service, struct directory_service *shown)
{
    bool gathers = service->prefix != NULL && (service->known || service->former == NULL);
    size_t share = gathers ? service->largest : shown->count;

    share -= share / 8 + 1;
    service->share = share;
    if (!gathers) {
        shown->count = share;
        return;
    }
    shown_free(service, shown);
    gather(service, shown);
}

/* Cuts the largest services until all fit. */
static void cut_to_fit(struct directory_service *shown)
{
    uint64_t room = directory_room(all.directory);
    size_t at;

    while (size_of(shown) > room) {
        struct service *service = largest(shown, &at);
        if (service == NULL || shown[at].count == 0)
            return;
        cut(service, &shown[at]);
    }
    size_t i = 0;
    for (const struct service *s = all.services; s != NULL; s = s->next, i++) {
        if (s->share != SIZE_MAX)
            log_seldom(LOG_ERROR_LEVEL, s,
                       "%s: it has more servers and methods than there is room for (%llu bytes for "
                       "all services): %zu servers are known, and of the largest service no others",
                       s->name, (unsigned long long)room, shown[i].count);
    }
}

bool wanted_publish(struct error *error)
{
    struct directory_service *shown = must_zalloc((all.count + 1) * sizeof(*shown));
    size_t i = 0;

    for (struct service *s = all.services; s != NULL; s = s->next)
        show(s, &shown[i++]);
    cut_to_fit(shown);
    bool good = directory_publish(all.directory, shown, all.count, error);
    i = 0;
    for (struct service *s = all.services; s != NULL; s = s->next) {
        s->published = good ? shown[i].count : s->published;
        shown_free(s, &shown[i++]);
    }
    free(shown);
    forget_former();
    return good;
}

bool wanted_next(size_t index, const char **name, size_t *count, bool *known)
{
    const struct service *service = all.services;

    while (service != NULL && index-- > 0)
        service = service->next;
    if (service == NULL)
        return false;
    *name = service->name;
    *count = service->published;
    *known = service->known || (service->former != NULL && service->former->known);
    return true;
}
