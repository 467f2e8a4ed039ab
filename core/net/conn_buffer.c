/* Blocks for connections: taking, growing and giving back. See conn_private.h. */
#include "net/conn_private.h"

#include <string.h>

#define ROOM_MIN     4096u /* less than this is not worth a read */
#define SHRINK_ABOVE 1024u /* bytes of a partial frame that are left where they are */
#define GROW_FACTOR  4u    /* so that a large frame is copied a few times at most */
#define SPARE_ORDERS 2u    /* likewise, of output that is being written */

uint32_t conn_input_pin(struct conns *conns, const struct conn *conn)
{
    uint32_t block = conn_cursors(conns, conn)->in_block;
    return block != BLOCK_NONE && room_pin(&conns->room, block) ? block : BLOCK_NONE;
}

void conns_unpin(struct conns *conns, uint32_t block)
{
    room_unpin(&conns->room, block);
}

void conn_wait_for_room(struct conns *conns, struct conn *conn)
{
    if (conn->waiting)
        return;
    conn->waiting = 1;
    counter_add(&conns->counters[COUNT_PAUSED_ARENA], 1);
    room_wait(&conns->room);
    conns_sweep_soon(conns);
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
    record_commit(record);
    room_give(&conns->room, old, old_order);
    return true;
}

static bool input_move(struct conns *conns, struct conn *conn, unsigned order)
{
    return input_move_to(conns, conn, room_take(&conns->room, order), order);
}

/* The last resort of a connection whose block is full: a single block, if the input at hand fits
 * into it, or the reserve, for the frame that the input begins. A frame whose size is not known yet
 * may be as large as any. */
static bool input_squeeze(struct conns *conns, struct conn *conn, uint64_t size)
{
    uint64_t expects = conn->expects != 0 ? conn->expects : conn->policy->max_input;
    uint8_t order = (uint8_t)block_order(expects);

    if (size < BLOCK_SIZE && input_move(conns, conn, 0))
        return true;
    if (expects <= size)
        return false;
    uint32_t block = room_take_reserve(&conns->room, &conns->room.input, &order);
    return input_move_to(conns, conn, block, order);
}

size_t input_room(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    size_t room = (size_t)BLOCK_BYTES(cursors->in_order) - cursors->in_end;
    uint32_t size = cursors->in_end - cursors->in_start;

    if (cursors->in_block == conns->room.input.block && conn->expects > size &&
        conn->expects - size < room)
        room = conn->expects - size;
    return room;
}

bool input_prepare(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->in_block == BLOCK_NONE)
        return (room_allows_input(&conns->room, READ_ORDER) &&
                input_move(conns, conn, READ_ORDER)) ||
               input_move(conns, conn, 0);

    uint64_t room = BLOCK_BYTES(cursors->in_order) - cursors->in_end;
    uint64_t size = cursors->in_end - cursors->in_start;
    /* Only the rest of the frame at the start needs room, where its length is known. */
    if (room >= ROOM_MIN || (conn->expects > size && room >= conn->expects - size))
        return true;

    uint64_t wanted = size * GROW_FACTOR;
    if (conn->expects > size && wanted > conn->expects)
        wanted = conn->expects;
    unsigned order = block_order(wanted < size + ROOM_MIN ? size + ROOM_MIN : wanted);
    if (order < READ_ORDER)
        order = READ_ORDER;
    if (order < BLOCK_ORDERS && room_allows_input(&conns->room, order) &&
        input_move(conns, conn, order))
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
    room_give(&conns->room, block, order);
}

/* The order of a block for queued output and `size` bytes behind it. */
static inline unsigned output_order(const struct conn_cursors *cursors, size_t size)
{
    uint64_t all = (uint64_t)(cursors->out_end - cursors->out_start) + size;

    return all <= BLOCK_BYTES(WRITE_ORDER) ? WRITE_ORDER : block_order(all);
}

/* Copies queued output, and `used` bytes behind it, to the start of `block`, a new one. `edit` is
 * what record_edit has given. */
static inline __attribute__((always_inline)) void
output_move_to(struct conns *conns, struct conn *conn, struct conn_cursors *edit, size_t used,
               uint32_t block, uint8_t order)
{
    uint32_t queued = edit->out_end - edit->out_start;
    uint32_t old = edit->out_block;
    unsigned old_order = edit->out_order;

    if (queued + used > 0)
        memcpy(arena_block(&conns->arena, block), arena_block(&conns->arena, old) + edit->out_start,
               queued + used);
    edit->out_block = block;
    edit->out_order = order;
    edit->out_start = 0;
    edit->out_end = queued;
    record_commit(conn_record_of(conns, conn));
    room_give(&conns->room, old, old_order);
}

/* Moves queued output to a block that has `size` bytes more room. */
static bool output_move(struct conns *conns, struct conn *conn, size_t size)
{
    struct conn_cursors *edit = record_edit(conn_record_of(conns, conn));
    uint8_t order = (uint8_t)output_order(edit, size);

    if (order >= BLOCK_ORDERS)
        return false;
    uint32_t block = room_take_any(&conns->room, &conns->room.output, &order);
    if (block == BLOCK_NONE)
        return false;
    output_move_to(conns, conn, edit, 0, block, order);
    return true;
}

static inline bool output_fits(const struct conn_cursors *cursors, size_t size)
{
    return cursors->out_block != BLOCK_NONE &&
           size <= BLOCK_BYTES(cursors->out_order) - cursors->out_end;
}

char *conn_output_reserve(struct conns *conns, struct conn *conn, size_t size)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (!output_fits(cursors, size)) {
        if (!output_move(conns, conn, size))
            return NULL;
        cursors = conn_cursors(conns, conn);
    }
    return arena_block(&conns->arena, cursors->out_block) + cursors->out_end;
}

/* ---- Output that is being written ---- */

/* Moves it to a larger block, of a few orders more than it needs for now: what is written is copied
 * a few times at most, and blocks of the right size are not far from there for what comes after.
 * The reserve is for replies that are whole. */
static bool output_grow(struct conns *conns, struct conn *conn, size_t used, size_t size)
{
    struct conn_cursors *edit = record_edit(conn_record_of(conns, conn));
    unsigned least = output_order(edit, size), old_order = edit->out_order;
    unsigned order = least == WRITE_ORDER ? least : least + SPARE_ORDERS;
    uint32_t old = edit->out_block, block;

    do
        block = room_take(&conns->room, order);
    while (block == BLOCK_NONE && order-- > least);
    if (block == BLOCK_NONE)
        return false;
    output_move_to(conns, conn, edit, used, block, (uint8_t)order);
    /* Its pages are not needed twice. Those of larger blocks are given back with them. */
    if (old != BLOCK_NONE && old_order > WRITE_ORDER && old_order < ROOM_DISCARD_ORDER)
        arena_discard(&conns->arena, old, old_order);
    return true;
}

char *conn_output_extend(struct conns *conns, struct conn *conn, size_t used, size_t *size)
{
    if (!output_fits(conn_cursors(conns, conn), *size) && !output_grow(conns, conn, used, *size))
        return NULL;
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    *size = (size_t)BLOCK_BYTES(cursors->out_order) - cursors->out_end;
    return arena_block(&conns->arena, cursors->out_block) + cursors->out_end;
}

void conn_output_trim(struct conns *conns, struct conn *conn, size_t size)
{
    struct conn_record *record = conn_record_of(conns, conn);
    const struct conn_cursors *cursors = record_cursors(record);
    unsigned order = block_order(cursors->out_end + (uint64_t)size);

    if (order < WRITE_ORDER)
        order = WRITE_ORDER;
    if (cursors->out_block == BLOCK_NONE || order >= cursors->out_order ||
        cursors->out_block == conns->room.output.block)
        return;
    struct conn_cursors *edit = record_edit(record);
    unsigned before = edit->out_order;
    edit->out_order = (uint8_t)order;
    record_commit(record);
    blocks_trim(&conns->room.blocks, edit->out_block, before, order);
}
