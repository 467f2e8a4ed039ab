/* What taking connections over promises: see conn_adopt in core/net/conn.h. Two workers, each with
 * its arena, in one process: the first is left in the middle of everything, and the second goes on
 * from the records as they stand. */
#include "conn_fixture.h"

#include "net/arena_layout.h"

static struct conns heir;
static int heir_fd;
static struct client c;

static void heir_open(uint32_t records, uint32_t blocks)
{
    heir_fd = toy_arena(records, blocks);
    conns_open_on(&heir, heir_fd, 2);
}

static void heir_close(void)
{
    for (uint32_t i = 0; i < heir.arena.record_count; i++) {
        if (heir.conns[i].policy != NULL)
            conn_close(&heir, &heir.conns[i]);
    }
    conns_flush(&heir);
    ck_assert_uint_eq(units_used(&heir), 0);
    ck_assert_uint_eq(heir.open, 0);
    conns_free(&heir);
    close(heir_fd);
}

/* What the heir sees of the first worker: the file, mapped once more. */
static struct arena estate(void)
{
    struct arena from;
    struct error error;
    ck_assert_msg(arena_map(arena_fd, &from, &error), "%s", error.text);
    return from;
}

static void copy_out(const struct arena *arena, const struct conn_cursors *cursors,
                     struct text *input, struct text *output)
{
    if (cursors->in_block != BLOCK_NONE)
        text_append(input, (struct bytes){arena_block(arena, cursors->in_block) + cursors->in_start,
                                          cursors->in_end - cursors->in_start});
    if (cursors->out_block != BLOCK_NONE)
        text_append(output,
                    (struct bytes){arena_block(arena, cursors->out_block) + cursors->out_start,
                                   cursors->out_end - cursors->out_start});
}

/* The first worker stops at once, with everything as it is. */
static int die(struct client *client)
{
    int fd = dup(client->conn->watch.fd);

    ck_assert_int_ge(fd, 0);
    loop_unwatch(&loop, &client->conn->watch);
    return fd;
}

/* The same, of the heir's connections. */
static const struct conn_policy *heirs_policy(void)
{
    static struct conn_policy heirs;

    heirs = policy;
    heirs.conns = &heir;
    return &heirs;
}

/* Adopts the record of the client's connection and compares all that it says. */
static struct conn *adopt_and_compare(struct client *client, int fd)
{
    struct arena from = estate();
    uint32_t index = conn_index(&conns, client->conn);
    struct conn_record record;
    struct text input = {0}, output = {0}, input_here = {0}, output_here = {0};

    arena_record_read(&from, index, &record);
    ck_assert(record_valid(&from, &record));
    const struct conn_cursors *there = record_cursors(&record);
    copy_out(&from, there, &input, &output);
    struct conn *conn = conn_adopt(&heir, fd, &from, index, &record, there, heirs_policy());
    ck_assert_ptr_nonnull(conn);
    const struct conn_record *mine = conn_record_of(&heir, conn);
    const struct conn_cursors *here = record_cursors(mine);
    ck_assert(record_valid(&heir.arena, mine));
    copy_out(&heir.arena, here, &input_here, &output_here);
    ck_assert(bytes_equal((struct bytes){input.data, input.size},
                          (struct bytes){input_here.data, input_here.size}));
    ck_assert(bytes_equal((struct bytes){output.data, output.size},
                          (struct bytes){output_here.data, output_here.size}));
    ck_assert_uint_eq(here->received, there->received);
    ck_assert_uint_eq(here->sent, there->sent);
    ck_assert_uint_eq(here->flags, there->flags);
    ck_assert_uint_eq(cursors_consumed(here), cursors_consumed(there));
    ck_assert_uint_eq(mine->id, record.id);
    ck_assert_uint_eq(mine->listener, LISTENER_ID);
    ck_assert_uint_eq(record_running(mine, cursors_consumed(record_cursors(mine))),
                      record_running(&record, cursors_consumed(record_cursors(&record))));
    ck_assert_uint_eq(mine->taken, 0);
    ck_assert_int_eq(conn->watch.fd, fd);
    arena_record_take(&from, index);
    ck_assert_uint_eq(conn_record_of(&conns, client->conn)->taken, 1);
    text_free(&input);
    text_free(&output);
    text_free(&input_here);
    text_free(&output_here);
    arena_unmap(&from);
    return conn;
}

static bool content(void)
{
    conns_flush(&heir);
    return client_content(&c) && c.sent == c.out.size;
}

static bool allowance_received(void)
{
    return conn_cursors(&conns, c.conn)->received == c.allowance;
}

/* Gives back what the first worker held, which its process's end would have done. */
static void ends(void)
{
    loop.after_batch = NULL;
    heir_close();
    client_close(&c);
    server_close();
}

START_TEST(adopted_request_is_finished_wherever_it_was_split)
{
    for (size_t split = 0; split <= 3100; split += split < 130 ? 1 : 97) {
        server_open(4, 64);
        heir_open(4, 64);
        client_open(&c, split % 2);
        client_call(&c, ECHO, 50);
        client_call(&c, ECHO, 2000);
        client_call(&c, ECHO, 1000);
        c.allowance = split;
        client_update(&c);
        run_until(allowance_received);
        struct conn *conn = adopt_and_compare(&c, die(&c));
        conn_start(&heir, conn);
        c.allowance = SIZE_MAX;
        client_update(&c);
        run_until(content);
        ck_assert_uint_eq(conn_cursors(&heir, conn)->received, c.out.size);
        ck_assert_uint_eq(conn_cursors(&heir, conn)->sent, c.in.size);
        ends();
    }
}
END_TEST

static bool is_paused(void)
{
    return c.conn->paused;
}

START_TEST(adopted_replies_are_sent_from_where_they_were)
{
    const int small = 4096;

    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 256);
        heir_open(4, 256);
        client_open(&c, tcp);
        ck_assert_int_eq(setsockopt(c.conn->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
                         0);
        c.silent = true;
        for (unsigned i = 0; i < 2000; i++)
            client_call_big(&c, 777);
        client_update(&c);
        run_until(is_paused);
        const struct conn_cursors *cursors = conn_cursors(&conns, c.conn);
        ck_assert_uint_gt(cursors->sent, 0);
        ck_assert_uint_gt(cursors->in_end - cursors->in_start, 0);
        ck_assert_uint_gt(cursors->out_end - cursors->out_start, 0);
        struct conn *conn = adopt_and_compare(&c, die(&c));
        conn_start(&heir, conn);
        c.silent = false;
        client_update(&c);
        run_until(content);
        ends();
    }
}
END_TEST

START_TEST(adopted_record_keeps_flags_and_running_mark)
{
    for (uint8_t flags = 0; flags < 32; flags++) {
        server_open(4, 64);
        heir_open(4, 64);
        client_open(&c, true);
        client_begin(&c, 100, 50);
        c.allowance = c.out.size;
        client_update(&c);
        run_until(allowance_received);
        struct conn_record *record = conn_record_of(&conns, c.conn);
        record_edit(record)->flags = flags;
        record_commit(record);
        if (flags % 2)
            record->running = running_mark(flags, 0);
        adopt_and_compare(&c, die(&c));
        ends();
    }
}
END_TEST

START_TEST(adopted_half_closed_connection_is_answered_and_ended)
{
    server_open(4, 64);
    heir_open(4, 64);
    client_open(&c, true);
    client_call(&c, ECHO, 500);
    c.allowance = c.out.size - 1;
    client_update(&c);
    run_until(allowance_received);
    /* The last byte came with the end of file, and the worker died before it handled them. */
    struct conn_record *record = conn_record_of(&conns, c.conn);
    struct conn_cursors *edit = record_edit(record);
    arena_block(&conns.arena, edit->in_block)[edit->in_end++] = c.out.data[c.out.size - 1];
    edit->received++;
    edit->flags |= CONN_EOF;
    record_commit(record);
    ck_assert_int_eq(send(c.fd, "x", 1, 0), 1); /* what the record has already */
    ck_assert_int_eq(shutdown(c.fd, SHUT_WR), 0);
    c.sent = c.out.size;
    struct conn *conn = adopt_and_compare(&c, die(&c));
    conn_start(&heir, conn);
    run_until(content);
    ck_assert_uint_eq(heir.open, 0);
    ends();
}
END_TEST

START_TEST(adoption_without_room_changes_nothing)
{
    for (int output = 0; output < 2; output++) {
        server_open(4, 64);
        heir_open(4, 4);
        client_open(&c, true);
        if (output) {
            /* Room for the input, which is small, and none for the output. */
            const int small = 4096;
            setsockopt(c.conn->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
            c.silent = true;
            for (unsigned i = 0; i < 5000; i++)
                client_call_big(&c, 777);
            client_update(&c);
            run_until(is_paused);
        } else {
            client_begin(&c, 30000, 20000);
            c.allowance = c.out.size;
            client_update(&c);
            run_until(allowance_received);
        }
        struct arena from = estate();
        struct conn_record record;
        arena_record_read(&from, conn_index(&conns, c.conn), &record);
        int fd = die(&c);
        for (unsigned again = 0; again < 10; again++) {
            ck_assert_ptr_null(conn_adopt(&heir, fd, &from, conn_index(&conns, c.conn), &record,
                                          record_cursors(&record), heirs_policy()));
            ck_assert_uint_eq(units_used(&heir), 0);
            ck_assert_uint_eq(heir.open, 0);
            ck_assert_uint_le(heir.arena.header->record_high, 1);
        }
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        close(fd);
        arena_unmap(&from);
        ends();
    }
}
END_TEST

START_TEST(adoption_may_use_the_reserve)
{
    uint32_t taken[1024], count = 0;

    server_open(4, 64);
    heir_open(4, 512);
    while ((taken[count] = blocks_take(&heir.room.blocks, 0)) != BLOCK_NONE)
        count++;
    client_open(&c, true);
    client_call(&c, ECHO, 30000);
    c.allowance = 20000;
    client_update(&c);
    run_until(allowance_received);
    struct conn *conn = adopt_and_compare(&c, die(&c));
    ck_assert(heir.room.input.used);
    conn_start(&heir, conn);
    c.allowance = SIZE_MAX;
    client_update(&c);
    run_until(content);
    ck_assert(!heir.room.input.used && !heir.room.output.used);
    while (count > 0)
        blocks_give(&heir.room.blocks, taken[--count], 0);
    ends();
}
END_TEST

START_TEST(adoption_without_a_record_changes_nothing)
{
    struct client mine;

    server_open(4, 64);
    heir_open(1, 64);
    client_open(&mine, false);
    client_open(&c, true);
    client_begin(&c, 100, 10);
    c.allowance = c.out.size;
    client_update(&c);
    run_until(allowance_received);
    struct arena from = estate();
    struct conn_record record;
    arena_record_read(&from, conn_index(&conns, mine.conn), &record);
    ck_assert_ptr_nonnull(conn_adopt(&heir, die(&mine), &from, conn_index(&conns, mine.conn),
                                     &record, record_cursors(&record), heirs_policy()));
    arena_record_read(&from, conn_index(&conns, c.conn), &record);
    int fd = die(&c);
    ck_assert_ptr_null(conn_adopt(&heir, fd, &from, conn_index(&conns, c.conn), &record,
                                  record_cursors(&record), heirs_policy()));
    ck_assert_uint_eq(heir.open, 1);
    close(fd);
    arena_unmap(&from);
    client_close(&mine);
    ends();
}
END_TEST

UNIT_MAIN("conn_adopt", adopted_request_is_finished_wherever_it_was_split,
          adopted_replies_are_sent_from_where_they_were,
          adopted_record_keeps_flags_and_running_mark,
          adopted_half_closed_connection_is_answered_and_ended,
          adoption_without_room_changes_nothing, adoption_may_use_the_reserve,
          adoption_without_a_record_changes_nothing)
