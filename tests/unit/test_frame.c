/* What frames promise: see core/wire/frame.h. */
#include "unit.h"

#include "guarded.h"
#include "wire/frame.h"

static struct frame frame;

static void put_header(uint32_t size, char *to)
{
    for (int i = 0; i < 4; i++, size /= 256)
        to[i] = (char)(unsigned char)(size % 256);
}

/* The status of a header that announces `size`, with `arrived` bytes of body behind it. */
static enum frame_status status_of(uint32_t size, size_t arrived, uint32_t max)
{
    static char text[4096];

    ck_assert_uint_le(arrived + 4, sizeof(text));
    memset(text, 'x', sizeof(text));
    put_header(size, text);
    return frame_next(guarded((struct bytes){text, 4 + arrived}), max, &frame);
}

START_TEST(frame_header_is_little_endian)
{
    static const struct {
        uint32_t size;
        const char *bytes;
    } cases[] = {
        {0, "\x00\x00\x00\x00"},          {1, "\x01\x00\x00\x00"},
        {0x12345678, "\x78\x56\x34\x12"}, {0x80000000, "\x00\x00\x00\x80"},
        {0xffffffff, "\xff\xff\xff\xff"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char header[FRAME_HEADER_SIZE];
        frame_header(cases[i].size, header);
        ck_assert_mem_eq(header, cases[i].bytes, 4);
        /* With the largest limit only a missing body is missing. */
        enum frame_status status =
            frame_next(guarded((struct bytes){header, 4}), UINT32_MAX, &frame);
        ck_assert_int_eq(status, cases[i].size == 0 ? FRAME_WHOLE : FRAME_PARTIAL);
        ck_assert_uint_eq(frame.size, UINT64_C(4) + cases[i].size);
    }
}
END_TEST

START_TEST(frame_without_a_whole_header_is_partial)
{
    for (size_t size = 0; size < 4; size++) {
        struct bytes input = guarded((struct bytes){"\xff\xff\xff\xff", size});
        ck_assert_int_eq(frame_next(input, 10, &frame), FRAME_PARTIAL);
        ck_assert_uint_eq(frame.size, 0);
        ck_assert_ptr_null(frame.body.data);
    }
    ck_assert_int_eq(frame_next((struct bytes){NULL, 0}, 10, &frame), FRAME_PARTIAL);
    ck_assert_uint_eq(frame.size, 0);
}
END_TEST

START_TEST(frame_of_length_zero_is_a_frame)
{
    ck_assert_int_eq(status_of(0, 0, 100), FRAME_WHOLE);
    ck_assert_uint_eq(frame.size, 4);
    ck_assert_uint_eq(frame.body.size, 0);
    ck_assert_ptr_nonnull(frame.body.data);
    ck_assert_int_eq(status_of(0, 0, 0), FRAME_WHOLE);
}
END_TEST

START_TEST(frame_of_length_one_is_a_frame)
{
    ck_assert_int_eq(status_of(1, 0, 100), FRAME_PARTIAL);
    ck_assert_uint_eq(frame.size, 5);
    ck_assert_int_eq(status_of(1, 1, 100), FRAME_WHOLE);
    ck_assert_uint_eq(frame.size, 5);
    ck_assert_uint_eq(frame.body.size, 1);
    ck_assert_int_eq(*frame.body.data, 'x');
    ck_assert_int_eq(status_of(1, 0, 0), FRAME_TOO_LARGE);
    ck_assert_uint_eq(frame.size, 1);
}
END_TEST

START_TEST(frame_limit_is_inclusive)
{
    static const uint32_t limits[] = {1, 2, 100, 1024 * 1024, FRAME_BODY_MAX};

    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        ck_assert_int_eq(status_of(limits[i], 0, limits[i]), FRAME_PARTIAL);
        ck_assert_uint_eq(frame.size, UINT64_C(4) + limits[i]);
        ck_assert_int_eq(status_of(limits[i] + 1, 0, limits[i]), FRAME_TOO_LARGE);
        ck_assert_uint_eq(frame.size, UINT64_C(1) + limits[i]);
        ck_assert_ptr_null(frame.body.data);
    }
    ck_assert_int_eq(status_of(100, 99, 100), FRAME_PARTIAL);
    ck_assert_int_eq(status_of(100, 100, 100), FRAME_WHOLE);
    ck_assert_uint_eq(frame.body.size, 100);
}
END_TEST

START_TEST(frame_of_two_and_four_gigabytes_is_too_large)
{
    static const uint32_t sizes[] = {0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ck_assert_int_eq(status_of(sizes[i], 64, FRAME_BODY_MAX), FRAME_TOO_LARGE);
        ck_assert_uint_eq(frame.size, sizes[i]);
    }
}
END_TEST

START_TEST(frame_body_is_where_it_arrived)
{
    struct bytes input = guarded(BYTES("\x03\0\0\0abc\x02\0\0\0de\0"));

    ck_assert_int_eq(frame_next(input, 100, &frame), FRAME_WHOLE);
    ck_assert_ptr_eq(frame.body.data, input.data + 4);
    ck_assert_uint_eq(frame.body.size, 3);
    ck_assert_uint_eq(frame.size, 7);
    input = (struct bytes){input.data + frame.size, input.size - frame.size};
    ck_assert_int_eq(frame_next(input, 100, &frame), FRAME_WHOLE);
    ck_assert(bytes_equal(frame.body, BYTES("de")));
    input = (struct bytes){input.data + frame.size, input.size - frame.size};
    ck_assert_int_eq(frame_next(input, 100, &frame), FRAME_PARTIAL);
}
END_TEST

/* At every split of a stream of frames, the first part gives the frames that are whole in it, and
 * says exactly how many bytes the next one has. */
START_TEST(frame_stream_split_at_every_byte)
{
    static const struct bytes bodies[] = {
        {"", 0}, {"a", 1}, {"{\"in\":\"ping\"}", 13}, {"", 0}, {"\0\0\0\0\0", 5}};
    enum { COUNT = sizeof(bodies) / sizeof(*bodies) };
    char stream[128];
    size_t ends[COUNT], total = 0;

    for (size_t i = 0; i < COUNT; i++) {
        put_header((uint32_t)bodies[i].size, stream + total);
        memcpy(stream + total + 4, bodies[i].data, bodies[i].size);
        total += 4 + bodies[i].size;
        ends[i] = total;
    }
    for (size_t split = 0; split <= total; split++) {
        struct bytes input = guarded((struct bytes){stream, split});
        size_t count = 0, start = 0;
        enum frame_status status;
        while ((status = frame_next(input, 13, &frame)) == FRAME_WHOLE) {
            ck_assert_uint_lt(count, COUNT);
            ck_assert(bytes_equal(frame.body, bodies[count]));
            start += frame.size;
            ck_assert_uint_eq(start, ends[count]);
            input.data += frame.size;
            input.size -= frame.size;
            count++;
        }
        ck_assert_int_eq(status, FRAME_PARTIAL);
        ck_assert(count == COUNT || ends[count] > split);
        if (split - start < 4)
            ck_assert_uint_eq(frame.size, 0);
        else
            ck_assert_uint_eq(start + frame.size, ends[count]);
    }
}
END_TEST

UNIT_MAIN("frame", frame_header_is_little_endian, frame_without_a_whole_header_is_partial,
          frame_of_length_zero_is_a_frame, frame_of_length_one_is_a_frame, frame_limit_is_inclusive,
          frame_of_two_and_four_gigabytes_is_too_large, frame_body_is_where_it_arrived,
          frame_stream_split_at_every_byte)
