/* Making, mapping and checking arenas. See arena.h. */
#include "net/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "net/arena_layout.h"

static uint64_t page_round(uint64_t size)
{
    return (size + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
}

/* Where the marks, or the blocks where there are none, are in an arena of any layout. */
static uint64_t marks_at(uint32_t records, uint32_t record_size)
{
    return BLOCK_SIZE + page_round((uint64_t)records * record_size);
}

/* The size of the tables of marks and of clients in an arena of any layout. */
static uint64_t tables_size(uint32_t records, uint32_t layout)
{
    return page_round((uint64_t)records * arena_layout_marks_size(layout)) +
           page_round((uint64_t)records * arena_layout_clients_size(layout));
}

static uint64_t blocks_at(const struct arena_geometry *geometry)
{
    return marks_at(geometry->records, sizeof(struct conn_record)) +
           tables_size(geometry->records, ARENA_LAYOUT);
}

uint64_t arena_bytes(const struct arena_geometry *geometry)
{
    return blocks_at(geometry) + (uint64_t)geometry->blocks * BLOCK_SIZE;
}

static struct arena_header header_of(const struct arena_geometry *geometry, uint32_t worker)
{
    return (struct arena_header){
        .magic = ARENA_MAGIC,
        .layout = ARENA_LAYOUT,
        .record_size = sizeof(struct conn_record),
        .record_count = geometry->records,
        .block_count = geometry->blocks,
        .worker = worker,
        .records_at = BLOCK_SIZE,
        .blocks_at = blocks_at(geometry),
    };
}

void arena_mend(int fd, const struct arena_geometry *geometry, uint32_t worker)
{
    struct arena_header header = header_of(geometry, worker);
    size_t fixed = offsetof(struct arena_header, record_high);

    if (pwrite(fd, &header, fixed, 0) != (ssize_t)fixed)
        log_error("cannot write the header of an arena: errno %d", errno);
}

int arena_create(const struct arena_geometry *geometry, uint32_t worker, struct error *error)
{
    struct arena_header header = header_of(geometry, worker);
    uint64_t size = arena_bytes(geometry);

    int fd = memfd_create("pillion arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        error_errno(error, "cannot create an arena");
        return -1;
    }
    /* Sealed: a worker that cut it short would kill its adopters (SIGBUS of mmap(2)). */
    if (ftruncate(fd, (off_t)size) < 0 ||
        pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        error_errno(error, "cannot give an arena its %llu bytes", (unsigned long long)size);
        close(fd);
        return -1;
    }
    return fd;
}

static bool header_valid(const struct arena_header *header, uint64_t size)
{
    uint64_t blocks = (uint64_t)header->block_count * BLOCK_SIZE;

    return header->magic == ARENA_MAGIC && header->record_size != 0 &&
           header->record_size == arena_layout_record_size(header->layout) &&
           header->records_at == BLOCK_SIZE &&
           header->blocks_at == marks_at(header->record_count, header->record_size) +
                                    tables_size(header->record_count, header->layout) &&
           header->blocks_at <= size && size - header->blocks_at == blocks;
}

bool arena_map(int fd, struct arena *arena, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_errno(error, "cannot examine an arena");
    if (status.st_size < (off_t)BLOCK_SIZE)
        return error_set(error, "an arena has only %lld bytes", (long long)status.st_size);
    size_t size = (size_t)status.st_size;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "cannot map an arena of %zu bytes", size);
    /* A core dump of all clients' bytes would be large, slow (the master waits for it) and
     * nobody's business. */
    madvise(memory, size, MADV_DONTDUMP);

    struct arena_header *header = memory;
    if (!header_valid(header, size)) {
        munmap(memory, size);
        return error_set(error, "an arena's header is damaged");
    }
    *arena = (struct arena){
        .header = header,
        .layout = header->layout,
        .data = (char *)memory + header->blocks_at,
        .size = size,
        .record_count = header->record_count,
        .block_count = header->block_count,
    };
    char *file = memory;
    if (arena->layout == ARENA_LAYOUT)
        arena->records = (struct conn_record *)(void *)(file + header->records_at);
    uint64_t marks = marks_at(header->record_count, header->record_size);
    if (arena_layout_marks_size(arena->layout) != 0)
        arena->marks = (struct conn_marks *)(void *)(file + marks);
    if (arena_layout_clients_size(arena->layout) != 0)
        arena->clients = (struct conn_client *)(void *)(file + marks +
                                                        page_round((uint64_t)header->record_count *
                                                                   sizeof(struct conn_marks)));
    return true;
}

void arena_unmap(struct arena *arena)
{
    if (arena->header != NULL)
        munmap(arena->header, arena->size);
    *arena = (struct arena){0};
}

uint32_t arena_used_records(const struct arena *arena, int fd)
{
    off_t hole = lseek(fd, (off_t)arena->header->records_at, SEEK_HOLE);

    if (hole < 0)
        return arena->record_count;
    uint64_t used =
        ((uint64_t)hole - arena->header->records_at) / arena_layout_record_size(arena->layout);
    return used < arena->record_count ? (uint32_t)used : arena->record_count;
}

void arena_discard(const struct arena *arena, uint32_t block, unsigned order)
{
    madvise(arena_block(arena, block), BLOCK_BYTES(order), MADV_REMOVE);
}

/* ---- Work that has begun ---- */

static struct arena_begun *begun_of(const struct arena *arena)
{
    return (struct arena_begun *)(void *)((char *)arena->header + ARENA_BEGUN_AT);
}

/* 0 is no request's. */
static uint32_t work_key(uint64_t connection, uint64_t place)
{
    uint64_t mixed = (connection ^ (place << 20 | place >> 44)) * 0x9e3779b97f4a7c15u;
    uint32_t key = (uint32_t)(mixed >> 32);
    return key == 0 ? 1 : key;
}

void arena_work_begins(const struct arena *arena, uint64_t connection, uint64_t place)
{
    struct arena_begun *begun = begun_of(arena);
    uint32_t next = atomic_load_explicit(&begun->next, memory_order_relaxed);

    atomic_store_explicit(&begun->keys[next % ARENA_BEGUN], work_key(connection, place),
                          memory_order_release);
    atomic_store_explicit(&begun->next, next + 1, memory_order_release);
}

bool arena_work_begun(const struct arena *arena, uint64_t connection, uint64_t place)
{
    const struct arena_begun *begun = begun_of(arena);
    uint32_t key = work_key(connection, place);

    for (uint32_t i = 0; i < ARENA_BEGUN; i++) {
        if (atomic_load_explicit(&begun->keys[i], memory_order_relaxed) == key)
            return true;
    }
    return false;
}

static bool span_valid(const struct arena *arena, uint32_t block, unsigned order, uint32_t start,
                       uint32_t end)
{
    if (block == BLOCK_NONE)
        return start == 0 && end == 0;
    return order < BLOCK_ORDERS && block < arena->block_count &&
           (1u << order) <= arena->block_count - block && start <= end && end <= BLOCK_BYTES(order);
}

bool record_valid(const struct arena *arena, const struct conn_record *record)
{
    const struct conn_cursors *cursors = record_cursors(record);
    unsigned flags = CONN_EOF | CONN_ENDING | CONN_DISCARD;

    if (arena->clients != NULL)
        flags |= CONN_HEADER | CONN_TOLD | CONN_STREAM;
    return span_valid(arena, cursors->in_block, cursors->in_order, cursors->in_start,
                      cursors->in_end) &&
           span_valid(arena, cursors->out_block, cursors->out_order, cursors->out_start,
                      cursors->out_end) &&
           cursors->received >= cursors->in_end - cursors->in_start &&
           cursors->answered <= cursors->begun && (cursors->flags & ~flags) == 0 &&
           !((cursors->flags & CONN_HEADER) && cursors->begun > 0);
}
