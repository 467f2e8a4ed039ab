/* Making and mapping zones. See zone_memory.h. */
#include "rpc/zone_memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "rpc/zone_cells.h"

#define ZONE_MAGIC 0x454e4f5au /* "ZONE" */
/* Parts of large values have not changed it: to a binary without them they are cells of nobody. */
#define ZONE_LAYOUT 1u

struct zone_header {
    uint32_t magic, layout, cell_size, set_count;
    char unused[256]; /* versions before had a mutex here */
    struct shared_lock lock;
};

static struct pillion_zone *zones; /* of this process */

#define CELLS_AT 4096u

static uint32_t sets_of(uint64_t size)
{
    return (uint32_t)((size - CELLS_AT) / (SET_CELLS * sizeof(struct cell)));
}

static uint64_t bytes_of_sets(uint32_t sets)
{
    return CELLS_AT + (uint64_t)sets * SET_CELLS * sizeof(struct cell);
}

uint64_t zone_bytes(uint64_t size)
{
    return bytes_of_sets(sets_of(size));
}

bool zone_lay_out(const struct zone_memory *memory, uint64_t size)
{
    const struct zone_header header = {
        .magic = ZONE_MAGIC,
        .layout = ZONE_LAYOUT,
        .cell_size = sizeof(struct cell),
        .set_count = sets_of(size),
    };
    return pwrite(memory->fd, &header, sizeof(header), (off_t)memory->at) == sizeof(header);
}

int zone_create(uint64_t size, struct error *error)
{
    const struct zone_memory memory = {
        .fd = memfd_create("pillion zone", MFD_CLOEXEC | MFD_ALLOW_SEALING)};

    if (memory.fd >= 0 && ftruncate(memory.fd, (off_t)zone_bytes(size)) == 0 &&
        fcntl(memory.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
        zone_lay_out(&memory, size))
        return memory.fd;
    error_errno(error, "cannot make a zone of %llu bytes", (unsigned long long)size);
    if (memory.fd >= 0)
        close(memory.fd);
    return -1;
}

static bool header_known(const struct zone_header *header, off_t size)
{
    return header->magic == ZONE_MAGIC && header->layout == ZONE_LAYOUT &&
           header->cell_size == sizeof(struct cell) && header->set_count > 0 &&
           size == (off_t)bytes_of_sets(header->set_count);
}

bool zone_known(int fd)
{
    struct zone_header header;
    struct stat status;

    return fstat(fd, &status) == 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
           header_known(&header, status.st_size);
}

bool zone_add(const char *name, const struct zone_memory *file, struct error *error)
{
    struct stat status;

    if (fstat(file->fd, &status) < 0)
        return error_errno(error, "cannot examine the zone \"%s\"", name);
    if (status.st_size < (off_t)(file->at + bytes_of_sets(1)))
        return error_set(error, "the zone \"%s\" has no room for anything", name);
    const uint32_t sets = sets_of((uint64_t)status.st_size - file->at);
    const size_t size = (size_t)bytes_of_sets(sets);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, (off_t)file->at);
    if (memory == MAP_FAILED)
        return error_errno(error, "cannot map the zone \"%s\"", name);
    /* Most of it may have no pages: a core dump would give it all of them. */
    madvise(memory, size, MADV_DONTDUMP);
    struct pillion_zone *zone = must_zalloc(sizeof(*zone));
    struct zone_header *header = memory;
    pthread_mutexattr_t checked;
    pthread_mutexattr_init(&checked);
    pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&zone->threads, &checked);
    pthread_mutexattr_destroy(&checked);
    zone->name = must_strdup(name);
    zone->lock = &header->lock;
    zone->cells = (struct cell *)(void *)((char *)memory + CELLS_AT);
    zone->set_count = sets;
    zone->ahead_ms = file->ahead_ms;
    zone->next = zones;
    zones = zone;
    return true;
}

/* Modules stay loaded, and may have pointers to them. */
void zones_forget(void)
{
    static struct pillion_zone *forgotten;

    for (struct pillion_zone *zone = zones, *next; zone != NULL; zone = next) {
        next = zone->next;
        zone->next = forgotten;
        forgotten = zone;
    }
    zones = NULL;
}

pillion_zone *zone_find(const char *name)
{
    struct pillion_zone *zone = zones;
    while (zone != NULL && strcmp(zone->name, name) != 0)
        zone = zone->next;
    return zone;
}
