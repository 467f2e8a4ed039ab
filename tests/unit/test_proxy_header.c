/* What reading PROXY headers promises: see core/wire/proxy_header.h. */
#include "unit.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include "guarded.h"
#include "net/address.h"
#include "wire/proxy_header.h"

static struct proxy_header header;

/* With nothing readable behind it. */
static enum proxy_status read_bytes(struct bytes input)
{
    memset(&header, 0xaa, sizeof(header)); /* nothing may be left as it was */
    return proxy_header_read(guarded(input), &header);
}

static enum proxy_status read_string(const char *text)
{
    return read_bytes(bytes_of(text));
}

static void assert_is(struct bytes span, const char *text)
{
    ck_assert_msg(text == NULL ? span.data == NULL
                               : span.data != NULL && bytes_equal(span, bytes_of(text)),
                  "'%.*s' instead of '%s'", (int)span.size, span.data == NULL ? "" : span.data,
                  text == NULL ? "nothing" : text);
}

/* NULL: it tells no address. */
static void assert_source(const char *text)
{
    char address[ADDRESS_TEXT_SIZE];

    ck_assert_int_eq(header.source_size != 0, text != NULL);
    if (text == NULL)
        return;
    address_format((const struct sockaddr *)&header.source, header.source_size, address);
    ck_assert_str_eq(address, text);
}

/* ---- Headers of version 2, made piece by piece ---- */

static struct {
    char data[PROXY_HEADER_MAX * 2];
    size_t size;
} made;

#define PUT(literal) put(BYTES(literal))

static void put(struct bytes bytes)
{
    memcpy(made.data + made.size, bytes.data, bytes.size);
    made.size += bytes.size;
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\xca\x1f\x90" /* 192.0.2.1:50122 … */

/* "!\x11" is a stream of IPv4 that was proxied. */
#define MAKE(command_and_family) (made.size = 0, PUT(SIGNATURE), PUT(command_and_family "\0\0"))

static struct bytes finish(void)
{
    made.data[14] = (char)((made.size - 16) >> 8);
    made.data[15] = (char)(made.size - 16);
    return (struct bytes){made.data, made.size};
}

static enum proxy_status read_made(void)
{
    return read_bytes(finish());
}

/* ---- Version 1 ---- */

static const struct {
    const char *text, *source;
} lines[] = {
    {"PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n", "192.0.2.1:50122"},
    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"},
    {"PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n", "192.0.2.1:0"},
    {"PROXY TCP6 2001:db8::1 ::1 50122 8080\r\n", "[2001:db8::1]:50122"},
    {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
     "65535 65535\r\n",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 50122 8080\r\n", "192.0.2.1:50122"},
    {"PROXY UNKNOWN\r\n", NULL},
    {"PROXY UNKNOWN whatever ::1 stands here\r\n", NULL},
    {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", /* 107 bytes: the longest */
     NULL},
};

START_TEST(lines_of_version_1_are_read)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        char more[256];
        size_t size = strlen(lines[i].text);

        ck_assert_int_eq(read_string(lines[i].text), PROXY_WHOLE);
        ck_assert_uint_eq(header.size, size);
        ck_assert(!header.local);
        assert_source(lines[i].source);
        assert_is(header.authority, NULL);
        for (size_t n = 0; n < size; n++) {
            ck_assert_int_eq(read_bytes((struct bytes){lines[i].text, n}), PROXY_PARTIAL);
            ck_assert_uint_eq(header.size, 0);
        }
        snprintf(more, sizeof(more), "%s\r\n%s", lines[i].text, lines[i].text);
        ck_assert_int_eq(read_string(more), PROXY_WHOLE);
        ck_assert_uint_eq(header.size, size);
    }
}
END_TEST

static const char *const bad_lines[] = {
    "\n",
    "PROXZ",
    "proxy TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n",
    " PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY  TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4  192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080 \r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080 1\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122\r 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2\r\n",
    "PROXY TCP4 192.0.2.1\r\n",
    "PROXY TCP4\r\n",
    "PROXY \r\n",
    "PROXY\r\n",
    "PROXY TCP5 192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY UDP4 192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4 192.0.2.256 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4 192.0.2.01 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4 192.0.2 192.0.2.2 50122 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2.3 50122 8080\r\n",
    "PROXY TCP4 ::1 ::2 50122 8080\r\n",
    "PROXY TCP6 192.0.2.1 192.0.2.2 50122 8080\r\n",
    "PROXY TCP6 fe80::1%lo ::2 50122 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 65536 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50122 65536\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 050 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 +50 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 -1 8080\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 0x5 8080\r\n",
    "PROXY UNKNOWNS\r\n",
};

START_TEST(every_deviation_from_such_a_line_is_refused)
{
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(*bad_lines); i++) {
        ck_assert_msg(read_string(bad_lines[i]) == PROXY_INVALID, "%s", bad_lines[i]);
        ck_assert_ptr_nonnull(header.why);
    }
    ck_assert_int_eq(read_bytes(BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 50122 8080\r\n")),
                     PROXY_INVALID);
}
END_TEST

START_TEST(a_line_has_at_most_107_bytes)
{
    char line[128] = "PROXY UNKNOWN ";

    memset(line + strlen(line), 'x', 105 - strlen(line));
    ck_assert_int_eq(read_string(line), PROXY_PARTIAL);
    strcat(line, "\r\n");
    ck_assert_uint_eq(strlen(line), 107);
    ck_assert_int_eq(read_string(line), PROXY_WHOLE);
    memmove(line + 15, line + 14, sizeof(line) - 15);
    ck_assert_int_eq(read_string(line), PROXY_INVALID);
    line[107] = '\0'; /* the line feed's place */
    ck_assert_int_eq(read_string(line), PROXY_INVALID);
    line[106] = '\0';
    ck_assert_int_eq(read_string(line), PROXY_PARTIAL);
}
END_TEST

/* ---- Version 2 ---- */

START_TEST(addresses_of_version_2_are_read)
{
    MAKE("!\x11");
    PUT(V4);
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    ck_assert_uint_eq(header.size, 28);
    assert_source("192.0.2.1:50122");

    MAKE("!\x21");
    PUT("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xc3\xca\x1f\x90");
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    assert_source("[2001:db8::1]:50122");

    MAKE("!\x21");
    PUT("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xc3\xca\x1f\x90");
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    assert_source("192.0.2.1:50122");

    MAKE("!\x31");
    memset(made.data + made.size, 0, 216);
    memcpy(made.data + made.size, "/run/a", 6);
    made.size += 216;
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    assert_source("unix:/run/a");
    memcpy(made.data + 16, "\0abc\0\0", 6);
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    assert_source("unix:@abc");
    memset(made.data + 16, 'p', 108);
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    ck_assert_uint_eq(header.source_size, offsetof(struct sockaddr_un, sun_path) + 108);
}
END_TEST

START_TEST(a_header_without_an_address_tells_none)
{
    MAKE("!\0"); /* of a family that is not specified, with a name */
    PUT("\x02\0\x03"
        "a.b");
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    ck_assert(!header.local);
    assert_source(NULL);
    assert_is(header.authority, "a.b");

    /* Of a connection that is the balancer's own, nothing counts. */
    static const char *const families[] = {" \x11", " \x99"};
    for (size_t i = 0; i < 2; i++) {
        made.size = 0;
        PUT(SIGNATURE);
        put((struct bytes){families[i], 2});
        PUT("\0\0" V4 "\x02\0\x03"
            "a.b\x01");
        ck_assert_int_eq(read_made(), PROXY_WHOLE);
        ck_assert_uint_eq(header.size, made.size);
        ck_assert(header.local);
        assert_source(NULL);
        assert_is(header.authority, NULL);
    }
}
END_TEST

START_TEST(names_of_the_tls_session_are_read)
{
    MAKE("!\x11");
    PUT(V4 "\x01\0\x08http/1.1"
           "\x02\0\x09localhost"
           "\x04\0\x02\0\0"     /* nothing, for alignment */
           "\x05\0\x04\1\2\3\4" /* a unique id */
           "\xee\0\0"           /* one of the receiver's own */
           "\x20\0\x19\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x07"
           "client1");
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    assert_source("192.0.2.1:50122");
    assert_is(header.alpn, "http/1.1");
    assert_is(header.authority, "localhost");
    assert_is(header.common_name, "client1");

    /* In any pieces. */
    struct bytes whole = finish();
    for (size_t n = 0; n < whole.size; n++) {
        ck_assert_int_eq(read_bytes((struct bytes){whole.data, n}), PROXY_PARTIAL);
        ck_assert_uint_eq(header.size, n < 16 ? 0 : whole.size);
    }
    put(BYTES("\x04\0\0\0{}"));
    ck_assert_int_eq(read_bytes((struct bytes){made.data, made.size}), PROXY_WHOLE);
    ck_assert_uint_eq(header.size, whole.size);
}
END_TEST

/* Flags, and the result of verification. */
static const struct {
    struct bytes ssl;
    bool counts;
} certificates[] = {
    {BYTES("\x07\0\0\0\0"), true},    {BYTES("\x03\0\0\0\0"), true},
    {BYTES("\x05\0\0\0\0"), true},    {BYTES("\x01\0\0\0\0"), false},
    {BYTES("\0\0\0\0\0"), false},     {BYTES("\x07\0\0\0\x01"), false},
    {BYTES("\x07\x01\0\0\0"), false}, {BYTES("\x01\0\0\0\x01"), false},
};

START_TEST(the_name_of_a_certificate_counts_once_it_is_verified)
{
    for (size_t i = 0; i < sizeof(certificates) / sizeof(*certificates); i++) {
        MAKE("!\x11");
        PUT(V4 "\x20\0\x0b");
        put(certificates[i].ssl);
        PUT("\x22\0\x03"
            "eve");
        ck_assert_int_eq(read_made(), PROXY_WHOLE);
        assert_is(header.common_name, certificates[i].counts ? "eve" : NULL);
    }
}
END_TEST

/* What follows the addresses of IPv4. */
static const struct bytes bad_values[] = {
    BYTES("\x02"),
    BYTES("\x02\0"),
    BYTES("\x02\0\x01"),
    BYTES("\x02\x01\0"
          "a"),
    BYTES("\x02\0\0"), /* empty names */
    BYTES("\x01\0\0"),
    BYTES("\x02\0\x01"
          "a\x02\0\x01"
          "a"), /* twice */
    BYTES("\x01\0\x01"
          "a\x01\0\x01"
          "b"),
    BYTES("\x20\0\x05\x01\0\0\0\0\x20\0\x05\x01\0\0\0\0"),
    BYTES("\x02\0\x02"
          "a\0"), /* control characters, and no UTF-8 */
    BYTES("\x02\0\x02\n"
          "a"),
    BYTES("\x02\0\x01\x7f"),
    BYTES("\x02\0\x01\xff"),
    BYTES("\x02\0\x02\xc0\x80"),
    BYTES("\x20\0\x04\x01\0\0\0"), /* no room for the result of verification */
    BYTES("\x20\0\x06\x07\0\0\0\0\x22"),
    BYTES("\x20\0\x08\x07\0\0\0\0\x22\0\x01"),
    BYTES("\x20\0\x08\x07\0\0\0\0\x22\0\0"),
    BYTES("\x20\0\x0d\x07\0\0\0\0\x22\0\x01"
          "a\x22\0\x01"
          "b"),
    BYTES("\x03\0\x03\0\0\0"), /* a checksum of three bytes, and a wrong one */
    BYTES("\x03\0\x04\0\0\0\0"),
};

START_TEST(malformed_values_are_refused)
{
    for (size_t i = 0; i < sizeof(bad_values) / sizeof(*bad_values); i++) {
        MAKE("!\x11");
        PUT(V4);
        put(bad_values[i]);
        ck_assert_msg(read_made() == PROXY_INVALID, "value %zu", i);
        ck_assert_ptr_nonnull(header.why);
    }
}
END_TEST

START_TEST(other_versions_commands_and_families_are_refused)
{
    static const unsigned char families[] = {0x01, 0x10, 0x12, 0x22, 0x32, 0x41, 0x13, 0xff};
    static const unsigned char commands[] = {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff};

    for (size_t i = 0; i < sizeof(families); i++) {
        MAKE("!\x11");
        memset(made.data + made.size, 0, 216);
        made.size += 216;
        made.data[13] = (char)families[i];
        ck_assert_msg(read_made() == PROXY_INVALID, "%02x", families[i]);
    }
    for (size_t i = 0; i < sizeof(commands); i++) {
        MAKE("!\x11");
        PUT(V4);
        made.data[12] = (char)commands[i];
        ck_assert_msg(read_made() == PROXY_INVALID, "%02x", commands[i]);
    }
    for (size_t i = 0; i < 12; i++) {
        MAKE("!\x11");
        PUT(V4);
        made.data[i] ^= 1;
        ck_assert_int_eq(read_made(), PROXY_INVALID);
        /* It is refused at that byte: a client that speaks something else is not waited for. */
        ck_assert_int_eq(read_bytes((struct bytes){made.data, i + 1}), PROXY_INVALID);
    }
}
END_TEST

START_TEST(a_header_has_room_for_its_addresses_and_no_more_than_16384_bytes)
{
    MAKE("!\x11");
    put((struct bytes){V4, 11});
    ck_assert_int_eq(read_made(), PROXY_INVALID);
    MAKE("!\x21");
    PUT(V4);
    ck_assert_int_eq(read_made(), PROXY_INVALID);

    MAKE("!\x11");
    PUT(V4);
    size_t padding = PROXY_HEADER_MAX - made.size - 3;
    const char value[] = {0x04, (char)(padding >> 8), (char)padding};
    put((struct bytes){value, 3});
    memset(made.data + made.size, 0, padding + 1);
    made.size += padding;
    ck_assert_int_eq(read_made(), PROXY_WHOLE);
    ck_assert_uint_eq(header.size, PROXY_HEADER_MAX);
    made.size++;
    finish();
    /* It is refused before it has come. */
    ck_assert_int_eq(read_bytes((struct bytes){made.data, 16}), PROXY_INVALID);
}
END_TEST

START_TEST(a_checksum_is_compared)
{
    MAKE("!\x11");
    /* CRC32C of this header with zeros in the checksum's place, by another implementation. */
    PUT(V4 "\x03\0\x04\x00\x00\x00\x00\x02\0\x03"
           "a.b");
    struct bytes whole = finish();
    memcpy(made.data + 31, "\x5a\xe8\x6d\xbf", 4);
    ck_assert_int_eq(read_bytes(whole), PROXY_WHOLE);
    assert_is(header.authority, "a.b");
    for (size_t i = 16; i < whole.size; i++) {
        if (i == 28) /* its type: it would be no checksum */
            continue;
        made.data[i] ^= 0x10;
        ck_assert_int_eq(read_bytes(whole), PROXY_INVALID);
        made.data[i] ^= 0x10;
    }
}
END_TEST

/* ---- Writing ---- */

START_TEST(what_is_written_is_read_again)
{
    static const char *const addresses[] = {"192.0.2.1:50122", "[2001:db8::1]:50122", NULL};
    char to[PROXY_WRITTEN_MAX];
    struct address address;
    struct error error;

    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        for (int tls = 0; tls < 2; tls++) {
            struct proxy_header told = {.alpn = BYTES("pillion/1"),
                                        .authority = BYTES("a.test"),
                                        .tls = tls != 0,
                                        .common_name = BYTES("client one")};
            if (addresses[i] != NULL) {
                ck_assert(address_parse(addresses[i], NULL, false, &address, &error));
                told.source = address.socket;
                told.source_size = address.size;
            }
            size_t size = proxy_header_write(&told, to);
            ck_assert_int_eq(read_bytes((struct bytes){to, size}), PROXY_WHOLE);
            ck_assert_uint_eq(header.size, size);
            assert_source(addresses[i]);
            assert_is(header.alpn, "pillion/1");
            assert_is(header.authority, "a.test");
            assert_is(header.common_name, tls != 0 ? "client one" : NULL);
            ck_assert_int_eq(header.tls, tls);
        }
    }
}
END_TEST

/* A reader would refuse the whole header for them. */
START_TEST(names_that_no_reader_takes_are_not_written)
{
    char to[PROXY_WRITTEN_MAX], longest[256];
    struct proxy_header told = {.alpn = {"a\nb", 3}, .authority = {longest, 256}, .tls = true};

    memset(longest, 'a', sizeof(longest));
    ck_assert_int_eq(read_bytes((struct bytes){to, proxy_header_write(&told, to)}), PROXY_WHOLE);
    assert_is(header.alpn, NULL);
    assert_is(header.authority, NULL);
    told.authority.size = told.common_name.size = 255;
    told.common_name.data = longest;
    ck_assert_int_eq(read_bytes((struct bytes){to, proxy_header_write(&told, to)}), PROXY_WHOLE);
    ck_assert_uint_eq(header.authority.size, 255);
    ck_assert_uint_eq(header.common_name.size, 255);
}
END_TEST

UNIT_MAIN("proxy_header", what_is_written_is_read_again, names_that_no_reader_takes_are_not_written,
          lines_of_version_1_are_read, every_deviation_from_such_a_line_is_refused,
          a_line_has_at_most_107_bytes, addresses_of_version_2_are_read,
          a_header_without_an_address_tells_none, names_of_the_tls_session_are_read,
          the_name_of_a_certificate_counts_once_it_is_verified, malformed_values_are_refused,
          other_versions_commands_and_families_are_refused,
          a_header_has_room_for_its_addresses_and_no_more_than_16384_bytes, a_checksum_is_compared)
