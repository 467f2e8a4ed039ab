/* Keeping zones. See zones.h. */
#include "process/zones.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "rpc/zone.h"

struct kept_zone {
    char *name;
    uint64_t size;
    int fd;
    struct kept_zone *next;
};

static struct kept_zone *kept;

static struct kept_zone *find(const char *name, uint64_t size)
{
    struct kept_zone *zone = kept;
    while (zone != NULL && (zone->size != size || strcmp(zone->name, name) != 0))
        zone = zone->next;
    return zone;
}

static void keep(const char *name, uint64_t size, int fd)
{
    struct kept_zone *zone = must_zalloc(sizeof(*zone));

    *zone = (struct kept_zone){.name = must_strdup(name), .size = size, .fd = fd, .next = kept};
    kept = zone;
}

bool zones_make(const struct settings *settings, struct conf_errors *errors)
{
    struct error error;

    for (const struct zone_settings *z = settings->zones; z != NULL; z = z->next) {
        if (find(z->name, z->size) != NULL)
            continue;
        int fd = zone_create(z->size, &error);
        if (fd < 0) {
            conf_error(errors, &z->place, "zone %s: %s", z->name, error.text);
            return false;
        }
        keep(z->name, z->size, fd);
    }
    return true;
}

static bool is_named(const struct settings *settings, const struct kept_zone *zone)
{
    for (const struct zone_settings *z = settings->zones; z != NULL; z = z->next) {
        if (z->size == zone->size && strcmp(z->name, zone->name) == 0)
            return true;
    }
    return false;
}

void zones_sweep(const struct settings *settings)
{
    for (struct kept_zone **at = &kept; *at != NULL;) {
        struct kept_zone *zone = *at;
        if (is_named(settings, zone)) {
            at = &zone->next;
            continue;
        }
        log_info("the zone \"%s\" of %llu bytes is not configured any more; its contents are gone",
                 zone->name, (unsigned long long)zone->size);
        *at = zone->next;
        close(zone->fd);
        free(zone->name);
        free(zone);
    }
}

bool zones_map(const struct settings *settings, struct error *error)
{
    for (const struct zone_settings *z = settings->zones; z != NULL; z = z->next) {
        const struct kept_zone *zone = find(z->name, z->size);
        if (zone == NULL)
            return error_set(error, "the zone \"%s\" was not made", z->name);
        if (!zone_add(z->name, zone->fd, error))
            return false;
    }
    return true;
}

/* ---- Upgrade ---- */

void zones_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "zones");

    for (const struct kept_zone *zone = kept; zone != NULL; zone = zone->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", zone->name);
        cJSON_AddNumberToObject(item, "size", (double)zone->size);
        cJSON_AddNumberToObject(item, "fd", zone->fd);
        cJSON_AddItemToArray(list, item);
    }
}

void zones_read(const cJSON *state)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "zones"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        const cJSON *size = cJSON_GetObjectItemCaseSensitive(item, "size");
        const cJSON *fd = cJSON_GetObjectItemCaseSensitive(item, "fd");
        if (name == NULL || !cJSON_IsNumber(size) || !cJSON_IsNumber(fd))
            continue;
        fcntl(fd->valueint, F_SETFD, FD_CLOEXEC);
        if (zone_known(fd->valueint))
            keep(name, (uint64_t)size->valuedouble, fd->valueint);
        else
            log_warn("the zone \"%s\" is of another version's making: it begins empty", name);
    }
}

void zones_keep_open(bool open)
{
    for (const struct kept_zone *zone = kept; zone != NULL; zone = zone->next)
        fcntl(zone->fd, F_SETFD, open ? 0 : FD_CLOEXEC);
}
