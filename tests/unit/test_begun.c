/* What counting the frames that have begun promises: see core/rpc/begun.h. The bytes are put into
 * the connection's input as if they had been received. */
#include "rpc/begun.h"

#include "net/arena_layout.h"

#include "conn_fixture.h"
#include "former_arena.h"

static struct conn *conn;
static int peer;
static uint64_t places[300];

/* `count` frames, frame i with i bytes of the letter a + i. */
static void set_up(unsigned count)
{
    int pair[2];

    server_open(4, 256);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer = pair[1];
    conn = conn_open(&conns, pair[0], LISTENER_ID, 0, &policy);
    ck_assert_ptr_nonnull(conn);
    struct conn_record *record = conn_record_of(&conns, conn);
    struct conn_cursors *edit = record_edit(record);
    edit->in_block = blocks_take(&conns.room.blocks, 6);
    edit->in_order = 6;
    edit->in_start = 5; /* as if something had been consumed */
    edit->in_end = 5;
    edit->received = 1005;
    char *to = arena_block(&conns.arena, edit->in_block);
    for (unsigned i = 0; i < count; i++) {
        places[i] = 1005 + (edit->in_end - 5);
        frame_header(i % 100, to + edit->in_end);
        memset(to + edit->in_end + FRAME_HEADER_SIZE, 'a' + (int)(i % 26), i % 100);
        edit->in_end += FRAME_HEADER_SIZE + i % 100;
    }
    edit->received = 1005 + (edit->in_end - 5);
    record_commit(record);
}

static void tear_down(void)
{
    server_close();
    close(peer);
}

static void begin(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct begun_frame next;
        ck_assert_int_eq(begun_after(&conns, conn, 0, &begun_limits, NULL, &next), FRAME_WHOLE);
        ck_assert(begun_add(&conns, conn));
    }
}

/* What frame i is known by, once it has begun. */
static uint8_t number_of(unsigned i)
{
    struct begun_frame at = {0};
    unsigned n = 0;

    while (begun_walk(&conns, conn, n, &at) && at.place != places[i])
        n++;
    ck_assert_uint_eq(at.place, places[i]);
    return at.number;
}

static void answer(unsigned i)
{
    ck_assert_ptr_nonnull(conn_output_reserve(&conns, conn, 1));
    begun_answer(&conns, conn, number_of(i), 1, 0);
}

static char *input_at(uint32_t offset)
{
    return (char *)(uintptr_t)conn_input(&conns, conn).data + offset;
}

/* The frames that have begun are those from `first` on; of them, the ones in `answered` are
 * answered. */
static void expect_begun(unsigned first, const char *answered)
{
    struct begun_frame at = {0};
    unsigned n = 0;

    for (; begun_walk(&conns, conn, n, &at); n++) {
        ck_assert_uint_eq(at.place, places[first + n]);
        ck_assert_uint_eq(at.frame.body.size, (first + n) % 100);
        ck_assert_msg(at.answered == (answered[n] == 'x'), "frame %u", first + n);
    }
    ck_assert_uint_eq(n, strlen(answered));
    ck_assert_uint_eq(begun_count(&conns, conn), strlen(answered));
    ck_assert(record_valid(&conns.arena, conn_record_of(&conns, conn)));
}

START_TEST(frames_answered_from_the_front_are_consumed)
{
    set_up(4);
    begin(3);
    expect_begun(0, "...");
    answer(0);
    expect_begun(1, "..");
    answer(1);
    answer(2);
    expect_begun(3, "");
    ck_assert_uint_eq(conn_input(&conns, conn).size, FRAME_HEADER_SIZE + 3);
    tear_down();
}
END_TEST

START_TEST(frames_answered_from_behind_wait_for_the_first)
{
    set_up(6);
    begin(5);
    answer(3);
    expect_begun(0, "...x.");
    answer(1);
    expect_begun(0, ".x.x.");
    answer(0);
    expect_begun(2, ".x.");
    answer(2);
    expect_begun(4, ".");
    begin(1);
    answer(5);
    expect_begun(4, ".x");
    answer(4);
    ck_assert_uint_eq(conn_input(&conns, conn).size, 0);
    ck_assert_uint_eq(conn_cursors(&conns, conn)->out_end, 6);
    tear_down();
}
END_TEST

START_TEST(the_last_answer_is_named_until_its_frame_is_marked)
{
    set_up(4);
    begin(3);
    answer(1);
    /* As if the worker had died before it could mark the frame. */
    _Atomic uint8_t *marks = &conn_marks_of(&conns, conn)->of[number_of(1)];
    ck_assert_uint_eq(*marks, MARK_ANSWERED);
    *marks = 0;
    expect_begun(0, "...");
    begun_adopted(&conns, conn);
    expect_begun(0, ".x.");
    ck_assert_uint_eq(conn_cursors(&conns, conn)->answered, 0);
    tear_down();
}
END_TEST

START_TEST(a_retried_frame_is_marked)
{
    struct begun_frame at = {0};

    set_up(3);
    begin(2);
    ck_assert(begun_walk(&conns, conn, 0, &at) && !at.retried);
    begun_retry(&conns, conn, at.number);
    at = (struct begun_frame){0};
    ck_assert(begun_walk(&conns, conn, 0, &at) && at.retried && !at.answered);
    ck_assert(begun_walk(&conns, conn, 1, &at) && !at.retried);
    answer(1);
    answer(0);
    expect_begun(2, "");
    tear_down();
}
END_TEST

START_TEST(a_waiting_frame_is_marked_until_it_is_begun)
{
    struct begun_frame at = {0};

    set_up(3);
    begin(3);
    begun_wait(&conns, conn, number_of(1), true);
    begun_wait(&conns, conn, number_of(2), true);
    expect_begun(0, "...");
    answer(0);
    ck_assert(begun_walk(&conns, conn, 0, &at) && at.waiting && !at.answered && !at.retried);
    ck_assert(begun_walk(&conns, conn, 1, &at) && at.waiting);
    begun_wait(&conns, conn, number_of(1), false);
    at = (struct begun_frame){0};
    ck_assert(begun_walk(&conns, conn, 0, &at) && !at.waiting);
    answer(2);
    expect_begun(1, ".x");
    answer(1);
    expect_begun(3, "");
    tear_down();
}
END_TEST

START_TEST(work_that_a_thread_has_begun_is_found)
{
    const struct arena *arena = &conns.arena;

    set_up(1);
    ck_assert(!arena_work_begun(arena, 7, 1));
    for (uint64_t i = 0; i < ARENA_BEGUN + 5; i++)
        arena_work_begins(arena, 7 + i % 3, i);
    for (uint64_t i = 5; i < ARENA_BEGUN + 5; i++)
        ck_assert(arena_work_begun(arena, 7 + i % 3, i));
    ck_assert(!arena_work_begun(arena, 7, 0) && !arena_work_begun(arena, 6, 9));
    tear_down();
}
END_TEST

START_TEST(at_most_255_frames_can_be_under_way)
{
    struct begun_frame next;

    set_up(260);
    begin(255);
    ck_assert_int_eq(begun_after(&conns, conn, 0, &begun_limits, NULL, &next), FRAME_WHOLE);
    ck_assert_uint_eq(next.place, places[255]);
    ck_assert(!begun_add(&conns, conn));
    for (unsigned i = 254; i > 0; i--)
        answer(i);
    ck_assert_uint_eq(begun_count(&conns, conn), 255);
    answer(0);
    expect_begun(255, "");
    tear_down();
}
END_TEST

START_TEST(a_walk_stops_at_a_damaged_frame)
{
    struct begun_frame at = {0};
    unsigned n = 0;

    set_up(3);
    begin(3);
    *input_at(FRAME_HEADER_SIZE + 2) = 0x7f; /* the second: 8 MiB long */
    while (begun_walk(&conns, conn, n, &at))
        n++;
    ck_assert_uint_eq(n, 1);
    ck_assert_ptr_null(at.frame.body.data);
    tear_down();
}
END_TEST

/* Frame 1 is answered and was retried before, frame 2 waits, frame 4 was answered last. */
static void mark_frames(uint32_t layout)
{
    static const unsigned char bits[] = {[1] = 0x80 | 0x40, [2] = 0x20, [5] = 0};
    const uint32_t last = (uint32_t)(places[4] - places[0]);

    if (layout == 2) {
        for (unsigned i = 0; i < sizeof(bits); i++)
            input_at((uint32_t)(places[i] - places[0]))[3] |= (char)bits[i];
        struct conn_record *record = conn_record_of(&conns, conn);
        struct conn_cursors *edit = record_edit(record);
        former_answered_at(edit, edit->in_start + last + 1);
        record_commit(record);
        return;
    }
    begun_retry(&conns, conn, number_of(1));
    answer(1);
    begun_wait(&conns, conn, number_of(2), true);
    uint8_t number = number_of(4);
    answer(4);
    conn_marks_of(&conns, conn)->of[number] = 0; /* as if the worker had died before that */
}

/* What the frames of the connection that was taken over say. */
static void check_heir(const struct conns *heir, const struct conn *adopted)
{
    struct begun_frame at = {0};
    unsigned n = 0;

    for (; begun_walk(heir, adopted, n, &at); n++) {
        ck_assert_uint_eq(at.place, places[n]);
        ck_assert_uint_eq(at.frame.body.size, n);
        ck_assert_msg(at.answered == (n == 1 || n == 4), "frame %u", n);
        ck_assert_msg(at.retried == (n == 1) && at.waiting == (n == 2), "frame %u", n);
    }
    ck_assert_uint_eq(n, 6);
}

START_TEST(marks_are_taken_over_from_every_layout)
{
    for (uint32_t layout = 2; layout <= ARENA_LAYOUT; layout++) {
        struct conns heir;
        struct arena from;
        struct error error;
        struct conn_record record;

        set_up(8);
        begin(6);
        mark_frames(layout);
        uint32_t index = conn_index(&conns, conn);
        int fd = layout < ARENA_LAYOUT ? former_arena(&conns.arena, layout) : dup(arena_fd);
        ck_assert_msg(arena_map(fd, &from, &error), "%s", error.text);
        arena_record_read(&from, index, &record);
        ck_assert(record_valid(&from, &record));
        int heir_fd = toy_arena(4, 64);
        conns_open_on(&heir, heir_fd, 2);
        struct conn_policy heirs = policy;
        heirs.conns = &heir;
        struct conn *adopted = conn_adopt(&heir, dup(conn->watch.fd), &from, index, &record,
                                          record_cursors(&record), &heirs);
        ck_assert_ptr_nonnull(adopted);
        begun_adopted(&heir, adopted);
        ck_assert_uint_eq(conn_cursors(&heir, adopted)->answered, 0);
        check_heir(&heir, adopted);
        struct begun_frame next;
        ck_assert_int_eq(begun_after(&heir, adopted, 0, &begun_limits, NULL, &next), FRAME_WHOLE);
        ck_assert_uint_eq(next.place, places[6]);
        conn_close(&heir, adopted);
        conns_flush(&heir);
        conns_free(&heir);
        arena_unmap(&from);
        close(heir_fd);
        close(fd);
        tear_down();
    }
}
END_TEST

UNIT_MAIN("begun", marks_are_taken_over_from_every_layout,
          frames_answered_from_the_front_are_consumed,
          frames_answered_from_behind_wait_for_the_first,
          the_last_answer_is_named_until_its_frame_is_marked, a_retried_frame_is_marked,
          a_waiting_frame_is_marked_until_it_is_begun, work_that_a_thread_has_begun_is_found,
          at_most_255_frames_can_be_under_way, a_walk_stops_at_a_damaged_frame)
