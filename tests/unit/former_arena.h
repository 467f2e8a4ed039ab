/* An arena as a binary of before has left it: layouts 1 and 2 had no table of marks, and 3 had none
 * of clients. */
#ifndef PILLION_TESTS_FORMER_ARENA_H
#define PILLION_TESTS_FORMER_ARENA_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/arena.h"

/* Where layout 2 named the frame that was answered last: 1 + its offset in the block. */
static inline void former_answered_at(struct conn_cursors *cursors, uint32_t answered_at)
{
    memcpy(&cursors->first, &answered_at, sizeof(answered_at));
}

/* A copy of the arena with its records as they stand, in a memory file of that layout; -1 after an
 * error. */
static inline int former_arena(const struct arena *arena, uint32_t layout)
{
    const char *tables = layout < 3 ? (char *)arena->marks : (char *)arena->clients;
    const size_t head = (size_t)(tables - (char *)arena->header),
                 blocks = (size_t)arena->block_count * BLOCK_SIZE;
    struct arena_header header = *arena->header;
    int fd = memfd_create("former arena", MFD_CLOEXEC);

    header.layout = layout;
    header.blocks_at = head;
    if (ftruncate(fd, (off_t)(head + blocks)) == 0 &&
        pwrite(fd, arena->header, head, 0) == (ssize_t)head &&
        pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
        pwrite(fd, arena->data, blocks, (off_t)head) == (ssize_t)blocks)
        return fd;
    close(fd);
    return -1;
}

#endif
