/* The layouts of records that this binary can read. See arena_layout.h. */
#include "net/arena_layout.h"

#include <string.h>

/* ---- Layouts 1 to 4: frozen. In 1 there were zeros where 2 has `begun`, `answered_at` and
 * `staying`: no request ever overtook another. From 3 on there is a table of marks. Before 4 every
 * connection spoke protocol 0, and there was no table of clients. ---- */

struct frozen_cursors {
    uint64_t received, sent;
    uint32_t in_block, out_block;
    uint32_t in_start, in_end;
    uint32_t out_start, out_end;
    uint8_t in_order, out_order;
    uint8_t flags;
    uint8_t begun;
    union {
        uint32_t answered_at; /* 2: 1 + the offset of the frame that was answered last, or 0 */
        struct {
            uint8_t first, answered;
            uint8_t protocol, told; /* 4 */
        } three;
    };
};

struct frozen_record {
    _Atomic uint64_t id;
    _Atomic uint64_t running;
    _Atomic uint32_t commits;
    uint32_t listener;
    _Atomic uint32_t taken;
    _Atomic uint32_t staying;
    struct frozen_cursors cursors[2];
};
static_assert(sizeof(struct frozen_record) == 128, "layouts 1 to 4 never change");

static const struct frozen_cursors *frozen_cursors_of(const struct frozen_record *record)
{
    return &record->cursors[record->commits & 1];
}

static void read_2(const void *from, struct conn_record *to)
{
    const struct frozen_record *record = from;
    const struct frozen_cursors *cursors = frozen_cursors_of(record);

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
    };
}

/* The marks were in the three highest bits of a frame's length, in the one framing there was. The
 * frame that was answered last was named by its offset in the block. */
static void marks_2(const void *from, uint32_t in_start, char *input,
                    const struct conn_cursors *cursors, struct conn_marks *marks)
{
    enum { HEADER = 4, HIGHEST = 3, BITS = 5 };
    uint32_t answered_at = frozen_cursors_of(from)->answered_at;
    uint64_t size = cursors->in_end - cursors->in_start, at = 0;

    for (uint32_t n = 0; n < cursors->begun; n++) {
        if (at + HEADER > size)
            return;
        unsigned char *header = (unsigned char *)input + at;
        unsigned mark = header[HIGHEST] >> BITS;
        header[HIGHEST] &= (1u << BITS) - 1;
        if (answered_at == in_start + at + 1)
            mark |= MARK_ANSWERED;
        atomic_store_explicit(&marks->of[(uint8_t)(cursors->first + n)], (uint8_t)mark,
                              memory_order_relaxed);
        at += HEADER + ((uint64_t)header[0] | (uint64_t)header[1] << 8 | (uint64_t)header[2] << 16 |
                        (uint64_t)header[HIGHEST] << 24);
    }
}

static void read_3(const void *from, struct conn_record *to)
{
    const struct frozen_cursors *cursors = frozen_cursors_of(from);

    read_2(from, to);
    to->cursors[0].first = cursors->three.first;
    to->cursors[0].answered = cursors->three.answered;
}

static void read_4(const void *from, struct conn_record *to)
{
    read_3(from, to);
    to->cursors[0].protocol = frozen_cursors_of(from)->three.protocol;
    to->cursors[0].told = frozen_cursors_of(from)->three.told;
}

static void take_frozen(void *record)
{
    atomic_store_explicit(&((struct frozen_record *)record)->taken, 1, memory_order_release);
}

#if ARENA_LAYOUT == 4
static_assert(sizeof(struct conn_record) == sizeof(struct frozen_record) &&
                  offsetof(struct conn_record, cursors) ==
                      offsetof(struct frozen_record, cursors) &&
                  offsetof(struct conn_cursors, first) ==
                      offsetof(struct frozen_cursors, three.first) &&
                  offsetof(struct conn_cursors, answered) ==
                      offsetof(struct frozen_cursors, three.answered) &&
                  offsetof(struct conn_cursors, protocol) ==
                      offsetof(struct frozen_cursors, three.protocol) &&
                  sizeof(struct conn_marks) == 256,
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
    uint32_t layout, record_size, marks_size, clients_size;
    void (*read)(const void *from, struct conn_record *to);
    void (*take)(void *record);
    /* NULL: the layout has a table of marks. */
    void (*marks)(const void *from, uint32_t in_start, char *input,
                  const struct conn_cursors *cursors, struct conn_marks *marks);
} layouts[] = {
    {1, sizeof(struct frozen_record), 0, 0, read_2, take_frozen, marks_2},
    {2, sizeof(struct frozen_record), 0, 0, read_2, take_frozen, marks_2},
    {3, sizeof(struct frozen_record), sizeof(struct conn_marks), 0, read_3, take_frozen, NULL},
    {4, sizeof(struct frozen_record), sizeof(struct conn_marks), sizeof(struct conn_client), read_4,
     take_frozen, NULL},
#if ARENA_LAYOUT != 4
    {ARENA_LAYOUT, sizeof(struct conn_record), sizeof(struct conn_marks),
     sizeof(struct conn_client), read_own, take_own, NULL},
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

uint32_t arena_layout_marks_size(uint32_t layout)
{
    size_t i = find(layout);
    return i == LAYOUTS ? 0 : layouts[i].marks_size;
}

uint32_t arena_layout_clients_size(uint32_t layout)
{
    size_t i = find(layout);
    return i == LAYOUTS ? 0 : layouts[i].clients_size;
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

void arena_marks_read(const struct arena *arena, uint32_t index, uint32_t in_start, char *input,
                      const struct conn_cursors *cursors, struct conn_marks *marks)
{
    size_t i = find(arena->layout);

    if (layouts[i].marks != NULL) {
        layouts[i].marks(record_at(arena, i, index), in_start, input, cursors, marks);
        return;
    }
    for (size_t n = 0; n < sizeof(marks->of); n++)
        atomic_store_explicit(&marks->of[n], arena->marks[index].of[n], memory_order_relaxed);
}

/* The worker that wrote it may have been damaged. An address that is not known must not pass for
 * the balancer's own, which the socket has. */
void arena_client_read(const struct arena *arena, uint32_t index, struct conn_client *client)
{
    static const char unknown[] = "unknown";

    *client = arena->clients[index];
    client->address[sizeof(client->address) - 1] = '\0';
    client->alpn[sizeof(client->alpn) - 1] = '\0';
    client->common_name[sizeof(client->common_name) - 1] = '\0';
    client->authority[sizeof(client->authority) - 1] = '\0';
    if (client->address[0] == '\0')
        memcpy(client->address, unknown, sizeof(unknown));
}

void arena_record_take(const struct arena *arena, uint32_t index)
{
    size_t i = find(arena->layout);
    layouts[i].take(record_at(arena, i, index));
}
