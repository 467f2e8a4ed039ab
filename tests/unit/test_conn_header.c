/* What connections behind balancers promise (core/net/conn_header.c): the header is consumed before
 * any request is seen, what it tells stands in the arena, and an adopter finds it there. */
#include "conn_fixture.h"

#include "net/arena_layout.h"

#define V2                                                                            \
    "\r\n\r\n\0\r\nQUIT\n!\x11\0\x2e\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\xca\x1f\x90" \
    "\x02\0\x06"                                                                      \
    "b.test"                                                                          \
    "\x01\0\x02"                                                                      \
    "h2"                                                                              \
    "\x20\0\x11\x07\0\0\0\0\x22\0\x09"                                                \
    "client 01"

static struct client c;
static struct conn_policy after; /* `policy` holds until the header is consumed */
static struct conns heir;
static int heir_fd;

static void open_behind(void)
{
    server_open(4, 64);
    after = policy;
    after.until_header = &policy;
    policy.after_header = &after;
}

static void client_says(const char *data, size_t size)
{
    text_append(&c.out, (struct bytes){data, size});
    client_update(&c);
}

static bool all_received(void)
{
    return conn_cursors(&conns, c.conn)->received == c.out.size;
}

static bool content(void)
{
    return all_received() && client_content(&c);
}

static bool is_gone(void)
{
    return c.conn->policy == NULL;
}

static void expect_peer(const struct conn *conn, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];

    conn_peer(conn, text);
    ck_assert_str_eq(text, expected);
}

static void expect_told(const struct conn *conn, const char *what, const char *expected)
{
    const char *text = conn_told(conn, what);

    ck_assert_msg(expected == NULL ? text == NULL : text != NULL && strcmp(text, expected) == 0,
                  "%s: %s", what, text == NULL ? "nothing" : text);
}

static void expect_all(const struct conn *conn)
{
    expect_peer(conn, "192.0.2.1:50122");
    expect_told(conn, "sni", "b.test");
    expect_told(conn, "alpn", "h2");
    expect_told(conn, "cn", "client 01");
    expect_told(conn, "other", NULL);
}

START_TEST(what_a_header_tells_is_true_once_it_is_consumed)
{
    char socket[ADDRESS_TEXT_SIZE];

    open_behind();
    client_open(&c, true);
    ck_assert_int_eq(conn_cursors(&conns, c.conn)->flags, CONN_HEADER);
    conn_peer(c.conn, socket);
    client_says(V2, 20);
    run_until(all_received);
    expect_peer(c.conn, socket);
    expect_told(c.conn, "sni", NULL);
    client_says(V2 + 20, sizeof(V2) - 1 - 20);
    run_until(all_received);
    ck_assert_int_eq(conn_cursors(&conns, c.conn)->flags, CONN_TOLD);
    ck_assert_uint_eq(cursors_consumed(conn_cursors(&conns, c.conn)), sizeof(V2) - 1);
    ck_assert_uint_eq(conn_cursors(&conns, c.conn)->in_block, BLOCK_NONE);
    ck_assert_ptr_eq(c.conn->policy, &after);
    expect_all(c.conn);
    client_call(&c, ECHO, 100);
    client_update(&c);
    run_until(content);
    client_close(&c);
    server_close();
}
END_TEST

/* Of a record's former connection nothing is left. */
START_TEST(a_connection_that_is_told_nothing_of_has_the_address_of_its_socket)
{
    char socket[ADDRESS_TEXT_SIZE];

    open_behind();
    client_open(&c, true);
    client_says(V2, sizeof(V2) - 1);
    run_until(all_received);
    uint32_t index = conn_index(&conns, c.conn);
    conn_close(&conns, c.conn);
    conns_flush(&conns);
    client_close(&c);
    client_open(&c, true);
    ck_assert_uint_eq(conn_index(&conns, c.conn), index);
    conn_peer(c.conn, socket);
    ck_assert_str_ne(socket, "192.0.2.1:50122");
    client_says("\r\n\r\n\0\r\nQUIT\n \0\0\0", 16);
    run_until(all_received);
    ck_assert_int_eq(conn_cursors(&conns, c.conn)->flags, CONN_TOLD);
    expect_peer(c.conn, socket);
    expect_told(c.conn, "sni", NULL);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(what_is_no_header_ends_the_connection_before_any_request)
{
    open_behind();
    client_open(&c, true);
    client_call(&c, ECHO, 100);
    text_free(&c.expected);
    client_update(&c);
    run_until(is_gone);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(a_header_may_be_as_large_as_the_largest)
{
    static char header[16384] = "\r\n\r\n\0\r\nQUIT\n!\x11\x3f\xf0\xc0\x00\x02\x01\xc0\x00\x02\x02"
                                "\xc3\xca\x1f\x90\x04\x3f\xe1";

    open_behind();
    client_open(&c, true);
    c.chunk = 1000;
    client_says(header, sizeof(header));
    client_call(&c, ECHO, 5000);
    client_update(&c);
    run_until(content);
    expect_peer(c.conn, "192.0.2.1:50122");
    client_close(&c);
    server_close();
}
END_TEST

/* Names that would be another name when cut are left out. */
START_TEST(names_that_do_not_fit_are_left_out)
{
    char header[1024] =
        "\r\n\r\n\0\r\nQUIT\n!\x11\0\0\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\xca\x1f\x90";

    for (unsigned more = 0; more < 2; more++) {
        size_t size = 28, name = 255 + more, alpn = 31 + more;
        header[size] = 2, header[size + 1] = (char)(name >> 8), header[size + 2] = (char)name;
        memset(header + size + 3, 'a', name);
        size += 3 + name;
        header[size] = 1, header[size + 1] = 0, header[size + 2] = (char)alpn;
        memset(header + size + 3, 'b', alpn);
        size += 3 + alpn;
        header[14] = (char)((size - 16) >> 8), header[15] = (char)(size - 16);
        open_behind();
        client_open(&c, true);
        client_says(header, size);
        run_until(all_received);
        expect_peer(c.conn, "192.0.2.1:50122");
        ck_assert_int_eq(conn_told(c.conn, "sni") == NULL, more);
        ck_assert_int_eq(conn_told(c.conn, "alpn") == NULL, more);
        client_close(&c);
        server_close();
    }
}
END_TEST

/* ---- Taken over ---- */

static struct conn *adopt(struct conn_policy *heirs)
{
    uint32_t index = conn_index(&conns, c.conn);
    struct conn_record record;
    struct arena from;
    struct error error;

    heir_fd = toy_arena(4, 64);
    conns_open_on(&heir, heir_fd, 2);
    heirs->conns = &heir;
    ck_assert_msg(arena_map(arena_fd, &from, &error), "%s", error.text);
    arena_record_read(&from, index, &record);
    ck_assert(record_valid(&from, &record));
    struct conn *conn = conn_adopt(&heir, dup(c.conn->watch.fd), &from, index, &record,
                                   record_cursors(&record), heirs);
    ck_assert_ptr_nonnull(conn);
    arena_unmap(&from);
    return conn;
}

static void end(struct conn *conn)
{
    conn_close(&heir, conn);
    conns_flush(&heir);
    conns_free(&heir);
    close(heir_fd);
    client_close(&c);
    server_close();
}

START_TEST(an_adopter_knows_what_was_told_or_waits_for_it)
{
    for (size_t size = 0; size <= sizeof(V2) - 1; size++) {
        struct conn_policy heirs_before, heirs_after;

        open_behind();
        heirs_after = after;
        heirs_before = policy;
        heirs_after.until_header = &heirs_before;
        heirs_before.conns = &heir;
        heirs_before.after_header = &heirs_after;
        client_open(&c, true);
        if (size > 0)
            client_says(V2, size);
        run_until(all_received);
        struct conn *conn = adopt(&heirs_after);
        bool whole = size == sizeof(V2) - 1;
        ck_assert_ptr_eq(conn->policy, whole ? &heirs_after : &heirs_before);
        if (whole)
            expect_all(conn);
        else
            expect_told(conn, "cn", NULL);
        end(conn);
    }
}
END_TEST

/* What a module has written over ends where it has to, and never passes for the balancer. */
START_TEST(what_was_told_stays_in_its_place_when_it_is_damaged)
{
    struct conn_policy heirs;

    for (int all = 0; all < 2; all++) {
        open_behind();
        heirs = after;
        client_open(&c, true);
        client_says(V2, sizeof(V2) - 1);
        run_until(all_received);
        struct conn_client *client = &conns.arena.clients[conn_index(&conns, c.conn)];
        memset(client, all ? 'x' : 0, sizeof(*client));
        struct conn *conn = adopt(&heirs);
        client = &heir.arena.clients[conn_index(&heir, conn)];
        ck_assert_uint_eq(strlen(client->address),
                          all ? sizeof(client->address) - 1 : strlen("unknown"));
        ck_assert_uint_eq(strlen(client->alpn), all ? sizeof(client->alpn) - 1 : 0);
        ck_assert_uint_eq(strlen(client->common_name), all ? sizeof(client->common_name) - 1 : 0);
        ck_assert_uint_eq(strlen(client->authority), all ? sizeof(client->authority) - 1 : 0);
        end(conn);
    }
}
END_TEST

UNIT_MAIN("conn_header", what_a_header_tells_is_true_once_it_is_consumed,
          a_connection_that_is_told_nothing_of_has_the_address_of_its_socket,
          what_is_no_header_ends_the_connection_before_any_request,
          a_header_may_be_as_large_as_the_largest, names_that_do_not_fit_are_left_out,
          an_adopter_knows_what_was_told_or_waits_for_it,
          what_was_told_stays_in_its_place_when_it_is_damaged)
