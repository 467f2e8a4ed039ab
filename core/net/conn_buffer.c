/* Blocks for connections: taking, growing and giving back. See conn_private.h. */
#include "net/conn_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define ROOM_MIN      4096u /* less than this is not worth a read */
#define SHRINK_ABOVE  1024u /* bytes of a partial frame that are left where they are */
#define DISCARD_ORDER 8u    /* blocks of 1 MiB and more give their pages back */
#define GROW_FACTOR   4u    /* so that a large frame is copied a few times at most */

/* Whether input may take a block of this order. Beyond three quarters of the arena only the
 * smallest are given, so that large frames that are not whole yet never starve small ones. */
static bool input_allowed(const struct conns *conns, unsigned order)
{
    const struct blocks *blocks = &conns->blocks;
    return order == 0 || blocks->used + (1u << order) <= blocks->count - blocks->count / 4;
}

void block_release(struct conns *conns, uint32_t block, unsigned order)
{
    if (block == BLOCK_NONE)
        return;
    blocks_give(&conns->blocks, block, order);
    if (order >= DISCARD_ORDER)
        arena_discard(&conns->arena, block, order);
}

void room_was_short(struct conns *conns)
{
    if (conns->blocks.used > conns->used_when_full)
        conns->used_when_full = conns->blocks.used;
}

void conn_wait_for_room(struct conns *conns, struct conn *conn)
{
    if (conn->waiting)
        return;
    if (conns->waiting_count == 0)
        conns->used_when_full = 0;
    conn->waiting = 1;
    conns->waiting_count++;
    room_was_short(conns);
    counter_add(&conns->counters[COUNT_PAUSED_ARENA], 1);
    if (conns->loop->now - conns->full_logged_ns >= NS_PER_S || conns->full_logged_ns == 0) {
        conns->full_logged_ns = conns->loop->now;
        log_warn("the arena is full (%u of %u KiB in use): reading is paused for connections that "
                 "need more; raise arena_size or lower max_frame and max_output",
                 conns->blocks.used * (BLOCK_SIZE / 1024),
                 conns->blocks.count * (BLOCK_SIZE / 1024));
    }
}

/* Copies unconsumed input to the start of a new block of `order`. */
static bool input_move(struct conns *conns, struct conn *conn, unsigned order)
{
    struct conn_record *record = conn_record_of(conns, conn);
    uint32_t block = blocks_take(&conns->blocks, order);

    if (block == BLOCK_NONE)
        return false;
    struct conn_cursors *edit = record_edit(record);
    uint32_t old = edit->in_block;
    unsigned old_order = edit->in_order;
    uint32_t size = edit->in_end - edit->in_start;
    if (size > 0)
        memcpy(arena_block(&conns->arena, block), arena_block(&conns->arena, old) + edit->in_start,
               size);
    edit->in_block = block;
    edit->in_order = (uint8_t)order;
    edit->in_start = 0;
    edit->in_end = size;
    edit->answered_at = 0; /* that frame says so itself by now */
    record_commit(record);
    block_release(conns, old, old_order);
    return true;
}

bool input_prepare(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->in_block == BLOCK_NONE)
        return (input_allowed(conns, READ_ORDER) && input_move(conns, conn, READ_ORDER)) ||
               input_move(conns, conn, 0);

    uint64_t room = BLOCK_BYTES(cursors->in_order) - cursors->in_end;
    uint64_t size = cursors->in_end - cursors->in_start;
    /* What the frame at the start still lacks, where it is known, is all that needs room. */
    if (room >= ROOM_MIN || (conn->expects > size && room >= conn->expects - size))
        return true;

    uint64_t wanted = size * GROW_FACTOR;
    if (conn->expects > size && wanted > conn->expects)
        wanted = conn->expects;
    unsigned order = block_order(wanted < size + ROOM_MIN ? size + ROOM_MIN : wanted);
    if (order < READ_ORDER)
        order = READ_ORDER;
    if (order < BLOCK_ORDERS && input_allowed(conns, order) && input_move(conns, conn, order))
        return true;
    return room > 0;
}

void input_shrink(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    uint32_t size = cursors->in_end - cursors->in_start;

    if (cursors->in_block == BLOCK_NONE || cursors->in_order == 0 || size > SHRINK_ABOVE)
        return;
    if (size > 0) {
        input_move(conns, conn, 0);
        return;
    }
    struct conn_record *record = conn_record_of(conns, conn);
    struct conn_cursors *edit = record_edit(record);
    uint32_t block = edit->in_block;
    unsigned order = edit->in_order;
    edit->in_block = BLOCK_NONE;
    edit->in_start = edit->in_end = 0;
    record_commit(record);
    block_release(conns, block, order);
}

/* Moves queued output to a block that has `size` bytes more room. */
static bool output_move(struct conns *conns, struct conn *conn, size_t size)
{
    struct conn_record *record = conn_record_of(conns, conn);
    struct conn_cursors *edit = record_edit(record);
    uint32_t queued = edit->out_end - edit->out_start;
    unsigned order = block_order((uint64_t)queued + size);

    if (order < WRITE_ORDER)
        order = WRITE_ORDER;
    if (order >= BLOCK_ORDERS)
        return false;
    uint32_t block = blocks_take(&conns->blocks, order);
    if (block == BLOCK_NONE)
        return false;
    uint32_t old = edit->out_block;
    unsigned old_order = edit->out_order;
    if (queued > 0)
        memcpy(arena_block(&conns->arena, block), arena_block(&conns->arena, old) + edit->out_start,
               queued);
    edit->out_block = block;
    edit->out_order = (uint8_t)order;
    edit->out_start = 0;
    edit->out_end = queued;
    record_commit(record);
    block_release(conns, old, old_order);
    return true;
}

char *conn_output_reserve(struct conns *conns, struct conn *conn, size_t size)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->out_block == BLOCK_NONE ||
        size > BLOCK_BYTES(cursors->out_order) - cursors->out_end) {
        if (!output_move(conns, conn, size))
            return NULL;
        cursors = conn_cursors(conns, conn);
    }
    return arena_block(&conns->arena, cursors->out_block) + cursors->out_end;
}
