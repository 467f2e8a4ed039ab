/* Answers of DNS: what dnsmasq 2.90 and Unbound 1.17 have answered, and what nobody should. */
#include "registry/cares/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "must.h"
#include "registry/dns_name.h"
#include "unit.h"

#define NAME "_pillion._tcp.shop.test"

/* dnsmasq: two records of one priority, and the addresses of their targets. */
static const char both[] =
    "123485800001000200000004085f70696c6c696f6e045f7463700473686f7004746573740000210001c00c00210001"
    "0000001e0015000a00281f910374776f0473686f70047465737400c00c002100010000001e0015000a003c1f90036f"
    "6e650473686f70047465737400c05c000100010000001e00040a000001c03b000100010000001e00040a000002c03b"
    "001c00010000001e001020010db800000000000000000000000200002904d0000000000000";
static const char aaaa[] =
    "1234858000010001000000010374776f0473686f70047465737400001c0001c00c001c00010000001e001020010db8"
    "00000000000000000000000200002904d0000000000000";
/* The address of a name that is another one's alias. */
static const char alias[] =
    "12348580000100020000000105616c6961730473686f7004746573740000010001c00c000500010000001e000f036f"
    "6e650473686f70047465737400c02d000100010000001e00040a00000100002904d0000000000000";
static const char gone[] = "12348183000100000000000104676f6e650473686f7004746573740000210001000029"
                           "04d0000000000000";
/* Unbound: no addresses, two priorities, and capital letters. */
static const char bare[] =
    "123485800001000200000001085f70696c6c696f6e045f7463700473686f7004746573740000210001c00c00210001"
    "0000001e0015000a003c1f90036f6e650473686f70047465737400c00c002100010000001e0015001400281f910354"
    "776f0453686f7004546573740000002904d0000000000000";
/* Nothing of this type, and no such name: for 20 seconds. */
static const char none_of_type[] =
    "123485800001000000010001036f6e650473686f70047465737400001c0001c01000060001000000140021026e73c0"
    "100561646d696ec0100000000100000e1000000258000151800000001400002904d0000000000000";
static const char no_name[] =
    "12348583000100000001000104676f6e650473686f7004746573740000210001c01100060001000000140021026e73"
    "c0110561646d696ec0110000000100000e1000000258000151800000001400002904d0000000000000";
static const char nowhere[] =
    "123485800001000100000001055f6e6f6e65045f7463700473686f7004746573740000210001c00c00210001000000"
    "1e00070000000000000000002904d0000000000000";

static const struct dns_answer *answer;

static int digit(char c)
{
    return hex_digit(c);
}

/* The bytes of hexadecimal digits, at the end of a page. */
static struct bytes unhex(const char *digits)
{
    static char data[65536];
    size_t size = 0;

    for (; digits[0] != '\0'; digits += 2)
        data[size++] = (char)(digit(digits[0]) << 4 | digit(digits[1]));
    return guarded((struct bytes){data, size});
}

static enum dns_status read_hex(const char *digits, const char *name, enum dns_type type)
{
    const struct bytes message = unhex(digits);

    answer = answer_read((const unsigned char *)message.data, message.size, name, type);
    return answer->status;
}

START_TEST(names_are_checked_before_they_are_asked_for)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a b",
        "a/b",
        "\xc3\xa4.test",
        "a:1",
        "a.b..",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
    };
    static const char *const good[] = {
        "a",
        "a.",
        NAME,
        "A.B-c.1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
    };
    char longest[DNS_NAME_MAX + 1] = "";
    const char *why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(!dns_name_check(bad[i], &why) && why != NULL, "%s", bad[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        ck_assert_msg(dns_name_check(good[i], &why), "%s: %s", good[i], why);
    for (size_t i = 0; i < DNS_NAME_MAX - 1; i++)
        longest[i] = i % 2 ? '.' : 'a';
    ck_assert(dns_name_check(longest, &why));
    longest[DNS_NAME_MAX - 1] = '.';
    ck_assert(dns_name_check(longest, &why));
    longest[DNS_NAME_MAX - 1] = 'a';
    ck_assert(!dns_name_check(longest, &why));
}
END_TEST

/* ---- Answers ---- */

static void expect_server(size_t i, unsigned priority, unsigned weight, unsigned port,
                          const char *target)
{
    ck_assert_uint_lt(i, answer->found_count);
    ck_assert_uint_eq(answer->found[i].priority, priority);
    ck_assert_uint_eq(answer->found[i].weight, weight);
    ck_assert_uint_eq(answer->found[i].port, port);
    ck_assert_str_eq(answer->found[i].target, target);
}

START_TEST(servers_come_with_their_addresses)
{
    ck_assert_int_eq(read_hex(both, NAME, DNS_SRV), DNS_FOUND);
    ck_assert_uint_eq(answer->found_count, 2);
    expect_server(0, 10, 40, 8081, "two.shop.test");
    expect_server(1, 10, 60, 8080, "one.shop.test");
    ck_assert_uint_eq(answer->ttl_s, 30);
    ck_assert_uint_eq(answer->address_count, 3);
    ck_assert_str_eq(answer->addresses[0].owner, "one.shop.test");
    ck_assert_uint_eq(answer->addresses[0].type, DNS_A);
    ck_assert(memcmp(answer->addresses[0].bytes, "\x0a\0\0\x01", 4) == 0);
    ck_assert_str_eq(answer->addresses[2].owner, "two.shop.test");
    ck_assert_uint_eq(answer->addresses[2].type, DNS_AAAA);
    ck_assert(memcmp(answer->addresses[2].bytes, "\x20\x01\x0d\xb8", 4) == 0);
    ck_assert_uint_eq(answer->addresses[2].ttl_s, 30);
}
END_TEST

START_TEST(names_are_in_small_letters_whatever_was_asked_and_said)
{
    ck_assert_int_eq(read_hex(bare, "_PILLION._tcp.Shop.test", DNS_SRV), DNS_FOUND);
    expect_server(0, 10, 60, 8080, "one.shop.test");
    expect_server(1, 20, 40, 8081, "two.shop.test");
    ck_assert_uint_eq(answer->address_count, 0);
}
END_TEST

START_TEST(addresses_are_the_names_that_were_asked_for_also_behind_an_alias)
{
    ck_assert_int_eq(read_hex(aaaa, "two.shop.test", DNS_AAAA), DNS_FOUND);
    ck_assert_uint_eq(answer->address_count, 1);
    ck_assert_int_eq(read_hex(alias, "alias.shop.test", DNS_A), DNS_FOUND);
    ck_assert_uint_eq(answer->address_count, 1);
    ck_assert_str_eq(answer->addresses[0].owner, "alias.shop.test");
    ck_assert_uint_eq(answer->ttl_s, 30);
}
END_TEST

START_TEST(nothing_is_told_from_what_nobody_can_say)
{
    ck_assert_int_eq(read_hex(gone, "gone.shop.test", DNS_SRV), DNS_NONE);
    ck_assert_uint_eq(answer->ttl_s, 0);
    ck_assert_int_eq(read_hex(no_name, "gone.shop.test", DNS_SRV), DNS_NONE);
    ck_assert_uint_eq(answer->ttl_s, 20);
    ck_assert_int_eq(read_hex(none_of_type, "one.shop.test", DNS_AAAA), DNS_NONE);
    ck_assert_uint_eq(answer->ttl_s, 20);
    /* SERVFAIL, REFUSED, and a server that answers for other zones and asks nobody */
    static const char question[] = "00010000000000000161000021";
    const struct {
        const char *head;
        enum dns_status status;
    } rows[] = {
        {"12348182", DNS_FAILED}, {"12348185", DNS_FAILED}, {"12348000", DNS_FAILED},
        {"12348080", DNS_NONE},   {"12348400", DNS_NONE},   {"12348181", DNS_FAILED},
        {"12348184", DNS_FAILED}, {"12348380", DNS_FAILED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s%s0001", rows[i].head, question);
        ck_assert_msg(read_hex(text, "a", DNS_SRV) == rows[i].status, "%s", rows[i].head);
        ck_assert_int_eq(answer->status == DNS_FAILED, answer->why[0] != '\0');
        ck_assert_int_eq(answer->authoritative, strcmp(rows[i].head, "12348400") == 0);
    }
}
END_TEST

START_TEST(a_service_may_be_said_to_be_nowhere)
{
    ck_assert_int_eq(read_hex(nowhere, "_none._tcp.shop.test", DNS_SRV), DNS_FOUND);
    expect_server(0, 0, 0, 0, "");
}
END_TEST

/* ---- Damage ---- */

START_TEST(no_part_of_an_answer_is_one)
{
    static const struct {
        const char *digits, *name;
        enum dns_type type;
    } rows[] = {
        {both, NAME, DNS_SRV},
        {bare, NAME, DNS_SRV},
        {alias, "alias.shop.test", DNS_A},
        {no_name, "gone.shop.test", DNS_SRV},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct bytes whole = unhex(rows[i].digits);
        char *copy = malloc(whole.size);
        memcpy(copy, whole.data, whole.size);
        for (size_t size = 0; size < whole.size; size++) {
            struct bytes part = guarded((struct bytes){copy, size});
            answer = answer_read((const unsigned char *)part.data, part.size, rows[i].name,
                                 rows[i].type);
            must(answer->status == DNS_FAILED);
        }
        free(copy);
    }
}
END_TEST

/* An answer of one record to a question for "a" (type SRV), with these bytes behind the question.
 */
static enum dns_status read_record(const char *record)
{
    char text[4096];

    snprintf(text, sizeof(text), "1234818000010001000000000161000021%s%s", "0001", record);
    return read_hex(text, "a", DNS_SRV);
}

START_TEST(records_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {
        "c00c0021000100000001",                         /* no length */
        "c00c0021000100000001000a00010002",             /* less than its length */
        "c00c00210001000000010006000100020003",         /* no target */
        "c00c0021000100000001000a00010002000301610042", /* more behind the target */
        "c00c00210001000000010008000100020003c0ff",     /* a target that points ahead */
        "c00c00210001000000010008000100020003c01e",     /* to itself */
        "c00c002100010000000100080001000200034161",     /* longer than the record */
        "c00c00210001000000010007000100020003bf",       /* a length of a reserved kind */
        "c0",                                           /* half a pointer */
        "40",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(read_record(bad[i]) == DNS_FAILED, "%s", bad[i]);
        ck_assert_uint_eq(answer->found_count, 0);
    }
    ck_assert_int_eq(read_record("c00c00210001000000010008000100020003c00c"), DNS_FOUND);
    expect_server(0, 1, 2, 3, "a");
    /* A TTL of 32 bits is none; a record of another class, or of another name, counts for nothing.
     */
    ck_assert_int_eq(read_record("c00c00210001800000010008000100020003c00c"), DNS_FOUND);
    ck_assert_uint_eq(answer->ttl_s, 0);
    ck_assert_int_eq(read_record("c00c00210003000000010008000100020003c00c"), DNS_NONE);
    ck_assert_int_eq(read_record("01620000210001000000010008000100020003c00c"), DNS_NONE);
    /* A target that no text can show is left out, and that is said. */
    ck_assert_int_eq(read_record("c00c0021000100000001000b000100020003032e000a00"), DNS_NONE);
    ck_assert(answer->cut);
}
END_TEST

/* The name "a" is an alias of itself, and a chain of aliases goes on for ever. */
START_TEST(aliases_end)
{
    ck_assert_int_eq(read_record("c00c00050001000000010002c00c"), DNS_FAILED);
    ck_assert_str_eq(answer->why, "the name is an alias of aliases without an end");
}
END_TEST

/* The name "a" is an alias of "b", of which the answer has nothing. */
START_TEST(an_alias_of_another_zone_is_not_nothing)
{
    static const char rest[] = "000100010000000001610000210001c00c00050001000000010003016200";
    char text[sizeof(rest) + 8];

    snprintf(text, sizeof(text), "12348400%s", rest); /* by a server that asks nobody */
    ck_assert_int_eq(read_hex(text, "a", DNS_SRV), DNS_FAILED);
    snprintf(text, sizeof(text), "12348580%s", rest); /* and by one that does */
    ck_assert_int_eq(read_hex(text, "a", DNS_SRV), DNS_NONE);
}
END_TEST

START_TEST(more_records_than_there_is_room_for_are_left_out)
{
    char *text = malloc(65536 * 2);
    size_t size = (size_t)sprintf(text, "12348180000102000000000001610000210001");

    for (unsigned i = 0; i < 512; i++)
        size += (size_t)sprintf(text + size, "c00c00210001000000010008000100020003c00c");
    ck_assert_int_eq(read_hex(text, "a", DNS_SRV), DNS_FOUND);
    ck_assert_uint_eq(answer->found_count, DNS_SERVERS_MAX);
    ck_assert(answer->cut);
    free(text);
}
END_TEST

UNIT_MAIN("dns", names_are_checked_before_they_are_asked_for, servers_come_with_their_addresses,
          names_are_in_small_letters_whatever_was_asked_and_said,
          addresses_are_the_names_that_were_asked_for_also_behind_an_alias,
          nothing_is_told_from_what_nobody_can_say, a_service_may_be_said_to_be_nowhere,
          no_part_of_an_answer_is_one, records_that_make_no_sense_are_refused, aliases_end,
          an_alias_of_another_zone_is_not_nothing, more_records_than_there_is_room_for_are_left_out)
