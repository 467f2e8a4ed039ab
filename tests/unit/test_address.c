/* Addresses: every spelling that is read, the canonical text of each, and what is refused. */
#include "net/address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit.h"

#define PREFIX "/srv/pillion"

static const char *canonical(const char *text)
{
    static struct address address;
    struct error error = {0};

    bool good = address_parse(text, PREFIX, false, &address, &error);
    ck_assert_msg(good, "%s: %s", text, error.text);
    return address.text;
}

static const char *refusal(const char *text, bool names)
{
    static struct error error;
    struct address address;

    error.text[0] = '\0';
    ck_assert_msg(!address_parse(text, PREFIX, names, &address, &error), "%s was taken", text);
    return error.text;
}

START_TEST(names_are_told_from_numbers_that_are_wrong)
{
    static const char *const names[] = {"localhost:80", "a.b.example:1", "x1:80", "1x:80"};
    static const char *const others[] = {"127.0.0.1:80", "127.0.1:80", "256.0.0.1:80", "*:80",
                                         "8080",         "[::1]:80",   "unix:run/x",   "name",
                                         ":80",          "a:b:1"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        ck_assert_msg(address_is_name(names[i]), "%s", names[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        ck_assert_msg(!address_is_name(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(each_spelling_has_one_canonical_text)
{
    static const struct {
        const char *written, *canonical;
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"127.0.0.1:08080", "127.0.0.1:8080"},
        {"*:8080", "0.0.0.0:8080"},
        {"0.0.0.0:8080", "0.0.0.0:8080"},
        {"8080", "0.0.0.0:8080"},
        {"1", "0.0.0.0:1"},
        {"65535", "0.0.0.0:65535"},
        {"[::1]:8080", "[::1]:8080"},
        {"[0:0:0::0:1]:8080", "[::1]:8080"},
        {"[::]:80", "[::]:80"},
        {"[2001:DB8::A]:80", "[2001:db8::a]:80"},
        {"[fe80::1%lo]:80", "[fe80::1%lo]:80"},
        {"unix:run/p.sock", "unix:" PREFIX "/run/p.sock"},
        {"unix:./run//p.sock", "unix:" PREFIX "/run/p.sock"},
        {"unix:../p.sock", "unix:" PREFIX "/../p.sock"},
        {"unix:/run/p.sock", "unix:/run/p.sock"},
        {"unix://run/./p.sock", "unix:/run/p.sock"},
        {"unix:/run/a:b", "unix:/run/a:b"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        ck_assert_str_eq(canonical(rows[i].written), rows[i].canonical);
}
END_TEST

START_TEST(a_canonical_text_is_read_as_itself)
{
    static const char *const rows[] = {"127.0.0.1:8080", "*:1", "[::]:80", "unix:a/b", "unix:/c"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[ADDRESS_TEXT_SIZE];
        snprintf(text, sizeof(text), "%s", canonical(rows[i]));
        ck_assert_str_eq(canonical(text), text);
    }
}
END_TEST

START_TEST(socket_addresses_hold_the_written_host_and_port)
{
    struct address address;
    struct error error;

    ck_assert(address_parse("192.0.2.7:8080", NULL, false, &address, &error));
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address.socket;
    ck_assert_int_eq(v4->sin_family, AF_INET);
    ck_assert_uint_eq(ntohs(v4->sin_port), 8080);
    ck_assert_uint_eq(ntohl(v4->sin_addr.s_addr), 0xc0000207u);
    ck_assert_uint_eq(address.size, sizeof(*v4));

    ck_assert(address_parse("[::1]:443", NULL, false, &address, &error));
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address.socket;
    ck_assert_int_eq(v6->sin6_family, AF_INET6);
    ck_assert_uint_eq(ntohs(v6->sin6_port), 443);
    ck_assert(IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));

    ck_assert(address_parse("unix:x/y", NULL, false, &address, &error));
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address.socket;
    ck_assert_int_eq(un->sun_family, AF_UNIX);
    ck_assert_str_eq(un->sun_path, "x/y");
    ck_assert_str_eq(address.text, "unix:x/y");
}
END_TEST

START_TEST(a_prefix_of_the_root_or_with_a_slash_makes_no_double_slash)
{
    struct address address;
    struct error error;

    ck_assert(address_parse("unix:s", "/", false, &address, &error));
    ck_assert_str_eq(address.text, "unix:/s");
    ck_assert(address_parse("unix:s", "", false, &address, &error));
    ck_assert_str_eq(address.text, "unix:/s");
    ck_assert(address_parse("unix:s", "/p/", false, &address, &error));
    ck_assert_str_eq(address.text, "unix:/p/s");
}
END_TEST

START_TEST(bad_addresses_are_refused_with_advice)
{
    static const struct {
        const char *written, *words;
    } rows[] = {
        {"", "port must be a number"},
        {":8080", "no host; write *:8080"},
        {"127.0.0.1", "has no port; write one as in 127.0.0.1:8080"},
        {"127.0.0.1:", "port must be a number from 1 to 65535"},
        {"127.0.0.1:0", "from 1 to 65535"},
        {"127.0.0.1:65536", "from 1 to 65535"},
        {"127.0.0.1:999999999999", "from 1 to 65535"},
        {"127.0.0.1:http", "from 1 to 65535"},
        {"127.0.0.1:-1", "from 1 to 65535"},
        {"127.0.0.1: 80", "from 1 to 65535"},
        {"127.0.1:80", "\"127.0.1\" is not an IPv4 address"},
        {"256.0.0.1:80", "is not an IPv4 address"},
        {"localhost:80", "host names are not looked up here"},
        {"::1:8080", "stands in brackets"},
        {"[::1]", "has no port; write one as in [::1]:8080"},
        {"[::1]8080", "has no port"},
        {"[::1:8080", "the \"]\" of the IPv6 address is missing"},
        {"[127.0.0.1]:80", "\"127.0.0.1\" is not an IPv6 address"},
        {"[]:80", "has no host"},
        {"unix:", "names no file"},
        {"unix:/", "names no file"},
        {"unix:./", "names no file"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *words = refusal(rows[i].written, false);
        ck_assert_msg(strstr(words, rows[i].words) != NULL, "%s: %s", rows[i].written, words);
    }
}
END_TEST

START_TEST(unix_paths_fill_the_socket_address_and_no_more)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    struct address address;
    struct error error;
    char text[256] = "unix:/";

    memset(text + 6, 'a', most - 1);
    text[5 + most] = '\0';
    ck_assert(address_parse(text, PREFIX, false, &address, &error));
    ck_assert_str_eq(address.text, text);
    text[5 + most] = 'a';
    text[6 + most] = '\0';
    ck_assert_ptr_nonnull(strstr(refusal(text, false), "107 bytes"));
    /* The prefix counts too. */
    memmove(text + 5, text + 6, most);
    ck_assert_ptr_nonnull(strstr(refusal(text, false), "too long"));
}
END_TEST

START_TEST(hosts_of_any_length_are_refused_cleanly)
{
    char text[4096];

    for (size_t size = 1; size < sizeof(text) - 8; size += 61) {
        memset(text, 'h', size);
        memcpy(text + size, ":80", 4);
        refusal(text, false);
        text[0] = '[';
        refusal(text, false);
        memcpy(text + size, "]:80", 5);
        refusal(text, false);
    }
}
END_TEST

START_TEST(names_are_looked_up_only_where_that_is_allowed)
{
    struct address address, all[8];
    struct error error;

    refusal("localhost:8080", false);
    ck_assert(address_parse("localhost:8080", NULL, true, &address, &error));
    size_t count = address_resolve("localhost:8080", all, 8, &error);
    ck_assert_uint_ge(count, 1);
    ck_assert_str_eq(all[0].text, address.text);
    for (size_t i = 0; i < count; i++)
        ck_assert(strcmp(all[i].text, "127.0.0.1:8080") == 0 ||
                  strcmp(all[i].text, "[::1]:8080") == 0);
    ck_assert_uint_eq(address_resolve("127.0.0.1:8080", all, 8, &error), 1);
}
END_TEST

START_TEST(peers_are_written_as_people_read_them)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char text[ADDRESS_TEXT_SIZE];
    socklen_t start = offsetof(struct sockaddr_un, sun_path);

    address_format((const struct sockaddr *)&un, start, text);
    ck_assert_str_eq(text, "unix:");
    address_format((const struct sockaddr *)&un, 0, text);
    ck_assert_str_eq(text, "unix:");
    /* A path that fills sun_path has no NUL at its end (unix(7)). */
    memset(un.sun_path, 'p', sizeof(un.sun_path));
    address_format((const struct sockaddr *)&un, sizeof(un), text);
    ck_assert_uint_eq(strlen(text), 5 + sizeof(un.sun_path));
    memcpy(un.sun_path, "\0name\n", 6);
    address_format((const struct sockaddr *)&un, start + 6, text);
    ck_assert_str_eq(text, "unix:@name?");
}
END_TEST

START_TEST(an_accepted_peer_reads_as_the_address_that_it_called_from)
{
    struct address any;
    struct error error;
    struct sockaddr_storage local, peer;
    socklen_t local_size = sizeof(local), peer_size = sizeof(peer);
    char from[ADDRESS_TEXT_SIZE], seen[ADDRESS_TEXT_SIZE];

    ck_assert(address_parse("127.0.0.1:1", NULL, false, &any, &error));
    ((struct sockaddr_in *)&any.socket)->sin_port = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&any.socket, any.size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&local, &local_size), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&local, local_size), 0);
    int accepted = accept(listener, (struct sockaddr *)&peer, &peer_size);
    ck_assert_int_ge(accepted, 0);
    address_format((struct sockaddr *)&peer, peer_size, seen);
    local_size = sizeof(local);
    getsockname(client, (struct sockaddr *)&local, &local_size);
    address_format((struct sockaddr *)&local, local_size, from);
    ck_assert_str_eq(seen, from);
    ck_assert_int_eq(strncmp(seen, "127.0.0.1:", 10), 0);
    close(accepted);
    close(client);
    close(listener);
}
END_TEST

UNIT_MAIN("address", names_are_told_from_numbers_that_are_wrong,
          each_spelling_has_one_canonical_text, a_canonical_text_is_read_as_itself,
          socket_addresses_hold_the_written_host_and_port,
          a_prefix_of_the_root_or_with_a_slash_makes_no_double_slash,
          bad_addresses_are_refused_with_advice, unix_paths_fill_the_socket_address_and_no_more,
          hosts_of_any_length_are_refused_cleanly, names_are_looked_up_only_where_that_is_allowed,
          peers_are_written_as_people_read_them,
          an_accepted_peer_reads_as_the_address_that_it_called_from)
