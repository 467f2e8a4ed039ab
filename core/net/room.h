/* Room in the arena: which blocks connections get, and when it is worth asking again.
 *
 * Above the allocator (net/blocks.h) stand three rules. Blocks for input that are larger than the
 * smallest come from three quarters of the arena only, so that large frames which are not whole yet
 * never starve small ones. To avoid deadlock in a full arena, two blocks (an eighth of it each) are
 * reserved: one connection at a time may use the first to complete its frame, and the second holds
 * a reply that fits nowhere else. A block that is given back while a thread still reads it stays
 * taken until it is unpinned.
 *
 * When an allocation fails, its connection waits. Room counts the waiting connections and records
 * the highest usage at which an allocation failed; which connections wait is the caller's to know.
 * All of it is private memory of the worker, and belongs to the loop's thread. */
#ifndef PILLION_NET_ROOM_H
#define PILLION_NET_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "net/arena.h"
#include "net/blocks.h"

#define ROOM_DISCARD_ORDER 8u /* blocks of 1 MiB and more give their pages back */

/* A block of 2^reserve_order units that is kept back, for one connection at a time. */
struct room_reserve {
    uint32_t block; /* BLOCK_NONE: the arena is too small for reserves */
    bool used;
};

/* How often a block is pinned, by its first unit. */
struct room_pin {
    uint32_t count;
    uint32_t given; /* 1 + its order, when it was given back while pinned; else 0 */
};

struct room {
    const struct arena *arena;
    struct blocks blocks;
    struct room_reserve input, output;
    unsigned reserve_order;
    struct room_pin *pins;    /* NULL: no block was ever pinned */
    uint32_t waiting;         /* connections that wait for room */
    uint32_t used_when_short; /* the highest usage at which an allocation failed; 0: none has */
};

/* All blocks of `arena`, which outlives the room, are free. False when memory ran out. */
bool room_init(struct room *room, const struct arena *arena);
void room_free(struct room *room);

/* Whether an ordinary block of 2^order units can be had for what need not be. */
static inline bool room_can_spare(const struct room *room, unsigned order)
{
    const struct blocks *blocks = &room->blocks;
    return blocks->used + (1u << order) <= blocks->count - blocks->count / 4;
}

/* Whether input may take such a block. */
static inline bool room_allows_input(const struct room *room, unsigned order)
{
    return order == 0 || room_can_spare(room, order);
}

/* A block of 2^order units, or BLOCK_NONE. */
static inline uint32_t room_take(struct room *room, unsigned order)
{
    return blocks_take(&room->blocks, order);
}

/* The reserve, or BLOCK_NONE when another connection has it or 2^order units are more than it has.
 * `order` becomes the block's. */
uint32_t room_take_reserve(struct room *room, struct room_reserve *reserve, uint8_t *order);

/* An ordinary block, and where there is none the reserve. */
static inline uint32_t room_take_any(struct room *room, struct room_reserve *reserve,
                                     uint8_t *order)
{
    uint32_t block = blocks_take(&room->blocks, *order);
    return block == BLOCK_NONE ? room_take_reserve(room, reserve, order) : block;
}

/* Whether room is short enough that clients which hold much and do not go on are to give it up. */
static inline bool room_is_pressed(const struct room *room)
{
    return room->waiting > 0 || room->blocks.used > room->blocks.count / 2;
}

/* Gives a block back that no record refers to any more. BLOCK_NONE is no block: nothing to do. */
void room_give_special(struct room *room, uint32_t block, unsigned order); /* see room_give */
static inline void room_give(struct room *room, uint32_t block, unsigned order)
{
    if (block == BLOCK_NONE)
        return;
    if (room->pins != NULL || block == room->input.block || block == room->output.block ||
        order >= ROOM_DISCARD_ORDER)
        room_give_special(room, block, order);
    else
        blocks_give(&room->blocks, block, order);
}

/* The block's bytes stay as they are until it is unpinned as often, even when it is given back
 * meanwhile. False when memory ran out. */
bool room_pin(struct room *room, uint32_t block);
void room_unpin(struct room *room, uint32_t block);

/* An allocation failed. Its connection begins to wait, and the log is told now and then; or it
 * waits already, and has asked again (room_was_short). */
void room_wait(struct room *room);
void room_was_short(struct room *room);

/* A waiting connection waits no more: it found room, or is over. */
static inline void room_wait_ends(struct room *room)
{
    room->waiting--;
}

/* True when usage is below what it was when an allocation failed: the caller lets every waiting
 * connection ask again, after room_retry. The maximum counts, so that a later, larger request
 * cannot hide an earlier, smaller one. */
static inline bool room_retry_is_due(const struct room *room)
{
    return room->waiting > 0 && room->blocks.used < room->used_when_short;
}

/* Forgets the failures so far: failures of the retry are recorded anew. */
static inline void room_retry(struct room *room)
{
    room->used_when_short = 0;
}

#endif
