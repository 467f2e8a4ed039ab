/* What arenas and records promise: see core/net/arena.h. Whatever a worker that died has written,
 * reading it must not lead outside. */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"
#include "net/arena.h"

static struct error error;

static int create(uint32_t records, uint32_t blocks)
{
    int fd =
        arena_create(&(struct arena_geometry){.records = records, .blocks = blocks}, 7, &error);
    ck_assert_msg(fd >= 0, "%s", error.text);
    return fd;
}

static struct arena map(int fd)
{
    struct arena arena;
    ck_assert_msg(arena_map(fd, &arena, &error), "%s", error.text);
    return arena;
}

/* ---- The file ---- */

START_TEST(arena_has_the_geometry_it_was_created_with)
{
    static const struct arena_geometry geometries[] = {
        {1, 1}, {32, 8}, {33, 8}, {1000, 3}, {65536, 262144}};

    for (size_t i = 0; i < sizeof(geometries) / sizeof(*geometries); i++) {
        uint32_t records = geometries[i].records, blocks = geometries[i].blocks;
        int fd = create(records, blocks);
        struct arena arena = map(fd);

        ck_assert_uint_eq(arena.record_count, records);
        ck_assert_uint_eq(arena.block_count, blocks);
        ck_assert_uint_eq(arena.layout, ARENA_LAYOUT);
        ck_assert_uint_eq(arena.header->worker, 7);
        ck_assert_uint_eq(arena.header->record_high, 0);
        ck_assert_uint_eq(arena.header->in_call, 0);
        ck_assert_uint_eq(arena.records[records - 1].id, 0);
        /* The last byte of records, of marks and of blocks is there, and they do not overlap. */
        memset(&arena.records[records - 1], 0xff, sizeof(struct conn_record));
        ck_assert_uint_eq(arena.marks[0].of[0], 0);
        memset(&arena.marks[records - 1], 0xff, sizeof(struct conn_marks));
        ck_assert_int_eq(arena.clients[0].address[0], 0);
        memset(&arena.clients[records - 1], 0xff, sizeof(struct conn_client));
        char *last = arena_block(&arena, blocks - 1);
        ck_assert_int_eq(arena_block(&arena, 0)[0], 0);
        memset(last, 0xff, BLOCK_SIZE);
        ck_assert_ptr_eq(last + BLOCK_SIZE, (char *)arena.header + arena.size);
        arena_unmap(&arena);
        ck_assert_ptr_null(arena.header);
        arena_unmap(&arena);
        close(fd);
    }
}
END_TEST

START_TEST(arena_costs_memory_only_where_it_was_written)
{
    struct stat status;
    int fd = create(65536, 262144);
    struct arena arena = map(fd);

    memset(arena_block(&arena, 4096), 1, BLOCK_BYTES(9));
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_ge(status.st_blocks * 512, (long)BLOCK_BYTES(9));
    ck_assert_int_le(status.st_blocks * 512, (long)BLOCK_BYTES(9) + 65536);
    arena_discard(&arena, 4096, 9);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_le(status.st_blocks * 512, 65536);
    ck_assert_int_eq(arena_block(&arena, 4096)[100], 0);
    arena_unmap(&arena);
    close(fd);
}
END_TEST

START_TEST(arena_is_shared_between_mappings)
{
    int fd = create(8, 8);
    struct arena one = map(fd), two = map(fd);

    record_edit(&one.records[3])->received = 42;
    ck_assert_uint_eq(record_cursors(&two.records[3])->received, 0);
    record_commit(&one.records[3]);
    ck_assert_uint_eq(record_cursors(&two.records[3])->received, 42);
    memcpy(arena_block(&one, 5), "hello", 5);
    ck_assert_mem_eq(arena_block(&two, 5), "hello", 5);
    arena_unmap(&one);
    arena_unmap(&two);
    close(fd);
}
END_TEST

START_TEST(arena_used_records_are_told_by_pages)
{
    int fd = create(1000, 8);
    struct arena arena = map(fd);
    const uint32_t in_page = BLOCK_SIZE / sizeof(struct conn_record);

    ck_assert_uint_eq(arena_used_records(&arena, fd), 0);
    for (uint32_t used = 1; used <= 1000; used++) {
        arena.records[used - 1].id = used;
        uint32_t told = arena_used_records(&arena, fd);
        must(told >= used && told < used + in_page && told <= 1000);
    }
    memset(arena_block(&arena, 0), 1, BLOCK_SIZE); /* no hole up to the end of the records */
    ck_assert_uint_eq(arena_used_records(&arena, fd), 1000);
    arena_unmap(&arena);
    close(fd);
}
END_TEST

/* ---- Damage to the header ---- */

static bool maps(int fd)
{
    struct arena arena;
    bool mapped = arena_map(fd, &arena, &error);

    if (!mapped) {
        must(error.text[0] != '\0');
        return false;
    }
    /* Whatever was accepted must lie within the file. */
    must((char *)&arena.records[arena.record_count] <= (char *)arena.marks);
    must((char *)&arena.marks[arena.record_count] <= arena.data);
    must(arena_block(&arena, arena.block_count) == (char *)arena.header + arena.size);
    arena_unmap(&arena);
    return true;
}

START_TEST(arena_header_with_any_bit_flipped_is_refused_or_harmless)
{
    int fd = create(40, 8);

    for (size_t bit = 0; bit < sizeof(struct arena_header) * 8; bit++) {
        size_t at = bit / 8;
        unsigned char was, damaged;
        ck_assert_int_eq(pread(fd, &was, 1, (off_t)at), 1);
        damaged = (unsigned char)(was ^ 1u << bit % 8);
        ck_assert_int_eq(pwrite(fd, &damaged, 1, (off_t)at), 1);
        bool mapped = maps(fd);
        /* As many records as end in the same page make the same file. */
        bool free_to_change = (at >= offsetof(struct arena_header, record_count) &&
                               at < offsetof(struct arena_header, block_count)) ||
                              (at >= offsetof(struct arena_header, worker) &&
                               at < offsetof(struct arena_header, records_at)) ||
                              at >= offsetof(struct arena_header, record_high);
        ck_assert_msg(!mapped || free_to_change, "bit %zu of byte %zu", bit % 8, at);
        ck_assert_int_eq(pwrite(fd, &was, 1, (off_t)at), 1);
    }
    ck_assert(maps(fd));
    close(fd);
}
END_TEST

START_TEST(arena_header_of_random_bytes_is_refused)
{
    unsigned char bytes[sizeof(struct arena_header)];
    int fd = create(40, 8);

    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (unsigned char)random_below(256);
        if (round % 2) /* the first checks pass */
            memcpy(bytes,
                   (uint32_t[]){ARENA_MAGIC, ARENA_LAYOUT, sizeof(struct conn_record),
                                UINT32_MAX - (uint32_t)round},
                   16);
        must(pwrite(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
        must(!maps(fd));
        arena_mend(fd, &(struct arena_geometry){40, 8}, 7);
        must(maps(fd));
    }
    close(fd);
}
END_TEST

START_TEST(arena_cannot_get_another_size_and_one_that_has_is_refused)
{
    struct stat status;
    int fd = create(40, 8);

    ck_assert_int_eq(fstat(fd, &status), 0);
    const off_t sizes[] = {0,
                           1,
                           47,
                           4095,
                           4096,
                           8192,
                           status.st_size - 4096,
                           status.st_size - 1,
                           status.st_size + 1,
                           status.st_size + 4096};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ck_assert_int_lt(ftruncate(fd, sizes[i]), 0); /* nobody can: it is sealed */
        int other = memfd_create("another", MFD_CLOEXEC);
        char header[sizeof(struct arena_header)];
        ck_assert_int_eq(pread(fd, header, sizeof(header), 0), sizeof(header));
        ck_assert_int_eq(ftruncate(other, sizes[i]), 0);
        if (sizes[i] >= (off_t)sizeof(header))
            ck_assert_int_eq(pwrite(other, header, sizeof(header), 0), sizeof(header));
        ck_assert(!maps(other));
        close(other);
    }
    close(fd);
}
END_TEST

START_TEST(arena_that_is_no_file_is_refused)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert(!maps(fds[0]));
    ck_assert(!maps(-1));
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* ---- Cursors ---- */

START_TEST(record_changes_only_when_committed)
{
    struct conn_record record = {.commits = 0};

    for (uint32_t round = 0; round < 5; round++) {
        const struct conn_cursors *before = record_cursors(&record);
        struct conn_cursors *edit = record_edit(&record);
        ck_assert_ptr_ne(edit, before);
        ck_assert_mem_eq(edit, before, sizeof(*edit));
        edit->received += 10;
        edit->sent += 3;
        ck_assert_ptr_eq(record_cursors(&record), before);
        ck_assert_uint_eq(record_cursors(&record)->received, round * 10);
        /* A change that was begun and never committed leaves nothing behind. */
        edit = record_edit(&record);
        ck_assert_uint_eq(edit->received, round * 10);
        edit->received += 10;
        record_commit(&record);
        ck_assert_uint_eq(record_cursors(&record)->received, (round + 1) * 10);
        ck_assert_uint_eq(record_cursors(&record)->sent, 0);
        ck_assert_uint_eq(record.commits, round + 1);
    }
}
END_TEST

START_TEST(record_commits_may_wrap_around)
{
    struct conn_record record = {.commits = UINT32_MAX};

    record_edit(&record)->sent = 5;
    record_commit(&record);
    ck_assert_uint_eq(record.commits, 0);
    ck_assert_uint_eq(record_cursors(&record)->sent, 5);
}
END_TEST

START_TEST(running_mark_ends_when_the_frame_is_consumed)
{
    static const struct {
        uint32_t method;
        uint64_t received;
    } cases[] = {{0, 100}, {1023, 100}, {5, (1ull << 48) + 5}, {5, (1ull << 48)}, {9, 1ull << 63}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct conn_record record = {.commits = 0};
        record.cursors[0] =
            (struct conn_cursors){.received = cases[i].received, .in_start = 10, .in_end = 40};
        const struct conn_cursors *cursors = record_cursors(&record);
        ck_assert_uint_eq(cursors_consumed(cursors), cases[i].received - 30);
        ck_assert_uint_eq(record_running(&record, cursors_consumed(record_cursors(&record))),
                          UINT32_MAX);

        record.running = running_mark(cases[i].method, cursors_consumed(cursors));
        ck_assert_uint_ne(record.running, 0);
        ck_assert_uint_eq(record_running(&record, cursors_consumed(record_cursors(&record))),
                          cases[i].method);
        /* More input, and moving it to another block, change nothing. */
        struct conn_cursors *edit = record_edit(&record);
        edit->received += 7;
        edit->in_end += 7;
        edit->in_start -= 10;
        edit->in_end -= 10;
        record_commit(&record);
        ck_assert_uint_eq(record_running(&record, cursors_consumed(record_cursors(&record))),
                          cases[i].method);
        record_edit(&record)->in_start += 30;
        record_commit(&record);
        ck_assert_uint_eq(record_running(&record, cursors_consumed(record_cursors(&record))),
                          UINT32_MAX);
    }
}
END_TEST

/* ---- Damage to records ---- */

#define BLOCKS 100u

static const struct conn_cursors good = {
    .received = 5000,
    .sent = 1,
    .in_block = 4,
    .in_order = 2,
    .in_start = 10,
    .in_end = 4000,
    .out_block = 96,
    .out_order = 2,
    .out_start = 16384,
    .out_end = 16384,
    .flags = CONN_EOF | CONN_ENDING | CONN_DISCARD,
};

static bool valid(const struct arena *arena, struct conn_cursors cursors)
{
    bool both[2];

    for (uint32_t commits = 0; commits < 2; commits++) {
        /* The copy that is not current does not count. */
        struct conn_record record = {.commits = commits};
        memset(&record.cursors[~commits & 1], 0xee, sizeof(cursors));
        record.cursors[commits] = cursors;
        both[commits] = record_valid(arena, &record);
    }
    must(both[0] == both[1]);
    return both[0];
}

#define DAMAGED(...)                                          \
    do {                                                      \
        struct conn_cursors c = good;                         \
        __VA_ARGS__;                                          \
        ck_assert_msg(!valid(&arena, c), "%s", #__VA_ARGS__); \
    } while (0)
#define SOUND(...)                                           \
    do {                                                     \
        struct conn_cursors c = good;                        \
        __VA_ARGS__;                                         \
        ck_assert_msg(valid(&arena, c), "%s", #__VA_ARGS__); \
    } while (0)

START_TEST(record_valid_refuses_every_kind_of_damage)
{
    int fd = create(4, BLOCKS);
    struct arena arena = map(fd);

    SOUND();
    SOUND(c.flags = 0);
    SOUND(c = (struct conn_cursors){.in_block = BLOCK_NONE, .out_block = BLOCK_NONE});
    SOUND(c.in_block = BLOCK_NONE, c.in_start = c.in_end = 0, c.in_order = 255);
    SOUND(c.in_start = c.in_end = 16384);
    SOUND(c.received = 3990); /* all of it is still there */
    SOUND(c.in_block = 0, c.in_order = 6, c.in_end = 5010, c.in_start = 10);
    SOUND(c.out_block = BLOCKS - 1, c.out_order = 0, c.out_start = 0, c.out_end = 4096);

    DAMAGED(c.in_block = BLOCKS);
    DAMAGED(c.in_block = BLOCKS - 3);
    DAMAGED(c.in_block = BLOCK_NONE - 1);
    DAMAGED(c.in_block = BLOCK_NONE);
    DAMAGED(c.in_block = BLOCK_NONE, c.in_start = 0);
    DAMAGED(c.in_block = BLOCK_NONE, c.in_start = c.in_end = 1);
    DAMAGED(c.in_block = 0, c.in_order = 7);
    DAMAGED(c.in_block = 0, c.in_order = BLOCK_ORDERS);
    DAMAGED(c.in_block = 0, c.in_order = 31);
    DAMAGED(c.in_block = 0, c.in_order = 32);
    DAMAGED(c.in_block = 0, c.in_order = 255);
    DAMAGED(c.in_start = 4001);
    DAMAGED(c.in_start = UINT32_MAX);
    DAMAGED(c.in_end = 16385, c.received = 1 << 20);
    DAMAGED(c.in_end = UINT32_MAX, c.received = UINT64_MAX);
    DAMAGED(c.received = 3989);
    DAMAGED(c.received = 0);

    DAMAGED(c.out_block = BLOCKS);
    DAMAGED(c.out_block = 97);
    DAMAGED(c.out_block = UINT32_MAX - 1);
    DAMAGED(c.out_block = BLOCK_NONE);
    DAMAGED(c.out_order = 3);
    DAMAGED(c.out_order = 200);
    DAMAGED(c.out_start = 16385);
    DAMAGED(c.out_end = 16385);
    DAMAGED(c.out_end = 16383);

    SOUND(c.flags = CONN_HEADER);
    SOUND(c.flags = CONN_TOLD | CONN_EOF, c.begun = 1);
    DAMAGED(c.flags = CONN_HEADER, c.begun = 1); /* none begins before the header */
    SOUND(c.begun = 2, c.answered = 2, c.first = 255);
    DAMAGED(c.begun = 2, c.answered = 3);
    DAMAGED(c.answered = 1);

    SOUND(c.flags = CONN_STREAM | CONN_DISCARD);
    for (unsigned bit = 6; bit < 8; bit++)
        DAMAGED(c.flags = (uint8_t)(1u << bit));
    arena.clients = NULL; /* as in layouts before 4 */
    for (unsigned bit = 3; bit < 8; bit++)
        DAMAGED(c.flags = (uint8_t)(1u << bit));
    arena_unmap(&arena);
    close(fd);
}
END_TEST

/* The other way around: whatever is called valid can be read. */
START_TEST(record_called_valid_leads_nowhere_else)
{
    int fd = create(4, BLOCKS);
    struct arena arena = map(fd);
    unsigned found = 0;
    volatile char sum = 0;

    for (unsigned round = 0; round < 200000; round++) {
        struct conn_record record = {.commits = round};
        for (unsigned copy = 0; copy < 2; copy++)
            record.cursors[copy] = (struct conn_cursors){
                .received = random_below(1u << 20),
                .in_block = random_below(8) ? random_below(BLOCKS + 2) : BLOCK_NONE,
                .in_order = (uint8_t)random_below(20),
                .in_start = random_below(3) ? random_below(20000) : 0,
                .in_end = random_below(3) ? random_below(400000) : 0,
                .out_block = random_below(4) ? random_below(BLOCKS + 2) : BLOCK_NONE,
                .out_order = (uint8_t)random_below(20),
                .out_start = random_below(3) ? random_below(20000) : 0,
                .out_end = random_below(3) ? random_below(400000) : 0,
                .flags = (uint8_t)random_below(9),
            };
        if (!record_valid(&arena, &record))
            continue;
        found++;
        const struct conn_cursors *c = record_cursors(&record);
        if (c->in_end > c->in_start) {
            const char *bytes = arena_block(&arena, c->in_block);
            must(bytes + c->in_end <= (char *)arena.header + arena.size);
            sum = (char)(sum + bytes[c->in_start] + bytes[c->in_end - 1]);
        }
        if (c->out_end > c->out_start) {
            const char *bytes = arena_block(&arena, c->out_block);
            must(bytes + c->out_end <= (char *)arena.header + arena.size);
            sum = (char)(sum + bytes[c->out_start] + bytes[c->out_end - 1]);
        }
        must(cursors_consumed(c) <= c->received);
    }
    ck_assert_uint_gt(found, 100);
    arena_unmap(&arena);
    close(fd);
}
END_TEST

UNIT_MAIN("arena", arena_has_the_geometry_it_was_created_with,
          arena_costs_memory_only_where_it_was_written, arena_is_shared_between_mappings,
          arena_used_records_are_told_by_pages,
          arena_header_with_any_bit_flipped_is_refused_or_harmless,
          arena_header_of_random_bytes_is_refused,
          arena_cannot_get_another_size_and_one_that_has_is_refused,
          arena_that_is_no_file_is_refused, record_changes_only_when_committed,
          record_commits_may_wrap_around, running_mark_ends_when_the_frame_is_consumed,
          record_valid_refuses_every_kind_of_damage, record_called_valid_leads_nowhere_else)
