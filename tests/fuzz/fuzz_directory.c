/* Reading a damaged directory: whatever is in the memory, a reader does not leave it, and what it
 * is given can be used as the header says. A writer that finds such memory can publish all the
 * same.
 *
 * The input begins with a place, and is laid over what a writer has published from there on. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "net/directory.h"
#include "net/directory_format.h"

#define SIZE (DIRECTORY_HALVES + 2 * 65536u)
#define NAME "registry:/pillion/shop"

static const struct directory_method methods[] = {{"a", "{}"}, {"b", "{\"params\":{}}"}};
static const struct directory_methods sets[] = {{methods, 2}, {methods + 1, 1}};
static const struct directory_instance instances[] = {
    {"10.0.0.1:8080", "/pillion/shop", 100, 0, 0},
    {"[::1]:8080", "/pillion/shop", 1, UINT32_MAX, 5},
};
static const struct directory_service services[] = {
    {NAME, true, instances, 2, sets, 2},
    {"srv:_a._tcp.b", false, NULL, 0, NULL, 0},
};

static size_t look(const struct directory *directory, const char *name)
{
    size_t sum = 0;
    uint64_t version;
    uint32_t slot = 0;
    struct directory_service *read = directory_read(directory, name, &version);

    directory_version(directory, name, &slot);
    directory_version(directory, name, &slot);
    for (size_t i = 0; read != NULL && i < read->count; i++) {
        const struct directory_instance *it = &read->instances[i];
        require(it->methods == UINT32_MAX || it->methods < read->set_count);
        sum += strlen(it->address) + strlen(it->service);
    }
    for (size_t i = 0; read != NULL && i < read->set_count && i < 100; i++) {
        for (size_t k = 0; k < read->sets[i].count; k++)
            sum += strlen(read->sets[i].items[k].name) + strlen(read->sets[i].items[k].about);
    }
    free(read);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    uint32_t at;

    if (size < sizeof(at))
        return 0;
    memcpy(&at, data, sizeof(at));
    data += sizeof(at);
    size -= sizeof(at);
    int fd = directory_make(SIZE, &error);
    require(fd >= 0);
    struct directory *directory = directory_map(fd, true, &error);
    require(directory != NULL && directory_publish(directory, services, 2, &error));
    /* The fields of the head that mapping has checked stay. */
    at = 16 + at % (SIZE - 16);
    memcpy((char *)directory->head + at, data, size < SIZE - at ? size : SIZE - at);
    look(directory, NAME);
    look(directory, "srv:_a._tcp.b");
    look(directory, "");
    require(directory_publish(directory, services, 2, &error));
    look(directory, NAME);
    directory_unmap(directory);
    close(fd);
    return 0;
}
