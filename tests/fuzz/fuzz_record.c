/* Records of a registry that somebody else has written: whatever they are, what is published of
 * them can be read, and is as the header of the directory says.
 *
 * The input is lines of KEY VALUE; a line of a key alone deletes it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/address.h"
#include "net/directory.h"
#include "registry/wanted.h"

#define NAME "registry:/s/"

static void watch(const char *prefix, bool on)
{
    (void)prefix;
    (void)on;
}

static void changed(void)
{
}

static const struct wanted_events events = {watch, watch, changed};

static struct directory *begin(void)
{
    struct error error;
    int fd = directory_make(8u << 20, &error);
    struct directory *directory = fd < 0 ? NULL : directory_map(fd, true, &error);

    require(directory != NULL);
    wanted_begin(directory, &events);
    require(wanted_set(NAME, true));
    return directory;
}

static void take_line(const char *line, size_t size)
{
    const char *space = memchr(line, ' ', size);
    struct bytes key = {line, space == NULL ? size : (size_t)(space - line)};

    if (space == NULL)
        wanted_gone(key);
    else
        wanted_put(key, (struct bytes){space + 1, size - key.size - 1});
}

static void look(const struct directory *directory)
{
    struct directory_service *service = directory_read(directory, NAME, NULL);
    struct address address;
    struct error error;

    require(service != NULL);
    for (size_t i = 0; i < service->count; i++) {
        const struct directory_instance *it = &service->instances[i];
        require(address_parse(it->address, NULL, false, &address, &error));
        require(it->weight >= 1 && it->weight <= 1000);
        require(it->methods == UINT32_MAX || it->methods < service->set_count);
        require(it->service[0] == '/');
    }
    for (size_t s = 0; s < service->set_count; s++) {
        for (size_t m = 0; m < service->sets[s].count; m++)
            require(service->sets[s].items[m].name[0] != '\0' &&
                    service->sets[s].items[m].about[0] == '{');
    }
    free(service);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct directory *directory;
    const char *at = (const char *)data, *end = at + size;
    struct error error;

    if (directory == NULL)
        directory = begin();
    wanted_snapshot("/s/", NULL, 0);
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        take_line(at, (size_t)((line == NULL ? end : line) - at));
        at = line == NULL ? end : line + 1;
    }
    require(wanted_publish(&error));
    look(directory);
    return 0;
}
