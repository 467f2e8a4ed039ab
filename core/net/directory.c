/* The directory: making, mapping and reading it. See directory.h. directory_write.c publishes. */
#include "net/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/directory_format.h"

#define TRIES 1000 /* a writer would have to publish two times within each copy */

/* ---- Making and mapping ---- */

/* A multiple of eight, as `size` allows for each half. Records are addressed by 32 bits. */
static uint32_t half_size_of(size_t size)
{
    uint64_t half = size <= DIRECTORY_HALVES ? 0 : (size - DIRECTORY_HALVES) / 2;

    return (uint32_t)(half > UINT32_MAX ? UINT32_MAX : half) & ~UINT32_C(7);
}

int directory_make(size_t size, struct error *error)
{
    const struct directory_head head = {
        .magic = DIRECTORY_MAGIC, .layout = DIRECTORY_LAYOUT, .size = size};

    if (half_size_of(size) <= sizeof(struct directory_half)) {
        error_set(error, "a directory of services needs more than %zu bytes",
                  DIRECTORY_HALVES + 2 * sizeof(struct directory_half));
        return -1;
    }
    int fd = memfd_create("pillion directory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
        pwrite(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head))
        return fd;
    error_errno(error, "cannot make the memory for the directory of services");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A mapping of a descriptor that was opened for reading only can never be made writable
 * (mprotect(2)). Without /proc, of which the configuration's check tells, only good faith keeps a
 * process from it. */
static void *map_reading(int fd, size_t size)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int reading = open(path, O_RDONLY | O_CLOEXEC);
    if (reading < 0 && errno != ENOENT)
        return MAP_FAILED;
    void *memory =
        mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, reading < 0 ? fd : reading, 0);
    if (reading >= 0) {
        int number = errno;
        close(reading);
        errno = number;
    }
    return memory;
}

static void *map_writing(int fd, size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

bool directory_known(int fd)
{
    struct directory_head head = {0};
    struct stat status;

    errno = 0;
    return fstat(fd, &status) == 0 && pread(fd, &head, sizeof(head), 0) >= 0 &&
           half_size_of((size_t)status.st_size) > sizeof(struct directory_half) &&
           head.magic == DIRECTORY_MAGIC && head.layout == DIRECTORY_LAYOUT &&
           head.size == (uint64_t)status.st_size;
}

struct directory *directory_map(int fd, bool writes, struct error *error)
{
    struct stat status;

    if (!directory_known(fd) || fstat(fd, &status) < 0) {
        if (errno != 0)
            error_errno(error, "cannot look at the directory of services");
        else
            error_set(error, "the directory of services is none that this binary can read");
        return NULL;
    }
    const size_t size = (size_t)status.st_size;
    void *memory = writes ? map_writing(fd, size) : map_reading(fd, size);
    if (memory == MAP_FAILED) {
        error_errno(error, "cannot map the directory of services");
        return NULL;
    }
    /* Most of it has no pages: a core dump would give it some. */
    madvise(memory, size, MADV_DONTDUMP);
    struct directory *directory = must_zalloc(sizeof(*directory));
    *directory = (struct directory){memory, size, half_size_of(size), writes};
    return directory;
}

void directory_unmap(struct directory *directory)
{
    if (directory == NULL)
        return;
    munmap(directory->head, directory->size);
    free(directory);
}

uint64_t directory_lost_since(const struct directory *directory)
{
    return atomic_load_explicit(&directory->head->lost_ns, memory_order_relaxed);
}

/* ---- Versions ---- */

/* A reader's slot is the index, from 1, with the count of hands above it. */
#define INDEX_BITS 9u
_Static_assert(DIRECTORY_SLOTS < 1u << INDEX_BITS, "an index has its bits");

static uint32_t reader_slot(uint32_t index, uint64_t word)
{
    return (uint32_t)(word >> DIRECTORY_NUMBER_BITS) << INDEX_BITS | (index + 1);
}

static uint64_t version_of(uint64_t word)
{
    return (word & DIRECTORY_NUMBER_MASK) == 0 ? 0 : word;
}

static bool search_slots(const struct directory_head *head, const char *name, uint32_t *slot,
                         uint64_t *word)
{
    for (uint32_t i = 0; i < DIRECTORY_SLOTS; i++) {
        const struct directory_slot *it = &head->slots[i];
        uint64_t before = atomic_load_explicit(&it->word, memory_order_acquire);
        if (strncmp(it->name, name, DIRECTORY_NAME_MAX) != 0)
            continue;
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&it->word, memory_order_relaxed) != before)
            continue; /* found the next time */
        *slot = reader_slot(i, before);
        *word = before;
        return true;
    }
    return false;
}

uint64_t directory_version(const struct directory *directory, const char *name, uint32_t *slot)
{
    uint32_t index = (*slot & ((1u << INDEX_BITS) - 1)) - 1;
    uint64_t word;

    if (index < DIRECTORY_SLOTS) {
        word = atomic_load_explicit(&directory->head->slots[index].word, memory_order_acquire);
        if (reader_slot(index, word) == *slot)
            return version_of(word);
    }
    *slot = 0;
    return *name != '\0' && search_slots(directory->head, name, slot, &word) ? version_of(word) : 0;
}

uint64_t directory_told(const struct directory *directory)
{
    return atomic_load_explicit(&directory->head->told, memory_order_acquire);
}

/* ---- Reading ---- */

/* Where the parts of a copy are in its block: what the caller sees, then the record. */
struct room {
    size_t instances, sets, methods, record, total;
};

/* False when so many parts cannot be in a record of `size` bytes. */
static bool room_for(const struct directory_record *counts, size_t size, struct room *room)
{
    const uint64_t stored = sizeof(*counts) +
                            (uint64_t)counts->instances * sizeof(struct directory_stored_instance) +
                            (uint64_t)counts->sets * sizeof(struct directory_stored_set) +
                            (uint64_t)counts->methods * sizeof(struct directory_stored_method);

    if (stored >= size)
        return false;
    room->instances = sizeof(struct directory_service);
    room->sets = room->instances + counts->instances * sizeof(struct directory_instance);
    room->methods = room->sets + counts->sets * sizeof(struct directory_methods);
    room->record = room->methods + counts->methods * sizeof(struct directory_method);
    room->total = room->record + size;
    return true;
}

/* The strings of a copy that is being checked. */
struct strings {
    const char *record;
    size_t from, size; /* those begin at `from`, and the last byte is NUL */
    bool good;
};

static const char *string_at(struct strings *strings, uint32_t at)
{
    if (at < strings->from || at >= strings->size) {
        strings->good = false;
        return "";
    }
    return strings->record + at;
}

static uint32_t weight_within(uint32_t weight)
{
    return weight == 0 ? 1 : weight > 1000 ? 1000 : weight;
}

/* Fills what the caller sees from the record behind it, which nobody else can change. False when it
 * makes no sense. */
static bool unpack(char *block, const struct room *room, size_t size, const char *name)
{
    const struct directory_record *record = (const void *)(block + room->record);
    const struct directory_stored_instance *stored = (const void *)(record + 1);
    const struct directory_stored_set *set = (const void *)(stored + record->instances);
    const struct directory_stored_method *method = (const void *)(set + record->sets);
    struct directory_instance *instances = (void *)(block + room->instances);
    struct directory_methods *sets = (void *)(block + room->sets);
    struct directory_method *methods = (void *)(block + room->methods);
    struct strings strings = {(const char *)record, 0, size, ((const char *)record)[size - 1] == 0};

    strings.from = (size_t)((const char *)(method + record->methods) - strings.record);
    for (uint32_t i = 0; i < record->methods; i++)
        methods[i] = (struct directory_method){string_at(&strings, method[i].name),
                                               string_at(&strings, method[i].about)};
    for (uint32_t i = 0; i < record->sets; i++) {
        if (set[i].first > record->methods || set[i].count > record->methods - set[i].first)
            return false;
        sets[i] = (struct directory_methods){methods + set[i].first, set[i].count};
    }
    for (uint32_t i = 0; i < record->instances; i++) {
        if (stored[i].methods != UINT32_MAX && stored[i].methods >= record->sets)
            return false;
        instances[i] = (struct directory_instance){
            string_at(&strings, stored[i].address), string_at(&strings, stored[i].service),
            weight_within(stored[i].weight), stored[i].methods, stored[i].since_ms};
    }
    *(struct directory_service *)(void *)block = (struct directory_service){
        name, record->known != 0, instances, record->instances, sets, record->sets};
    return strings.good;
}

/* Copies what another process may write meanwhile. Whatever follows looks at the copy: the compiler
 * must not read the original once more instead. */
static void copy_out(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    __asm__ volatile("" : : : "memory");
}

static bool still_whole(const struct directory *directory, uint64_t publication)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&directory->head->begun, memory_order_relaxed) - publication <= 1;
}

/* Finds the service's entry in the half, and copies it. */
static bool find_entry(const struct directory_half *half, const char *name,
                       struct directory_entry *entry)
{
    uint32_t count = *(const volatile uint32_t *)&half->count;

    for (uint32_t i = 0; i < count && i < DIRECTORY_SERVICES_MAX; i++) {
        if (strncmp(half->entries[i].name, name, DIRECTORY_NAME_MAX) != 0)
            continue;
        copy_out(entry, &half->entries[i], sizeof(*entry));
        return strncmp(entry->name, name, DIRECTORY_NAME_MAX) == 0;
    }
    return false;
}

enum outcome { FOUND, NOT_THERE, AGAIN };

static enum outcome nothing(const struct directory *directory, uint64_t publication)
{
    return still_whole(directory, publication) ? NOT_THERE : AGAIN;
}

/* One try. The counts are read ahead of the record that they are in, to know how large a block to
 * take: the copy must have the same. */
static enum outcome try_read(const struct directory *directory, const char *name,
                             struct directory_entry *entry, char **block)
{
    uint64_t publication = atomic_load_explicit(&directory->head->published, memory_order_acquire);
    const struct directory_half *half = directory_half_of(directory, publication);
    struct directory_record counts;
    struct room room;

    if (publication == 0)
        return NOT_THERE;
    if (!find_entry(half, name, entry))
        return nothing(directory, publication);
    if (entry->at % 8 != 0 || entry->at < sizeof(*half) || entry->size < sizeof(counts) ||
        entry->at > directory->half_size || entry->size > directory->half_size - entry->at)
        return nothing(directory, publication);
    const char *record = (const char *)half + entry->at;
    copy_out(&counts, record, sizeof(counts));
    if (!room_for(&counts, entry->size, &room))
        return nothing(directory, publication);
    size_t name_size = strlen(name) + 1;
    if ((*block = malloc(room.total + name_size)) == NULL)
        return NOT_THERE;
    copy_out(*block + room.record, record, entry->size);
    char *copied_name = memcpy(*block + room.total, name, name_size);
    bool whole = still_whole(directory, publication);
    if (whole && memcmp(*block + room.record, &counts, sizeof(counts)) == 0 &&
        unpack(*block, &room, entry->size, copied_name))
        return FOUND;
    free(*block);
    return whole ? NOT_THERE : AGAIN;
}

struct directory_service *directory_read(const struct directory *directory, const char *name,
                                         uint64_t *version)
{
    struct directory_entry entry;
    char *block;

    for (int i = 0; *name != '\0' && i < TRIES; i++) {
        enum outcome outcome = try_read(directory, name, &entry, &block);
        if (outcome == AGAIN)
            continue;
        if (outcome == NOT_THERE)
            return NULL;
        if (version != NULL)
            *version = version_of(entry.version);
        return (struct directory_service *)(void *)block;
    }
    return NULL;
}
