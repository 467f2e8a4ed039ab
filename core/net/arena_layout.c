/* The layouts of records that this binary can read. See arena_layout.h. */
#include "net/arena_layout.h"

#include <string.h>

/* ---- Layouts 1 and 2: frozen. In 1 there were zeros where 2 has `begun`, `answered_at` and
 * `staying`: no request ever overtook another. ---- */

struct cursors_2 {
    uint64_t received, sent;
    uint32_t in_block, out_block;
    uint32_t in_start, in_end;
    uint32_t out_start, out_end;
    uint8_t in_order, out_order;
    uint8_t flags;
    uint8_t begun;
    uint32_t answered_at;
};

struct record_2 {
    _Atomic uint64_t id;
    _Atomic uint64_t running;
    _Atomic uint32_t commits;
    uint32_t listener;
    _Atomic uint32_t taken;
    _Atomic uint32_t staying;
    struct cursors_2 cursors[2];
};
static_assert(sizeof(struct record_2) == 128, "layouts 1 and 2 never change");

static void read_2(const void *from, struct conn_record *to)
{
    const struct record_2 *record = from;
    const struct cursors_2 *cursors = &record->cursors[record->commits & 1];

    memset(to, 0, sizeof(*to));
    to->id = record->id;
    to->running = record->running;
    to->listener = record->listener;
    to->taken = record->taken;
    to->staying = record->staying;
    to->cursors[0] = (struct conn_cursors){
        .received = cursors->received,
        .sent = cursors->sent,
        .in_block = cursors->in_block,
        .out_block = cursors->out_block,
        .in_start = cursors->in_start,
        .in_end = cursors->in_end,
        .out_start = cursors->out_start,
        .out_end = cursors->out_end,
        .in_order = cursors->in_order,
        .out_order = cursors->out_order,
        .flags = cursors->flags,
        .begun = cursors->begun,
        .answered_at = cursors->answered_at,
    };
}

static void take_2(void *record)
{
    atomic_store_explicit(&((struct record_2 *)record)->taken, 1, memory_order_release);
}

#if ARENA_LAYOUT == 2
static_assert(sizeof(struct conn_record) == sizeof(struct record_2) &&
                  offsetof(struct conn_record, cursors) == offsetof(struct record_2, cursors),
              "conn_record has changed: raise ARENA_LAYOUT, and give the new layout a row here");
#else

/* ---- This binary's own ---- */

static void read_own(const void *from, struct conn_record *to)
{
    const struct conn_record *record = from;
    const struct conn_cursors *cursors = record_cursors(record);

    memset(to, 0, sizeof(*to));
    to->id = record->id;
    to->running = record->running;
    to->listener = record->listener;
    to->taken = record->taken;
    to->staying = record->staying;
    to->cursors[0] = *cursors;
}

static void take_own(void *record)
{
    atomic_store_explicit(&((struct conn_record *)record)->taken, 1, memory_order_release);
}
#endif

/* ---- The table ---- */

static const struct {
    uint32_t layout, record_size;
    void (*read)(const void *from, struct conn_record *to);
    void (*take)(void *record);
} layouts[] = {
    {1, sizeof(struct record_2), read_2, take_2},
    {2, sizeof(struct record_2), read_2, take_2},
#if ARENA_LAYOUT != 2
    {ARENA_LAYOUT, sizeof(struct conn_record), read_own, take_own},
#endif
};

#define LAYOUTS (sizeof(layouts) / sizeof(*layouts))

static size_t find(uint32_t layout)
{
    size_t i = 0;
    while (i < LAYOUTS && layouts[i].layout != layout)
        i++;
    return i;
}

uint32_t arena_layout_record_size(uint32_t layout)
{
    size_t i = find(layout);
    return i == LAYOUTS ? 0 : layouts[i].record_size;
}

static void *record_at(const struct arena *arena, size_t layout, uint32_t index)
{
    return (char *)arena->header + BLOCK_SIZE + (size_t)index * layouts[layout].record_size;
}

void arena_record_read(const struct arena *arena, uint32_t index, struct conn_record *record)
{
    size_t i = find(arena->layout);
    layouts[i].read(record_at(arena, i, index), record);
}

void arena_record_take(const struct arena *arena, uint32_t index)
{
    size_t i = find(arena->layout);
    layouts[i].take(record_at(arena, i, index));
}
