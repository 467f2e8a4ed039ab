/* Answers that are kept in the arena. See kept.h. */
#include "net/kept.h"

#include <stdlib.h>
#include <string.h>

/* At the start of a block; the answers are behind it, each behind its head. */
struct kept_block {
    uint64_t connection, place;
    _Atomic uint32_t next; /* 1 + the next block, or 0 */
    _Atomic uint32_t size; /* bytes of answers that are whole, with their heads */
};

struct kept_head {
    uint32_t number, size;
};

static struct kept_block *block_at(const struct arena *arena, uint32_t block)
{
    return (struct kept_block *)(void *)arena_block(arena, block);
}

static char *answers_of(struct kept_block *block)
{
    return (char *)block + sizeof(*block);
}

static _Atomic uint32_t *start_of(const struct arena *arena)
{
    return (_Atomic uint32_t *)(void *)((char *)arena->header + ARENA_KEPT_AT);
}

/* ---- Keeping ---- */

/* Where the list says that this frame's block is the next one. */
static _Atomic uint32_t *link_to(const struct kept *kept)
{
    const struct arena *arena = &kept->conns->arena;

    return kept->previous == NULL ? start_of(arena) : &block_at(arena, kept->previous->block)->next;
}

static void point_to(const struct kept *kept, uint32_t link)
{
    atomic_store_explicit(link_to(kept), link, memory_order_release);
}

static void list_in(struct kept *kept, struct conns *conns)
{
    kept->conns = conns;
    kept->previous = NULL;
    kept->next = conns->kept;
    if (kept->next != NULL)
        kept->next->previous = kept;
    conns->kept = kept;
}

/* A block that has room for so many bytes of answers. */
static uint32_t take_block(struct conns *conns, uint64_t size, uint8_t *order)
{
    unsigned wanted = block_order(sizeof(struct kept_block) + size);

    if (wanted >= BLOCK_ORDERS || !room_can_spare(&conns->room, wanted))
        return BLOCK_NONE;
    *order = (uint8_t)wanted;
    return room_take(&conns->room, wanted);
}

/* Makes room for `more` bytes. False when there is none. */
static bool make_room(struct kept *kept, struct conns *conns, uint64_t connection, uint64_t place,
                      size_t more)
{
    const struct arena *arena = &conns->arena;
    struct kept_block *old = kept->conns == NULL ? NULL : block_at(arena, kept->block);
    uint32_t size = old == NULL ? 0 : atomic_load_explicit(&old->size, memory_order_relaxed);
    uint8_t order;

    if (old != NULL && sizeof(*old) + size + more <= BLOCK_BYTES(kept->order))
        return true;
    uint32_t block = take_block(conns, (old == NULL ? 0 : 2 * (uint64_t)size) + more, &order);
    if (block == BLOCK_NONE)
        return false;
    struct kept_block *to = block_at(arena, block);
    to->connection = connection;
    to->place = place;
    atomic_store_explicit(&to->size, size, memory_order_relaxed);
    if (old != NULL)
        memcpy(answers_of(to), answers_of(old), size);
    else
        list_in(kept, conns);
    atomic_store_explicit(&to->next, kept->next == NULL ? 0 : 1 + kept->next->block,
                          memory_order_relaxed);
    point_to(kept, 1 + block);
    if (old != NULL)
        room_give(&conns->room, kept->block, kept->order);
    kept->block = block;
    kept->order = order;
    return true;
}

void kept_add(struct kept *kept, struct conns *conns, uint64_t connection, uint64_t place,
              uint32_t number, struct bytes answer)
{
    const struct kept_head head = {.number = number, .size = (uint32_t)answer.size};

    if (!make_room(kept, conns, connection, place, sizeof(head) + answer.size))
        return;
    struct kept_block *block = block_at(&conns->arena, kept->block);
    uint32_t size = atomic_load_explicit(&block->size, memory_order_relaxed);
    char *to = answers_of(block) + size;
    memcpy(to, &head, sizeof(head));
    if (answer.size > 0)
        memcpy(to + sizeof(head), answer.data, answer.size);
    atomic_store_explicit(&block->size, size + (uint32_t)(sizeof(head) + answer.size),
                          memory_order_release);
}

void kept_drop(struct kept *kept)
{
    struct conns *conns = kept->conns;

    if (conns == NULL)
        return;
    point_to(kept, kept->next == NULL ? 0 : 1 + kept->next->block);
    if (kept->next != NULL)
        kept->next->previous = kept->previous;
    if (kept->previous != NULL)
        kept->previous->next = kept->next;
    else
        conns->kept = kept->next;
    room_give(&conns->room, kept->block, kept->order);
    *kept = (struct kept){0};
}

/* ---- Finding ---- */

static int compare(const void *a, const void *b)
{
    const struct kept_frame *one = a, *other = b;

    if (one->connection != other->connection)
        return one->connection < other->connection ? -1 : 1;
    return (one->place > other->place) - (one->place < other->place);
}

/* Of one frame's, the block with the most first. */
static int compare_blocks(const void *a, const void *b)
{
    const struct kept_frame *one = a, *other = b;
    int order = compare(a, b);

    return order != 0 ? order : (one->size < other->size) - (one->size > other->size);
}

/* A worker that has died while it took a connection over leaves two blocks for a frame: what it has
 * inherited, and what of that its own request had already. One has all that is in the other. */
static void drop_copies(struct kept_index *index)
{
    size_t count = 1;

    for (size_t i = 1; i < index->count; i++) {
        if (compare(&index->frames[i], &index->frames[count - 1]) != 0)
            index->frames[count++] = index->frames[i];
    }
    index->count = count;
}

void kept_index_read(struct kept_index *index, const struct arena *from)
{
    uint32_t link = atomic_load_explicit(start_of(from), memory_order_acquire);
    size_t capacity = 0;

    *index = (struct kept_index){.from = from};
    /* A list that is longer than the arena goes in a circle. */
    while (link != 0 && link - 1 < from->block_count && index->count < from->block_count) {
        struct kept_block *block = block_at(from, link - 1);
        if (index->count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            struct kept_frame *frames = realloc(index->frames, capacity * sizeof(*frames));
            if (frames == NULL)
                break;
            index->frames = frames;
        }
        index->frames[index->count++] =
            (struct kept_frame){.connection = block->connection,
                                .place = block->place,
                                .size = atomic_load_explicit(&block->size, memory_order_acquire),
                                .block = link - 1};
        link = atomic_load_explicit(&block->next, memory_order_acquire);
    }
    if (index->count == 0)
        return;
    qsort(index->frames, index->count, sizeof(*index->frames), compare_blocks);
    drop_copies(index);
}

void kept_index_free(struct kept_index *index)
{
    free(index->frames);
    *index = (struct kept_index){0};
}

bool kept_next(const struct kept_index *index, uint64_t connection, uint64_t place, uint32_t *at,
               uint32_t *number, struct bytes *answer)
{
    const struct kept_frame key = {.connection = connection, .place = place};
    struct kept_head head;

    if (index == NULL || index->count == 0)
        return false;
    const struct kept_frame *frame =
        bsearch(&key, index->frames, index->count, sizeof(key), compare);
    if (frame == NULL)
        return false;
    struct kept_block *block = block_at(index->from, frame->block);
    uint64_t room =
        (uint64_t)(index->from->block_count - frame->block) * BLOCK_SIZE - sizeof(*block);
    uint32_t size = atomic_load_explicit(&block->size, memory_order_acquire);
    if (size > room || *at > size || size - *at < sizeof(head))
        return false;
    const char *from = answers_of(block) + *at;
    memcpy(&head, from, sizeof(head));
    if (head.size > size - *at - sizeof(head))
        return false;
    *at += (uint32_t)sizeof(head) + head.size;
    *number = head.number;
    *answer = (struct bytes){from + sizeof(head), head.size};
    return true;
}

/* The first frame of this connection, or where it would be. */
static size_t find_connection(const struct kept_index *index, uint64_t connection)
{
    size_t from = 0, to = index->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (index->frames[middle].connection < connection)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct kept *kept_inherit(struct conns *conns, const struct kept_index *index, uint64_t connection)
{
    size_t first = find_connection(index, connection), count = 0;

    while (first + count < index->count && index->frames[first + count].connection == connection)
        count++;
    struct kept *inherited = count == 0 ? NULL : calloc(count + 1, sizeof(*inherited));
    struct kept *kept = inherited;
    for (size_t i = 0; inherited != NULL && i < count; i++) {
        uint64_t place = index->frames[first + i].place;
        struct bytes answer;
        uint32_t at = 0, number;
        while (kept_next(index, connection, place, &at, &number, &answer))
            kept_add(kept, conns, connection, place, number, answer);
        kept += kept->conns != NULL;
    }
    return inherited;
}

void kept_settle(struct kept *inherited)
{
    for (size_t i = 0; inherited != NULL && inherited[i].conns != NULL; i++)
        kept_drop(&inherited[i]);
    free(inherited);
}
