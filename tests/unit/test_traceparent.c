/* `traceparent`: which values are valid, and what is handed on. */
#include "wire/traceparent.h"

#include <string.h>

#include "guarded.h"
#include "unit.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"
#define IDS   TRACE "-" SPAN

static const struct {
    const char *text, *copy; /* NULL: it is none */
} values[] = {
    {"00-" IDS "-01", "00-" IDS "-01"},
    {"00-" IDS "-00", "00-" IDS "-00"},
    {"00-" IDS "-ff", "00-" IDS "-ff"},
    /* later versions */
    {"01-" IDS "-01", "00-" IDS "-01"},
    {"cc-" IDS "-fe-what-comes-then", "00-" IDS "-00"},
    {"fe-" IDS "-0b-", "00-" IDS "-01"},
    {"01-" IDS "-01.x", NULL},
    {"01-" IDS "-010", NULL},
    {"ff-" IDS "-01", NULL},
    /* of this one, nothing more and nothing less */
    {"00-" IDS "-01-", NULL},
    {"00-" IDS "-01 ", NULL},
    {" 00-" IDS "-01", NULL},
    {"00-" IDS "-0", NULL},
    {"00-" IDS, NULL},
    {"", NULL},
    {"00_" IDS "-01", NULL},
    {"00-" TRACE "+" SPAN "-01", NULL},
    {"00-" IDS "_01", NULL},
    {"0-0" IDS "-01", NULL},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", NULL},
    {"00-" TRACE "-00F067AA0BA902B7-01", NULL},
    {"00-" IDS "-0A", NULL},
    {"0A-" IDS "-01", NULL},
    {"00-g" IDS, NULL},
    {"00-00000000000000000000000000000000-" SPAN "-01", NULL},
    {"00-" TRACE "-0000000000000000-01", NULL},
    {"00-" TRACE "-00f067aa0ba902bx-01", NULL},
};

START_TEST(only_a_valid_value_is_taken)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char copy[TRACEPARENT_SIZE + 1];
        bool valid = traceparent_read(guarded(bytes_of(values[i].text)), copy);

        ck_assert_msg(valid == (values[i].copy != NULL), "\"%s\"", values[i].text);
        if (!valid)
            continue;
        ck_assert_str_eq(copy, values[i].copy);
        ck_assert(bytes_equal(traceparent_trace(copy), BYTES(TRACE)));
        ck_assert(bytes_equal(traceparent_span(copy), BYTES(SPAN)));
    }
    ck_assert(!traceparent_read((struct bytes){NULL, 0}, (char[TRACEPARENT_SIZE + 1]){0}));
}
END_TEST

UNIT_MAIN("traceparent", only_a_valid_value_is_taken)
