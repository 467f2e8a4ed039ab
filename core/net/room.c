/* Room in the arena. See room.h. */
#include "net/room.h"

#include <stdlib.h>

#include "base/log_seldom.h"

#define RESERVE_FROM 512u /* blocks: smaller arenas have no reserve */

/* Each reserve has an eighth of the arena, rounded down to a power of two. */
static void reserves_init(struct room *room)
{
    room->input.block = room->output.block = BLOCK_NONE;
    if (room->blocks.count < RESERVE_FROM)
        return;
    while (8u << (room->reserve_order + 1) <= room->blocks.count &&
           room->reserve_order + 1 < BLOCK_ORDERS)
        room->reserve_order++;
    room->input.block = blocks_take(&room->blocks, room->reserve_order);
    room->output.block = blocks_take(&room->blocks, room->reserve_order);
}

bool room_init(struct room *room, const struct arena *arena)
{
    *room = (struct room){.arena = arena};
    if (!blocks_init(&room->blocks, arena->block_count))
        return false;
    reserves_init(room);
    return true;
}

void room_free(struct room *room)
{
    blocks_free(&room->blocks);
    free(room->pins);
    *room = (struct room){0};
}

/* ---- Taking and giving back ---- */

uint32_t room_take_reserve(struct room *room, struct room_reserve *reserve, uint8_t *order)
{
    if (reserve->used || reserve->block == BLOCK_NONE || *order > room->reserve_order)
        return BLOCK_NONE;
    reserve->used = true;
    *order = (uint8_t)room->reserve_order;
    return reserve->block;
}

void room_give_special(struct room *room, uint32_t block, unsigned order)
{
    struct room_reserve *reserve = block == room->input.block    ? &room->input
                                   : block == room->output.block ? &room->output
                                                                 : NULL;

    if (room->pins != NULL && room->pins[block].count > 0) {
        room->pins[block].given = 1 + order;
        return;
    }
    if (reserve != NULL) {
        reserve->used = false;
        room->used_when_short = UINT32_MAX; /* usage is as before, yet a retry may find room */
    } else {
        blocks_give(&room->blocks, block, order);
    }
    if (order >= ROOM_DISCARD_ORDER)
        arena_discard(room->arena, block, order);
}

bool room_pin(struct room *room, uint32_t block)
{
    if (room->pins == NULL)
        room->pins = calloc(room->blocks.count, sizeof(*room->pins));
    if (room->pins == NULL)
        return false;
    room->pins[block].count++;
    return true;
}

void room_unpin(struct room *room, uint32_t block)
{
    struct room_pin *pin = &room->pins[block];

    if (--pin->count > 0 || pin->given == 0)
        return;
    unsigned order = pin->given - 1;
    pin->given = 0;
    room_give(room, block, order);
}

/* ---- Waiting ---- */

void room_was_short(struct room *room)
{
    if (room->blocks.used > room->used_when_short)
        room->used_when_short = room->blocks.used;
}

void room_wait(struct room *room)
{
    if (room->waiting == 0)
        room->used_when_short = 0;
    room->waiting++;
    room_was_short(room);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "the arena is full (%u of %u KiB in use): reading is paused for connections that "
               "need more; raise arena_size or lower max_frame and max_output",
               room->blocks.used * (BLOCK_SIZE / 1024), room->blocks.count * (BLOCK_SIZE / 1024));
}
