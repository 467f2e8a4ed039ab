/* The arena: everything that a worker's connections are, in memory that outlives the worker.
 *
 * An arena is a memory file that the master makes for one worker process. It holds a record for
 * each connection, marks for the frames of each connection that have begun, what balancers have
 * told of clients, and blocks for the bytes that connections have received or not yet sent. The
 * worker maps and fills it; should it die, or let go for a reload, the adopter of its connections
 * maps the same file and takes each record as it stands. The master never maps it. arena_format.h
 * tells what is in the file. */
#ifndef PILLION_NET_ARENA_H
#define PILLION_NET_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/arena_format.h"

struct arena_geometry {
    uint32_t records;
    uint32_t blocks; /* units of BLOCK_SIZE */
};

/* The size of its memory file, in bytes. */
uint64_t arena_bytes(const struct arena_geometry *geometry);

/* Makes the memory file. Pages cost memory only once they are written. Master only. Returns a
 * close-on-exec descriptor, or -1 with the reason. */
int arena_create(const struct arena_geometry *geometry, uint32_t worker, struct error *error);

/* Writes the fixed members of an arena's header once more, before the arena is offered to adopters,
 * so that a module that has written over them costs no connection. Only for arenas of this binary's
 * making. Master only. */
void arena_mend(int fd, const struct arena_geometry *geometry, uint32_t worker);

/* Maps an arena, of any layout that this binary knows (net/arena_layout.h), and checks its header
 * against the file's size: nothing in it is trusted, because a worker that died may have written
 * anywhere. Worker only. */
bool arena_map(int fd, struct arena *arena, struct error *error);
void arena_unmap(struct arena *arena);

/* How many records from the start may ever have been used, by the pages that the file has: a fact
 * that no damage to the file's contents can change. */
uint32_t arena_used_records(const struct arena *arena, int fd);

/* The request with its frame at this place of this connection's input acts from here on. One thread
 * at a time. And whether that was said: perhaps also of one of which it was not, in rare cases. */
void arena_work_begins(const struct arena *arena, uint64_t connection, uint64_t place);
bool arena_work_begun(const struct arena *arena, uint64_t connection, uint64_t place);

/* Gives the pages of a block back to the system. The block must not be in use. */
void arena_discard(const struct arena *arena, uint32_t block, unsigned order);

/* True when the record's current cursors make sense in this arena: blocks exist, offsets are in
 * order and inside them. */
bool record_valid(const struct arena *arena, const struct conn_record *record);

#endif
