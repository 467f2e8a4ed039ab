/* The buddy allocator. See blocks.h. */
#include "net/blocks.h"

#include <stddef.h>
#include <sys/mman.h>

/* Zeroed memory that costs pages only where it is touched. */
static void *lazy_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void free_push(struct blocks *blocks, uint32_t block, unsigned order)
{
    uint32_t head = blocks->heads[order];

    blocks->next[block] = head;
    blocks->previous[block] = BLOCK_NONE;
    if (head != BLOCK_NONE)
        blocks->previous[head] = block;
    blocks->heads[order] = block;
    blocks->state[block] = (uint8_t)(order + 1);
}

static void free_remove(struct blocks *blocks, uint32_t block, unsigned order)
{
    uint32_t next = blocks->next[block], previous = blocks->previous[block];

    if (previous == BLOCK_NONE)
        blocks->heads[order] = next;
    else
        blocks->next[previous] = next;
    if (next != BLOCK_NONE)
        blocks->previous[next] = previous;
    blocks->state[block] = 0;
}

bool blocks_init(struct blocks *blocks, uint32_t count)
{
    *blocks = (struct blocks){.count = count};
    blocks->next = lazy_memory(count * sizeof(*blocks->next));
    blocks->previous = lazy_memory(count * sizeof(*blocks->previous));
    blocks->state = lazy_memory(count);
    if (blocks->next == NULL || blocks->previous == NULL || blocks->state == NULL) {
        blocks_free(blocks);
        return false;
    }
    for (unsigned order = 0; order < BLOCK_ORDERS; order++)
        blocks->heads[order] = BLOCK_NONE;

    /* The largest aligned blocks that fit, from the start on. */
    for (uint32_t at = 0; at < count;) {
        unsigned order = BLOCK_ORDERS - 1;
        while ((at & ((1u << order) - 1)) != 0 || (1u << order) > count - at)
            order--;
        free_push(blocks, at, order);
        at += 1u << order;
    }
    return true;
}

void blocks_free(struct blocks *blocks)
{
    if (blocks->next != NULL)
        munmap(blocks->next, blocks->count * sizeof(*blocks->next));
    if (blocks->previous != NULL)
        munmap(blocks->previous, blocks->count * sizeof(*blocks->previous));
    if (blocks->state != NULL)
        munmap(blocks->state, blocks->count);
    *blocks = (struct blocks){0};
}

uint32_t blocks_take(struct blocks *blocks, unsigned order)
{
    unsigned from = order;

    while (from < BLOCK_ORDERS && blocks->heads[from] == BLOCK_NONE)
        from++;
    if (from >= BLOCK_ORDERS)
        return BLOCK_NONE;
    uint32_t block = blocks->heads[from];
    free_remove(blocks, block, from);
    while (from > order) {
        from--;
        free_push(blocks, block + (1u << from), from);
    }
    blocks->used += 1u << order;
    return block;
}

unsigned blocks_give(struct blocks *blocks, uint32_t block, unsigned order)
{
    blocks->used -= 1u << order;
    while (order < BLOCK_ORDERS - 1) {
        uint32_t buddy = block ^ (1u << order);
        if (buddy >= blocks->count || blocks->state[buddy] != order + 1)
            break;
        free_remove(blocks, buddy, order);
        block &= ~(1u << order);
        order++;
    }
    free_push(blocks, block, order);
    return order;
}

/* The first half of each pair is in use, so nothing here becomes part of a larger block. */
void blocks_trim(struct blocks *blocks, uint32_t block, unsigned order, unsigned to)
{
    while (order > to) {
        order--;
        free_push(blocks, block + (1u << order), order);
        blocks->used -= 1u << order;
    }
}

unsigned block_order(uint64_t bytes)
{
    unsigned order = 0;
    while (order < BLOCK_ORDERS && BLOCK_BYTES(order) < bytes)
        order++;
    return order;
}
