/* What the dispatcher promises of a reply that the arena has no room for: see
 * core/rpc/dispatch_deferred.c. It makes no difference whether its frame was answered in turn or
 * has overtaken a deferred one. */
#include "rpc/dispatch.h"

#include "conn_fixture.h"

#define REPLY                                                                           \
    20000u /* wants eight units; an ordinary read takes four, and the arena has sixteen \
            */

static char large[REPLY];

static void big(pillion_request *req)
{
    request_reply(req, "big", (struct bytes){large, sizeof(large)});
}

static void defer(pillion_request *req)
{
    deferred_begin(req, 60000);
}

/* ---- A worker ---- */

struct serving {
    struct dispatcher dispatcher;
    struct rpc_server server;
};

static struct serving first, next;
static struct conns heir;

static void closed(struct conns *all, struct conn *conn)
{
    dispatch_closed(all->context, conn);
}

static void serve(struct serving *serving, struct conns *all)
{
    static const struct server_settings settings = {.max_frame = 4096,
                                                    .max_output = 65536,
                                                    .max_inflight = 4,
                                                    .json_max_depth = 16,
                                                    .json_max_values = 100};
    static struct pillion_instance instance = {.name = "m"};
    static struct board *board;
    const struct method methods[] = {
        {.name = BYTES("big"), .own_name = "big", .handler = big, .instance = &instance},
        {.name = BYTES("defer"), .own_name = "defer", .handler = defer, .instance = &instance},
    };
    struct error error;

    if (board == NULL)
        ck_assert_ptr_nonnull(board = board_new(&error));
    *serving =
        (struct serving){.dispatcher = {.conns = all, .board = board, .row = &board->rows[0]}};
    dispatcher_init(&serving->dispatcher, 60000);
    all->on_input = dispatch_input;
    all->on_close = closed;
    all->context = &serving->dispatcher;
    rpc_server_init(&serving->server, &settings, &serving->dispatcher, 1);
    serving->server.max_reply = 2 * REPLY; /* a quarter of this arena would be too little */
    for (size_t i = 0; i < 2; i++)
        method_table_add(&serving->server.methods, &methods[i]);
    method_table_seal(&serving->server.methods);
}

static void stop(struct serving *serving)
{
    dispatch_settle(&serving->dispatcher);
    ck_assert_uint_eq(serving->dispatcher.deferreds.pending, 0);
    dispatcher_free(&serving->dispatcher);
    method_table_free(&serving->server.methods);
}

/* ---- A client ---- */

static struct conn *conn;
static int client;

static void call(const char *body)
{
    char header[FRAME_HEADER_SIZE];

    frame_header((uint32_t)strlen(body), header);
    must(send(client, header, sizeof(header), 0) == (ssize_t)sizeof(header));
    must(send(client, body, strlen(body), 0) == (ssize_t)strlen(body));
}

static void expect_reply(int fd, const char *part)
{
    char text[2 * REPLY];
    struct frame frame;
    ssize_t got = recv(fd, text, FRAME_HEADER_SIZE, MSG_DONTWAIT);

    ck_assert_int_eq(got, FRAME_HEADER_SIZE);
    ck_assert_int_eq(frame_next((struct bytes){text, (size_t)got}, sizeof(text), &frame),
                     FRAME_PARTIAL);
    size_t body = (size_t)frame.size - FRAME_HEADER_SIZE;
    ck_assert_int_eq(recv(fd, text, body, MSG_DONTWAIT), (ssize_t)body);
    text[body] = '\0';
    ck_assert_msg(strstr(text, part) != NULL, "%.200s, not %s", text, part);
}

static void expect_silence(int fd)
{
    char byte;
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
}

static bool waits(void)
{
    return conn->waiting != 0;
}

/* ---- The arena is full ---- */

enum road { IN_TURN, OVERTAKING, ROADS };

static uint32_t taken[BLOCK_ORDERS];

static void take_block(unsigned order)
{
    taken[order] = blocks_take(&conns.room.blocks, order);
    ck_assert_uint_ne(taken[order], BLOCK_NONE);
}

static void give_block(unsigned order)
{
    blocks_give(&conns.room.blocks, taken[order], order);
}

static void open_client(void)
{
    int fds[2];

    memset(large, '1', sizeof(large)); /* a number */
    server_open(4, 16);
    serve(&first, &conns);
    unix_pair(fds);
    set_nonblocking(fds[0]);
    client = fds[1];
    conn = conn_open(&conns, fds[0], LISTENER_ID, PROTOCOL_FRAME, &first.server.policy);
    ck_assert_ptr_nonnull(conn);
    conn_start(&conns, conn);
}

static void close_client(void)
{
    conn_close(&conns, conn);
    stop(&first);
    server_close();
    close(client);
}

/* The reply to a call of the method waits for room. */
static void begin(enum road road, const char *method, unsigned small_block)
{
    open_client();
    take_block(3);
    if (road == OVERTAKING)
        call("{\"in\":\"defer\",\"id\":1}");
    if (small_block > 0)
        take_block(small_block);
    call(method);
    run_until(waits);
    const struct conn_cursors *cursors = conn_cursors(&conns, conn);
    ck_assert_uint_eq(cursors_consumed(cursors), 0);
    ck_assert_uint_eq(cursors->begun, 1u + road);
    ck_assert_uint_eq(conn_record_of(&conns, conn)->running, 0);
    ck_assert(conn_must_stay(conn));
    expect_silence(client);
}

START_TEST(a_reply_without_room_is_given_when_there_is_some)
{
    for (enum road road = IN_TURN; road < ROADS; road++) {
        begin(road, "{\"in\":\"big\",\"id\":2}", 0);
        call("{\"in\":\"none\",\"id\":3}");
        conns_flush(&conns);
        expect_silence(client);
        give_block(3);
        conns_flush(&conns);
        ck_assert(!conn->waiting);
        expect_reply(client, "\"result\":1111");
        ck_assert_uint_eq(conn_cursors(&conns, conn)->begun, road == IN_TURN ? 0 : 2);
        close_client();
    }
}
END_TEST

START_TEST(a_client_whose_reply_has_no_room_may_leave)
{
    for (enum road road = IN_TURN; road < ROADS; road++) {
        begin(road, "{\"in\":\"big\",\"id\":2}", 0);
        give_block(3);
        close_client();
    }
}
END_TEST

static uint64_t frames_wanted;

static uint64_t frames_seen(void)
{
    return counter_read(&first.dispatcher.row->counters[COUNT_FRAMES]);
}

static bool are_seen(void)
{
    return frames_seen() >= frames_wanted;
}

START_TEST(a_notification_waits_for_no_room)
{
    for (enum road road = IN_TURN; road < ROADS; road++) {
        open_client();
        take_block(3);
        frames_wanted = frames_seen() + 2 + road;
        if (road == OVERTAKING)
            call("{\"in\":\"defer\",\"id\":1}");
        take_block(2);
        call("{\"jsonrpc\":\"2.0\",\"method\":\"big\"}");
        call("{\"jsonrpc\":\"2.0\",\"method\":\"none\"}");
        run_until(are_seen);
        ck_assert(!conn->waiting);
        ck_assert_uint_eq(first.dispatcher.deferreds.pending, road);
        expect_silence(client);
        give_block(2);
        give_block(3);
        close_client();
    }
}
END_TEST

/* Another worker takes the connection over, after a death that is not this connection's. */
static int adopt(struct arena *from, int *heir_arena)
{
    const struct death death = {.marked = true, .from = from};
    struct conn_record record;
    struct error error;
    int fds[2];

    ck_assert_msg(arena_map(arena_fd, from, &error), "%s", error.text);
    *heir_arena = toy_arena(4, 64);
    conns_open_on(&heir, *heir_arena, 2);
    serve(&next, &heir);
    unix_pair(fds);
    set_nonblocking(fds[0]);
    record = from->records[conn_index(&conns, conn)];
    ck_assert(record_valid(from, &record));
    struct conn *adopted = conn_adopt(&heir, fds[0], from, conn_index(&conns, conn), &record,
                                      record_cursors(&record), &next.server.policy);
    ck_assert_ptr_nonnull(adopted);
    ck_assert(dispatch_adopted(&next.dispatcher, adopted, &death));
    conn_start(&heir, adopted);
    conns_flush(&heir);
    return fds[1];
}

static void adopted_ends(struct arena *from, int heir_arena, int fd)
{
    for (uint32_t i = 0; i < heir.arena.record_count; i++) {
        if (heir.conns[i].policy != NULL)
            conn_close(&heir, &heir.conns[i]);
    }
    conns_flush(&heir);
    stop(&next);
    conns_free(&heir);
    arena_unmap(from);
    close(heir_arena);
    close(fd);
}

START_TEST(a_method_whose_reply_has_no_room_is_not_blamed_for_a_death_nor_run_again)
{
    for (enum road road = IN_TURN; road < ROADS; road++) {
        struct arena from;
        int heir_arena;

        begin(road, "{\"in\":\"big\",\"id\":2}", 0);
        int fd = adopt(&from, &heir_arena);
        if (road == OVERTAKING)
            expect_reply(fd, "ended before it was answered\"},\"id\":1}");
        expect_reply(fd, "ended before it was answered\"},\"id\":2}");
        expect_silence(fd);
        adopted_ends(&from, heir_arena, fd);
        give_block(3);
        close_client();
    }
}
END_TEST

/* No handler has seen it: the next worker reads it anew, and says the same. */
START_TEST(a_refusal_without_room_is_the_same_after_a_death)
{
    for (enum road road = IN_TURN; road < ROADS; road++) {
        struct arena from;
        int heir_arena;

        begin(road, "{\"in\":\"none\",\"id\":2}", 2);
        int fd = adopt(&from, &heir_arena);
        if (road == OVERTAKING)
            expect_reply(fd, "ended before it was answered\"},\"id\":1}");
        expect_reply(fd, "method_not_found");
        expect_silence(fd);
        adopted_ends(&from, heir_arena, fd);
        give_block(3);
        give_block(2);
        conns_flush(&conns);
        expect_reply(client, "method_not_found");
        close_client();
    }
}
END_TEST

/* It is no frame that could be begun: it is refused when there is room. */
START_TEST(a_frame_that_is_too_large_is_refused_when_there_is_room)
{
    open_client();
    take_block(3);
    take_block(2);
    must(send(client, "\xff\xff\x00\x00", 4, 0) == 4);
    run_until(waits);
    expect_silence(client);
    give_block(3);
    give_block(2);
    conns_flush(&conns);
    expect_reply(client, "frame_too_large");
    ck_assert(conn->lingering);
    close_client();
}
END_TEST

START_TEST(a_record_of_a_protocol_that_is_none_is_damaged)
{
    const struct death death = {.marked = true};

    open_client();
    conn_speaks(&conns, conn, PROTOCOLS);
    ck_assert(!dispatch_adopted(&first.dispatcher, conn, &death));
    conn_speaks(&conns, conn, PROTOCOLS - 1);
    ck_assert(dispatch_adopted(&first.dispatcher, conn, &death));
    close_client();
}
END_TEST

UNIT_MAIN("dispatch", a_record_of_a_protocol_that_is_none_is_damaged,
          a_reply_without_room_is_given_when_there_is_some,
          a_client_whose_reply_has_no_room_may_leave, a_notification_waits_for_no_room,
          a_method_whose_reply_has_no_room_is_not_blamed_for_a_death_nor_run_again,
          a_refusal_without_room_is_the_same_after_a_death,
          a_frame_that_is_too_large_is_refused_when_there_is_room)
