/* Adoption from a damaged arena: whatever a worker wrote over its arena before it died, the one
 * that takes over does not crash, and adopts only records that make sense.
 *
 * The input is laid over an arena's header and records, as a wild write would be; then every record
 * is taken over the way process/adopt.c does it, sent, read and closed. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz.h"
#include "net/arena_layout.h"
#include "net/conn.h"
#include "wire/frame.h"

#define RECORDS 8u
#define BLOCKS  64u

static struct conn_owner owner = {.max_output = 65536};
static counter counters[WORKER_COUNTERS];

/* Handles frames by dropping them. */
static void on_input(struct conns *conns, struct conn *conn)
{
    struct frame frame;

    while (frame_next(conn_input(conns, conn), 1 << 20, &frame) == FRAME_WHOLE)
        conn_advance(conns, conn, (size_t)frame.size, 0);
}

static void on_close(struct conns *conns, struct conn *conn)
{
    (void)conns;
    (void)conn;
}

/* An arena as a worker leaves it: two connections, one with input and output. */
static int sample(void)
{
    const struct arena_geometry geometry = {.records = RECORDS, .blocks = BLOCKS};
    struct error error;
    struct arena arena;
    int fd = arena_create(&geometry, 7, &error);

    require(fd >= 0 && arena_map(fd, &arena, &error));
    for (uint32_t i = 0; i < 3; i++) {
        struct conn_record *record = &arena.records[i];
        struct conn_cursors *edit = record_edit(record);
        *edit = (struct conn_cursors){.in_block = BLOCK_NONE, .out_block = BLOCK_NONE};
        if (i == 1)
            *edit = (struct conn_cursors){.received = 30,
                                          .in_block = 4,
                                          .in_order = 2,
                                          .in_start = 10,
                                          .in_end = 30,
                                          .out_block = 8,
                                          .out_order = 1,
                                          .out_end = 100};
        record_commit(record);
        record->id = 7ull << 32 | (i + 1);
        record->running = i == 1 ? running_mark(3, 10) : 0;
    }
    arena.header->record_high = 3;
    arena_unmap(&arena);
    return fd;
}

static void take_all(struct conns *conns, const struct arena *from)
{
    owner.conns = conns;
    for (uint32_t i = 0; i < from->record_count && i < RECORDS; i++) {
        struct conn_record image, *record = &image;
        int pair[2];
        arena_record_read(from, i, record);
        if (record->id == 0 || record->taken || !record_valid(from, record))
            continue;
        struct conn_cursors cursors = *record_cursors(record);
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        (void)record_running(record, cursors_consumed(record_cursors(record)));
        struct conn *conn = conn_adopt(conns, pair[0], from, record, &cursors, &owner);
        if (conn == NULL) {
            close(pair[0]);
        } else {
            conn_start(conns, conn);
            conns_flush(conns);
            if (conn->owner != NULL)
                conn_close(conns, conn);
        }
        close(pair[1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct arena_geometry geometry = {.records = RECORDS, .blocks = BLOCKS};
    struct loop loop;
    struct conns conns;
    struct arena from;
    struct error error;
    uint16_t offset;

    if (size < sizeof(offset))
        return 0;
    memcpy(&offset, data, sizeof(offset));
    data += sizeof(offset);
    size -= sizeof(offset);
    int damaged = sample();
    /* The first half of the offsets hits the header, the second the records. */
    uint64_t at = offset < 0x8000 ? offset % sizeof(struct arena_header)
                                  : BLOCK_SIZE + offset % (RECORDS * sizeof(struct conn_record));
    if (size > BLOCK_SIZE)
        size = BLOCK_SIZE;
    require(pwrite(damaged, data, size, (off_t)at) == (ssize_t)size);

    int own = arena_create(&geometry, 8, &error);
    require(own >= 0 && loop_init(&loop, &error));
    require(conns_init(&conns, &loop, own, 8, RECORDS, counters, &error));
    conns.on_input = on_input;
    conns.on_close = on_close;
    if (arena_map(damaged, &from, &error)) {
        from.record_count = arena_used_records(&from, damaged);
        take_all(&conns, &from);
        arena_unmap(&from);
    }
    require(conns.open == 0 && conns.blocks.used == 0);
    conns_free(&conns);
    loop_free(&loop);
    close(own);
    close(damaged);
    return 0;
}
