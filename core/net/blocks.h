/* Which parts of an arena's data are in use: a buddy allocator.
 *
 * A block has 4 KiB times a power of two. The bookkeeping is private memory of the worker that the
 * arena belongs to: an adopter does not need it, because connection records name the blocks that
 * they use, and the adopter copies the bytes. The block freed last is taken first: it is still in
 * the processor's cache. net/room.h decides which connection may have a block. */
#ifndef PILLION_NET_BLOCKS_H
#define PILLION_NET_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_SIZE         4096u
#define BLOCK_NONE         UINT32_MAX
#define BLOCK_ORDERS       17u /* the largest block has 2^16 units: 256 MiB */
#define BLOCK_BYTES(order) ((uint64_t)BLOCK_SIZE << (order))

struct blocks {
    uint32_t count;               /* units of BLOCK_SIZE */
    uint32_t used;                /* units in use */
    uint32_t heads[BLOCK_ORDERS]; /* first free block of each order, or BLOCK_NONE */
    uint32_t *next, *previous;    /* of free blocks, by unit */
    uint8_t *state;               /* by unit: 1 + order where a free block starts, 0 elsewhere */
};

/* Starts with `count` units, all free. False when memory ran out. */
bool blocks_init(struct blocks *blocks, uint32_t count);
void blocks_free(struct blocks *blocks);

/* The first unit of a free block of 2^order units, or BLOCK_NONE. */
uint32_t blocks_take(struct blocks *blocks, unsigned order);

/* Gives a block back. Returns the order of the free block that it became part of. */
unsigned blocks_give(struct blocks *blocks, uint32_t block, unsigned order);

/* Gives back what a block of 2^order units has beyond its first 2^to units. */
void blocks_trim(struct blocks *blocks, uint32_t block, unsigned order, unsigned to);

/* The smallest order whose blocks hold `bytes`; BLOCK_ORDERS when none does. */
unsigned block_order(uint64_t bytes);

#endif
