/* Keeping zones. See zones.h. */
#include "process/zones.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/own_file.h"
#include "rpc/zone_file.h"
#include "rpc/zone_memory.h"

struct kept_zone {
    char *name, *file; /* file: NULL without one */
    uint64_t size;
    struct zone_memory memory;
    struct kept_zone *next;
};

static struct kept_zone *kept;
static bool rehearses;

static bool same_file(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static bool is_of(const struct kept_zone *zone, const struct zone_settings *settings)
{
    return zone->size == settings->size && strcmp(zone->name, settings->name) == 0 &&
           same_file(zone->file, settings->file);
}

static struct kept_zone *find(const struct zone_settings *settings)
{
    struct kept_zone *zone = kept;
    while (zone != NULL && !is_of(zone, settings))
        zone = zone->next;
    return zone;
}

static void keep(const char *name, uint64_t size, const char *file,
                 const struct zone_memory *memory)
{
    struct kept_zone *zone = must_zalloc(sizeof(*zone));

    *zone = (struct kept_zone){.name = must_strdup(name),
                               .file = file == NULL ? NULL : must_strdup(file),
                               .size = size,
                               .memory = *memory,
                               .next = kept};
    kept = zone;
}

void zones_rehearse(void)
{
    rehearses = true;
}

/* ---- Making ---- */

static void warn_if_replaced(const struct kept_zone *zone)
{
    struct stat status;

    if (zone->file == NULL || fstat(zone->memory.fd, &status) < 0 ||
        file_id_same(file_id_of(zone->file), (struct file_id){status.st_dev, status.st_ino}))
        return;
    log_warn(
        "the file %s of the zone \"%s\" was removed or replaced: the zone goes on, and is lost "
        "when the server ends",
        zone->file, zone->name);
}

/* A zone that is called otherwise now has the file open and locked: that goes on. */
static bool share_file(const struct zone_settings *settings, struct zone_memory *memory,
                       bool *shared, struct error *error)
{
    const struct kept_zone *zone = kept;

    while (zone != NULL && (zone->file == NULL || strcmp(zone->file, settings->file) != 0))
        zone = zone->next;
    *shared = zone != NULL;
    if (zone == NULL)
        return false;
    if (zone->size != settings->size)
        return error_set(error,
                         "the server uses its file %s with %llu bytes: write that size, or another "
                         "file",
                         settings->file, (unsigned long long)zone->size);
    *memory = zone->memory;
    memory->fd = fcntl(zone->memory.fd, F_DUPFD_CLOEXEC, 0);
    return memory->fd >= 0 || error_errno(error, "cannot duplicate a descriptor");
}

static bool make(const struct zone_settings *settings, struct zone_memory *memory,
                 struct error *error)
{
    bool shared;

    if (settings->file != NULL && !rehearses)
        return share_file(settings, memory, &shared, error) ||
               (!shared && zone_file_open(settings->file, settings->size, memory, error));
    if (settings->file != NULL && !zone_file_check(settings->file, settings->size, error))
        return false;
    *memory = (struct zone_memory){.fd = zone_create(settings->size, error)};
    return memory->fd >= 0;
}

bool zones_make(const struct settings *settings, struct conf_errors *errors)
{
    struct error error;

    for (const struct zone_settings *z = settings->zones; z != NULL; z = z->next) {
        const struct kept_zone *zone = find(z);
        struct zone_memory memory;
        if (zone != NULL) {
            warn_if_replaced(zone);
            continue;
        }
        if (!make(z, &memory, &error)) {
            conf_error(errors, &z->place, "zone %s: %s", z->name, error.text);
            return false;
        }
        keep(z->name, z->size, z->file, &memory);
    }
    return true;
}

/* ---- Mending ---- */

/* A size that is no whole zone's: of `> FILE`, or of a log rotation that copies and cuts. */
bool zones_mend(struct error *error)
{
    bool mended;
    uint64_t was;

    for (const struct kept_zone *zone = kept; zone != NULL; zone = zone->next) {
        if (zone->file == NULL || rehearses)
            continue;
        if (!zone_file_mend(&zone->memory, zone->size, &mended, &was, error))
            return error_prefix(error, "the file %s of the zone \"%s\" was changed from outside",
                                zone->file, zone->name);
        if (mended)
            log_error("the file %s of the zone \"%s\" had %llu bytes, changed from outside while "
                      "the server uses it: it has its size again, and what was cut off is lost",
                      zone->file, zone->name, (unsigned long long)was);
    }
    return true;
}

/* ---- Dropping ---- */

static bool is_named(const struct settings *settings, const struct kept_zone *zone)
{
    const struct zone_settings *z = settings->zones;
    while (z != NULL && !is_of(zone, z))
        z = z->next;
    return z != NULL;
}

static void tell_of_end(const struct kept_zone *zone)
{
    if (zone->file != NULL)
        log_info("the zone \"%s\" in %s is not configured any more; the file stays as it is",
                 zone->name, zone->file);
    else
        log_info("the zone \"%s\" of %llu bytes is not configured any more; its contents are gone",
                 zone->name, (unsigned long long)zone->size);
}

void zones_sweep(const struct settings *settings)
{
    for (struct kept_zone **at = &kept; *at != NULL;) {
        struct kept_zone *zone = *at;
        if (is_named(settings, zone)) {
            at = &zone->next;
            continue;
        }
        tell_of_end(zone);
        *at = zone->next;
        close(zone->memory.fd);
        free(zone->name);
        free(zone->file);
        free(zone);
    }
}

bool zones_map(const struct settings *settings, struct error *error)
{
    for (const struct zone_settings *z = settings->zones; z != NULL; z = z->next) {
        const struct kept_zone *zone = find(z);
        if (zone == NULL)
            return error_set(error, "the zone \"%s\" was not made", z->name);
        if (!zone_add(z->name, &zone->memory, error))
            return false;
    }
    return true;
}

/* ---- Upgrade ---- */

void zones_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "zones");
    char number[24];

    for (const struct kept_zone *zone = kept; zone != NULL; zone = zone->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", zone->name);
        cJSON_AddNumberToObject(item, "size", (double)zone->size);
        cJSON_AddNumberToObject(item, "fd", zone->memory.fd);
        if (zone->file != NULL) {
            cJSON_AddStringToObject(item, "file", zone->file);
            cJSON_AddNumberToObject(item, "at", (double)zone->memory.at);
            /* Of 64 bits, which a number of JSON may not have. */
            snprintf(number, sizeof(number), "%llu", (unsigned long long)zone->memory.ahead_ms);
            cJSON_AddStringToObject(item, "ahead", number);
        }
        cJSON_AddItemToArray(list, item);
    }
}

static const char *text_in(const cJSON *item, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, name));
}

static void read_zone(const cJSON *item)
{
    const char *name = text_in(item, "name"), *file = text_in(item, "file");
    const char *ahead = text_in(item, "ahead");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(item, "size");
    const cJSON *fd = cJSON_GetObjectItemCaseSensitive(item, "fd");
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(item, "at");

    if (name == NULL || !cJSON_IsNumber(size) || !cJSON_IsNumber(fd))
        return;
    const struct zone_memory memory = {
        .fd = fd->valueint,
        .at = cJSON_IsNumber(at) ? (uint64_t)at->valuedouble : 0,
        .ahead_ms = ahead == NULL ? 0 : strtoul(ahead, NULL, 10),
    };
    fcntl(memory.fd, F_SETFD, FD_CLOEXEC);
    if (file != NULL ? zone_file_known(&memory) : zone_known(memory.fd)) {
        keep(name, (uint64_t)size->valuedouble, file, &memory);
        return;
    }
    log_warn("the zone \"%s\" is of another version's making: it begins empty", name);
    close(memory.fd);
}

void zones_read(const cJSON *state)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "zones")) read_zone(item);
}

void zones_keep_open(bool open)
{
    for (const struct kept_zone *zone = kept; zone != NULL; zone = zone->next)
        fcntl(zone->memory.fd, F_SETFD, open ? 0 : FD_CLOEXEC);
}
