/* Replies to a load (core/cmd/bench_replies.c): found and counted however they arrive. */
#include "unit.h"

#include <string.h>

#include "cmd/bench_replies.h"

#define ERROR_HEAD "{\"out\":\"error\",\"result\":{\"code\":\""

static const struct dialect dialect = {.protocol = PROTOCOL_FRAME};
static struct reply_errors errors;
static struct replies replies;
static char large[600]; /* an error, of more than the part that is looked at */

static void setup(void)
{
    memset(large, ' ', sizeof(large) - 1);
    memcpy(large, ERROR_HEAD "mine\"", strlen(ERROR_HEAD "mine\""));
    errors = (struct reply_errors){0};
    replies_begin(&replies, &dialect, &errors);
}

/* Appends `body` as a frame. */
static void put(struct text *wire, const char *body)
{
    const uint32_t size = (uint32_t)strlen(body);

    for (unsigned shift = 0; shift < 32; shift += 8)
        text_append_char(wire, (char)(size >> shift));
    text_append_string(wire, body);
}

static bool receive(struct reply_part *part, const char *data, size_t size, uint32_t *count)
{
    return replies_count(&replies, part, (struct bytes){data, size}, count);
}

START_TEST(replies_are_counted_wherever_they_are_cut)
{
    struct text wire = {0};

    setup();
    put(&wire, "{\"out\":1}");
    put(&wire, large);
    put(&wire, ERROR_HEAD "other\"}}");
    for (size_t at = 0; at <= wire.size; at++) {
        struct reply_part part = {0};
        uint32_t count = 0;
        errors = (struct reply_errors){0};
        ck_assert(receive(&part, wire.data, at, &count));
        ck_assert(receive(&part, wire.data + at, wire.size - at, &count));
        ck_assert_uint_eq(count, 3);
        ck_assert_uint_eq(errors.count, 2);
        ck_assert_str_eq(errors.codes[0].name, "mine");
        ck_assert_str_eq(errors.codes[1].name, "other");
        ck_assert_str_eq(text_string(&errors.first), large);
        text_free(&errors.first);
    }
    text_free(&wire);
}
END_TEST

START_TEST(the_first_error_is_kept_whole_when_another_connection_has_one_meanwhile)
{
    struct reply_part one = {0}, other = {0};
    struct text wire = {0}, short_wire = {0};
    uint32_t count = 0;

    setup();
    put(&wire, large);
    put(&short_wire, ERROR_HEAD "other\"}}");
    ck_assert(receive(&one, wire.data, 300, &count));
    ck_assert(receive(&other, short_wire.data, short_wire.size, &count));
    ck_assert(receive(&one, wire.data + 300, wire.size - 300, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(text_string(&errors.first), large);
    text_free(&errors.first);
    text_free(&wire);
    text_free(&short_wire);
}
END_TEST

START_TEST(what_is_no_object_is_no_reply)
{
    struct reply_part part = {0};
    struct text wire = {0};
    uint32_t count = 0;

    setup();
    put(&wire, "SSH-2.0");
    ck_assert(!receive(&part, wire.data, wire.size, &count));
    part = (struct reply_part){0};
    ck_assert(receive(&part, wire.data, 6, &count));
    ck_assert(!receive(&part, wire.data + 6, wire.size - 6, &count));
    text_free(&wire);
}
END_TEST

UNIT_MAIN("bench_replies", replies_are_counted_wherever_they_are_cut,
          the_first_error_is_kept_whole_when_another_connection_has_one_meanwhile,
          what_is_no_object_is_no_reply)
