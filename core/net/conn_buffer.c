/* Blocks for connections: taking, growing and giving back. See conn_private.h. */
#include "net/conn_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define ROOM_MIN      4096u /* less than this is not worth a read */
#define SHRINK_ABOVE  1024u /* bytes of a partial frame that are left where they are */
#define DISCARD_ORDER 8u    /* blocks of 1 MiB and more give their pages back */
#define RESERVE_FROM  512u  /* blocks: smaller arenas have no reserve */
#define GROW_FACTOR   4u    /* so that a large frame is copied a few times at most */

/* Whether input may take a block of this order. Beyond three quarters of the arena only the
 * smallest are given, so that large frames that are not whole yet never starve small ones. */
static bool input_allowed(const struct conns *conns, unsigned order)
{
    const struct blocks *blocks = &conns->blocks;
    return order == 0 || blocks->used + (1u << order) <= blocks->count - blocks->count / 4;
}

void reserve_init(struct conns *conns)
{
    conns->in_reserve.block = conns->out_reserve.block = BLOCK_NONE;
    if (conns->blocks.count < RESERVE_FROM)
        return;
    while (8u << (conns->reserve_order + 1) <= conns->blocks.count &&
           conns->reserve_order + 1 < BLOCK_ORDERS)
        conns->reserve_order++;
    conns->in_reserve.block = blocks_take(&conns->blocks, conns->reserve_order);
    conns->out_reserve.block = blocks_take(&conns->blocks, conns->reserve_order);
}

static uint32_t reserve_take(const struct conns *conns, struct reserve *reserve, uint8_t *order)
{
    if (reserve->used || reserve->block == BLOCK_NONE || *order > conns->reserve_order)
        return BLOCK_NONE;
    reserve->used = true;
    *order = (uint8_t)conns->reserve_order;
    return reserve->block;
}

uint32_t block_take(struct conns *conns, struct reserve *reserve, uint8_t *order)
{
    uint32_t block = blocks_take(&conns->blocks, *order);
    return block == BLOCK_NONE ? reserve_take(conns, reserve, order) : block;
}

void block_release(struct conns *conns, uint32_t block, unsigned order)
{
    struct reserve *reserve = block == conns->in_reserve.block    ? &conns->in_reserve
                              : block == conns->out_reserve.block ? &conns->out_reserve
                                                                  : NULL;

    if (block == BLOCK_NONE)
        return;
    if (conns->pins != NULL && conns->pins[block].count > 0) {
        conns->pins[block].released = 1 + order;
        return;
    }
    if (reserve != NULL) {
        reserve->used = false;
        conns->used_when_full = UINT32_MAX; /* whoever waits may have it */
    } else {
        blocks_give(&conns->blocks, block, order);
    }
    if (order >= DISCARD_ORDER)
        arena_discard(&conns->arena, block, order);
}

uint32_t conn_input_pin(struct conns *conns, const struct conn *conn)
{
    uint32_t block = conn_cursors(conns, conn)->in_block;

    if (conns->pins == NULL)
        conns->pins = calloc(conns->blocks.count, sizeof(*conns->pins));
    if (conns->pins == NULL || block == BLOCK_NONE)
        return BLOCK_NONE;
    conns->pins[block].count++;
    return block;
}

void conns_unpin(struct conns *conns, uint32_t block)
{
    struct pin *pin = &conns->pins[block];

    if (--pin->count > 0 || pin->released == 0)
        return;
    unsigned order = pin->released - 1;
    pin->released = 0;
    block_release(conns, block, order);
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

/* Copies unconsumed input to the start of `block`, a new one. False when that is none. */
static bool input_move_to(struct conns *conns, struct conn *conn, uint32_t block, unsigned order)
{
    struct conn_record *record = conn_record_of(conns, conn);

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

static bool input_move(struct conns *conns, struct conn *conn, unsigned order)
{
    return input_move_to(conns, conn, blocks_take(&conns->blocks, order), order);
}

/* The last resort of a connection whose block is full: one block will do for what is there, or the
 * reserve for the frame that it is the beginning of. */
static bool input_squeeze(struct conns *conns, struct conn *conn, uint64_t size)
{
    uint8_t order = (uint8_t)block_order(conn->expects);

    if (size < BLOCK_SIZE && input_move(conns, conn, 0))
        return true;
    if (conn->expects <= size)
        return false;
    uint32_t block = reserve_take(conns, &conns->in_reserve, &order);
    return input_move_to(conns, conn, block, order);
}

size_t input_room(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    size_t room = (size_t)BLOCK_BYTES(cursors->in_order) - cursors->in_end;
    uint32_t size = cursors->in_end - cursors->in_start;

    if (cursors->in_block == conns->in_reserve.block && conn->expects > size &&
        conn->expects - size < room)
        room = conn->expects - size;
    return room;
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
    return room > 0 || input_squeeze(conns, conn, size);
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
    uint8_t order = (uint8_t)block_order((uint64_t)queued + size);

    if (order < WRITE_ORDER)
        order = WRITE_ORDER;
    if (order >= BLOCK_ORDERS)
        return false;
    uint32_t block = block_take(conns, &conns->out_reserve, &order);
    if (block == BLOCK_NONE)
        return false;
    uint32_t old = edit->out_block;
    unsigned old_order = edit->out_order;
    if (queued > 0)
        memcpy(arena_block(&conns->arena, block), arena_block(&conns->arena, old) + edit->out_start,
               queued);
    edit->out_block = block;
    edit->out_order = order;
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
