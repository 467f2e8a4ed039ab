/* The services that generations want. See wants.h. */
#include "master/wants.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "base/service_name.h"
#include "master/generations.h"
#include "master/registry.h"
#include "master/workers.h"
#include "net/directory.h"

struct want {
    uint64_t generation;
    char *service;
};

static struct {
    struct want *items; /* in the order in which they came */
    size_t count, capacity;
    bool crowded; /* there was no room for all, when that was looked at last */
} wants;

static void tell_too_many(const char *service)
{
    log_seldom(LOG_ERROR_LEVEL, &wants,
               "more than %u services are wanted, and nobody looks for \"%s\"",
               DIRECTORY_SERVICES_MAX, service);
}

static bool is_number_of(const struct generation *generation, uint64_t number)
{
    return generation != NULL && generation->number == number;
}

/* Adds services, each once: those of the current generation, or those of others. */
static size_t add_services(const char *names[DIRECTORY_SERVICES_MAX], size_t count, bool current)
{
    for (size_t i = 0; i < wants.count; i++) {
        if (is_number_of(generation_current(), wants.items[i].generation) != current ||
            strings_have(names, count, wants.items[i].service))
            continue;
        if (count == DIRECTORY_SERVICES_MAX) {
            wants.crowded = true;
            tell_too_many(wants.items[i].service);
            break;
        }
        names[count++] = wants.items[i].service;
    }
    return count;
}

/* Returns how many; those that are too many are left out. What the current generation wants comes
 * first: a former one that still has clients must not keep it from servers. */
static size_t services_of(const char *names[DIRECTORY_SERVICES_MAX])
{
    wants.crowded = false;
    return add_services(names, add_services(names, 0, true), false);
}

static void tell(void)
{
    const char *names[DIRECTORY_SERVICES_MAX];

    registry_wants(names, services_of(names));
}

/* Each generation has room of its own: one that wants too many takes none from the next, which
 * begins with what its configuration names. */
static bool add(uint64_t generation, const char *service)
{
    size_t of_generation = 0;

    for (size_t i = 0; i < wants.count; i++) {
        if (wants.items[i].generation != generation)
            continue;
        if (strcmp(wants.items[i].service, service) == 0)
            return false;
        of_generation++;
    }
    if (of_generation == DIRECTORY_SERVICES_MAX) {
        tell_too_many(service);
        return false;
    }
    if (wants.count == wants.capacity) {
        wants.capacity += DIRECTORY_SERVICES_MAX;
        wants.items = must_realloc(wants.items, wants.capacity * sizeof(*wants.items));
    }
    wants.items[wants.count++] = (struct want){generation, must_strdup(service)};
    return true;
}

void wants_add(uint64_t generation, const char *service)
{
    struct error error;

    if (!service_name_check(service, &error))
        log_seldom(LOG_ERROR_LEVEL, &wants, "a worker wants a service that is none: %s",
                   error.text);
    else if (add(generation, service))
        tell();
}

static bool lives(uint64_t number)
{
    bool living =
        is_number_of(generation_current(), number) || is_number_of(generation_next(), number);

    for (const struct worker *w = workers_first(); w != NULL && !living; w = w->next)
        living = w->generation->number == number;
    return living;
}

void wants_sweep(void)
{
    size_t left = 0;

    for (size_t i = 0; i < wants.count; i++) {
        if (lives(wants.items[i].generation))
            wants.items[left++] = wants.items[i];
        else
            free(wants.items[i].service);
    }
    if (left == wants.count)
        return;
    wants.count = left;
    tell();
}

void wants_serve(void)
{
    if (wants.crowded)
        tell();
}

void wants_write(cJSON *state)
{
    const char *names[DIRECTORY_SERVICES_MAX];

    cJSON_AddItemToObject(state, "wants", cJSON_CreateStringArray(names, (int)services_of(names)));
}

/* Workers of all former generations count as workers of the one that was current, and so does what
 * they want. */
void wants_read(const cJSON *state)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "wants"))
    {
        if (cJSON_IsString(item) && generation_current() != NULL)
            add(generation_current()->number, item->valuestring);
    }
    if (wants.count > 0)
        tell();
}
