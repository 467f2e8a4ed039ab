/* Counting servers. See service_counts.h. */
#include "registry/service_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BUCKETS 1024u

static struct service_count *buckets[BUCKETS];

/* Where the service is, or would be. */
static struct service_count **place_of(struct bytes name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
    struct service_count **at = &buckets[hash % BUCKETS];
    while (*at != NULL && !bytes_equal(bytes_of((*at)->name), name))
        at = &(*at)->next;
    return at;
}

struct service_count *service_count_add(struct bytes name)
{
    struct service_count **at = place_of(name);

    if (*at == NULL) {
        *at = must_zalloc(sizeof(**at));
        (*at)->name = must_strndup(name.data, name.size);
    }
    (*at)->count++;
    return *at;
}

void service_count_remove(struct service_count *service)
{
    if (service == NULL || --service->count > 0)
        return;
    *place_of(bytes_of(service->name)) = service->next;
    free(service->name);
    free(service);
}

uint32_t service_count_of(struct bytes name)
{
    const struct service_count *service = *place_of(name);

    return service == NULL ? 0 : service->count;
}

const struct service_count *service_count_largest(void)
{
    const struct service_count *largest = NULL;

    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct service_count *s = buckets[i]; s != NULL; s = s->next)
            largest = largest == NULL || s->count > largest->count ? s : largest;
    }
    return largest;
}
