/* Adoption from a damaged arena: whatever a worker wrote over its arena before it died, the one
 * that takes over does not crash, and adopts only records that make sense.
 *
 * The input is laid over an arena's header, records or bytes, as a wild write would be; then every
 * record is taken over the way worker/adopt.c does it: what was under way is answered or run
 * again, what was received is handled, all of it is sent, and the connection is closed. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/former_arena.h"
#include "base/clock.h"
#include "fuzz.h"
#include "net/arena_layout.h"
#include "net/conn.h"
#include "net/kept.h"
#include "rpc/dispatch.h"

#define RECORDS 8u
#define BLOCKS  64u

static counter counters[WORKER_COUNTERS];
static struct dispatcher dispatcher;
static struct rpc_server server;
static struct pillion_instance instance = {.name = "m"};

static void echo(pillion_request *req)
{
    request_reply(req, "e", req->params);
}

static void defer(pillion_request *req)
{
    deferred_begin(req, 1000);
}

static void on_close(struct conns *conns, struct conn *conn)
{
    dispatch_closed(conns->context, conn);
}

static void serve(struct conns *conns, struct loop *loop)
{
    static struct server_settings settings = {.max_frame = 4096,
                                              .max_output = 65536,
                                              .max_inflight = 4,
                                              .json_max_depth = 16,
                                              .json_max_values = 100};
    static struct board *board;
    struct error error;
    struct method methods[] = {
        {.name = BYTES("e"), .handler = echo, .idempotent = true},
        {.name = BYTES("d"), .handler = defer},
    };

    if (board == NULL)
        require((board = board_new(&error)) != NULL);
    memset(&dispatcher, 0, sizeof(dispatcher));
    dispatcher.conns = conns;
    dispatcher.board = board;
    dispatcher.row = &board->rows[0];
    conns->loop = loop;
    dispatcher_init(&dispatcher, 1000);
    conns->on_input = dispatch_input;
    conns->on_close = on_close;
    conns->context = &dispatcher;
    rpc_server_init(&server, &settings, &dispatcher, 1);
    if (server.methods.count > 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        methods[i].instance = &instance;
        methods[i].own_name = methods[i].name.data;
        method_table_add(&server.methods, &methods[i]);
    }
    method_table_seal(&server.methods);
}

/* The bytes that the second connection has received: four frames were begun, the second of them is
 * answered, which layout 2 said in its length, and half a frame follows. */
static uint32_t frames(char *to, bool former)
{
    static const char *const bodies[] = {"{\"in\":\"d\",\"id\":1}", "{\"in\":\"e\",\"id\":2}",
                                         "{\"in\":\"e\",\"id\":3}", "{\"in\":\"d\"}",
                                         "{\"in\":\"e\"}"};
    uint32_t size = 0;

    for (size_t i = 0; i < 5; i++) {
        uint32_t length = (uint32_t)strlen(bodies[i]);
        frame_header(length, to + size);
        if (i == 1 && former)
            to[size + 3] = (char)0x80;
        memcpy(to + size + FRAME_HEADER_SIZE, bodies[i], length);
        size += FRAME_HEADER_SIZE + length;
    }
    return size - 4;
}

#define KEPT_BLOCK 20u

/* Two answers are kept for the first and for the last frame of the second connection. */
static void keep(const struct arena *arena, uint32_t last_place)
{
    uint32_t *start = (uint32_t *)(void *)((char *)arena->header + ARENA_KEPT_AT);

    *start = 1 + KEPT_BLOCK;
    for (uint32_t i = 0; i < 2; i++) {
        char *block = arena_block(arena, KEPT_BLOCK + i);
        const uint64_t frame[] = {7ull << 32 | 2, i == 0 ? 10 : last_place};
        const uint32_t rest[] = {i == 0 ? 1 + KEPT_BLOCK + 1 : 0, 2 * sizeof(uint32_t) + 6, 0, 6};
        memcpy(block, frame, sizeof(frame));
        memcpy(block + sizeof(frame), rest, sizeof(rest));
        memcpy(block + sizeof(frame) + sizeof(rest), "answer", 6);
    }
}

/* An arena as a worker leaves it: three connections, one that waits for its PROXY header, one with
 * input, output and kept answers, and one whose client was told. */
static int sample(bool former)
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
        if (!former && i != 1)
            edit->flags = i == 0 ? CONN_HEADER : CONN_TOLD;
        if (i == 1) {
            uint32_t size = frames(arena_block(&arena, 4) + 10, former);
            *edit = (struct conn_cursors){.received = 10 + size,
                                          .in_block = 4,
                                          .in_order = 2,
                                          .in_start = 10,
                                          .in_end = 10 + size,
                                          .out_block = 8,
                                          .out_order = 1,
                                          .out_end = 100,
                                          .begun = 4,
                                          .first = 254,
                                          .answered = 3};
            arena.marks[1].of[255] = MARK_ANSWERED;
            keep(&arena, 10 + 3 * 21);
            if (former)
                former_answered_at(edit, 10 + 2 * 21 + 1);
        }
        record_commit(record);
        record->id = 7ull << 32 | (i + 1);
        record->running = i == 1 ? running_mark(3, 10) : 0;
    }
    strcpy(arena.clients[2].address, "192.0.2.1:50122");
    strcpy(arena.clients[2].authority, "b.test");
    arena.header->record_high = 3;
    if (former) {
        close(fd);
        require((fd = former_arena(&arena, 2)) >= 0);
    }
    arena_unmap(&arena);
    return fd;
}

static const struct death deaths[] = {
    {.hung = true, .marked = true}, {.marked = true}, {.connection = 7ull << 32 | 3, .place = 10}};

/* Whoever the client is, it can be told. */
static void tell(const struct conn *conn)
{
    static const char *const whats[] = {"sni", "alpn", "cn"};
    char text[ADDRESS_TEXT_SIZE];

    conn_peer(conn, text);
    require(strlen(text) > 0);
    for (size_t i = 0; i < 3; i++) {
        const char *name = conn_told(conn, whats[i]);
        require(name == NULL || strlen(name) < sizeof(struct conn_client));
    }
}

static void take_all(struct conns *conns, const struct arena *from)
{
    struct kept_index kept;

    kept_index_read(&kept, from);
    for (uint32_t i = 0; i < from->record_count && i < RECORDS; i++) {
        struct conn_record image, *record = &image;
        int pair[2];
        arena_record_read(from, i, record);
        if (record->id == 0 || record->taken || !record_valid(from, record))
            continue;
        struct conn_cursors cursors = *record_cursors(record);
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        struct death death = deaths[i % 3];
        death.kept = &kept;
        struct kept *inherited = kept_inherit(conns, &kept, record->id);
        struct conn *conn = conn_adopt(conns, pair[0], from, i, record, &cursors, &server.policy);
        if (conn == NULL) {
            close(pair[0]);
        } else if (!(cursors.flags & CONN_HEADER) && !dispatch_adopted(&dispatcher, conn, &death)) {
            conn_close(conns, conn);
        } else {
            tell(conn);
            conn_start(conns, conn);
            dispatch_settle(&dispatcher);
            conns_flush(conns);
            if (conn->policy != NULL)
                conn_close(conns, conn);
        }
        dispatch_settle(&dispatcher);
        require(dispatcher.deferreds.pending == 0);
        kept_settle(inherited);
        require(conns->kept == NULL);
        close(pair[1]);
    }
    kept_index_free(&kept);
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
    /* Half of the arenas are of a layout of before. */
    bool former = (offset & 1) != 0;
    int damaged = sample(former);
    offset >>= 1;
    /* A quarter of the offsets hits the header, or what is kept, half the records, the rest the
     * marks and the clients, a page each, and the bytes. */
    uint64_t marks_at = 2 * BLOCK_SIZE, clients_at = former ? marks_at : marks_at + BLOCK_SIZE,
             blocks_at = former ? marks_at : clients_at + BLOCK_SIZE;
    uint64_t at = offset < 0x800    ? ARENA_KEPT_AT
                  : offset < 0x1000 ? blocks_at + KEPT_BLOCK * BLOCK_SIZE + offset % 48
                  : offset < 0x2000 ? offset % sizeof(struct arena_header)
                  : offset < 0x6000 ? BLOCK_SIZE + offset % (RECORDS * sizeof(struct conn_record))
                  : offset < 0x6800 ? marks_at + offset % (RECORDS * sizeof(struct conn_marks))
                  : offset < 0x7000 ? clients_at + offset % (RECORDS * sizeof(struct conn_client))
                                    : blocks_at + 4 * BLOCK_SIZE + 10 + offset % 128;
    if (size > BLOCK_SIZE)
        size = BLOCK_SIZE;
    require(pwrite(damaged, data, size, (off_t)at) == (ssize_t)size);

    int own = arena_create(&geometry, 8, &error);
    require(own >= 0 && loop_init(&loop, &error));
    require(conns_init(&conns, &loop, own, 8, RECORDS, counters, &error));
    serve(&conns, &loop);
    if (arena_map(damaged, &from, &error)) {
        from.record_count = arena_used_records(&from, damaged);
        take_all(&conns, &from);
        arena_unmap(&from);
    }
    require(conns.open == 0 && conns.room.blocks.used == 0);
    dispatcher_free(&dispatcher);
    pool_free(&dispatcher.pool);
    conns_free(&conns);
    loop_free(&loop);
    close(own);
    close(damaged);
    return 0;
}
