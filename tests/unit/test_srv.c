/* Sets of servers by DNS: what is in them, and what becomes of them. */
#include "registry/srv.h"

#include <stdlib.h>

#include "dns_fixture.h"

#define NAME "_pillion._tcp.shop.test"

static struct name_server servers[2];
static struct srv *srv;
static unsigned changes, contacts;
static bool there = true;
static char set[4096], why[ERROR_TEXT_MAX];

/* "10.0.0.1:8080=100 10.0.0.2:8080=100" */
static void changed(void *context, const char *name, const struct srv_row *rows, size_t count)
{
    size_t size = 0;

    (void)context;
    ck_assert_str_eq(name, NAME);
    changes++;
    set[0] = '\0';
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(set + size, sizeof(set) - size, "%s%s=%u", i == 0 ? "" : " ",
                                 rows[i].address, rows[i].weight);
}

static void contact(void *context, const char *name, bool is, const char *trouble)
{
    (void)context;
    ck_assert_str_eq(name, NAME);
    ck_assert(is != there);
    contacts++;
    there = is;
    snprintf(why, sizeof(why), "%s", trouble);
}

static const struct srv_events events = {changed, contact};

static void start(size_t count)
{
    struct error error;

    loop_open();
    for (size_t i = 0; i < 2; i++)
        server_start(&servers[i]);
    const struct resolver_servers all = servers_of(servers, count);
    srv = srv_open(&loop, dns_table(), &all, &events, NULL);
    ck_assert(srv_want(srv, NAME, &error));
    ck_assert(srv_want(srv, NAME, &error));
}

static void stop(void)
{
    srv_close(srv);
    server_stop(&servers[0]);
    server_stop(&servers[1]);
    loop_close();
}

/* The next question is this one. */
static struct query expect(struct name_server *server, const char *name, enum dns_type type)
{
    struct query query;

    ck_assert_msg(server_asked(server, &query), "%s is not asked for", name);
    ck_assert_str_eq(query.name, name);
    ck_assert_uint_eq(query.type, type);
    return query;
}

static void expect_no_question(struct name_server *server)
{
    struct query query;

    ck_assert_msg(!server_asked(server, &query), "%s is asked for", query.name);
}

/* Answers with servers at 10.0.0.1 and so on, whose addresses are added. */
static void answer_with(struct name_server *server, unsigned ttl_s, unsigned count)
{
    struct query query = expect(server, NAME, DNS_SRV);
    struct reply reply = reply_to(&query, OK);
    char target[32], address[32];

    for (unsigned i = 1; i <= count; i++) {
        snprintf(target, sizeof(target), "host%u.test", i);
        put_srv(&reply, &query, ttl_s, 5, 10, 8080, target);
    }
    for (unsigned i = 1; i <= count; i++) {
        snprintf(target, sizeof(target), "host%u.test", i);
        snprintf(address, sizeof(address), "10.0.0.%u", i);
        put_address(&reply, 2, target, ttl_s, address);
    }
    reply_send(server, &query, &reply);
}

static void answer_code(struct name_server *server, const struct query *query, unsigned code)
{
    struct reply reply = reply_to(query, code);

    reply_send(server, query, &reply);
}

/* The next question is for the servers, and is answered without any. */
static void answer_none(struct name_server *server, unsigned code)
{
    struct query query = expect(server, NAME, DNS_SRV);

    answer_code(server, &query, code);
}

static void answer_address(struct name_server *server, const struct query *query, unsigned ttl_s,
                           const char *address)
{
    struct reply reply = reply_to(query, OK);

    put_address(&reply, 0, query->name, ttl_s, address);
    reply_send(server, query, &reply);
}

/* ---- What is in a set ---- */

START_TEST(addresses_that_come_along_are_not_asked_for)
{
    start(1);
    answer_with(&servers[0], 30, 2);
    ck_assert_str_eq(set, "10.0.0.1:8080=100 10.0.0.2:8080=100");
    expect_no_question(&servers[0]);
    ck_assert_uint_eq(changes, 1);
    stop();
}
END_TEST

START_TEST(other_addresses_are_asked_for_and_ipv6_where_there_is_no_ipv4)
{
    start(1);
    struct query query = expect(&servers[0], NAME, DNS_SRV);
    struct reply reply = reply_to(&query, OK);
    put_srv(&reply, &query, 30, 5, 1, 1000, "one.test");
    put_srv(&reply, &query, 30, 5, 1, 1001, "ONE.test");
    put_srv(&reply, &query, 30, 5, 1, 2000, "two.test");
    reply_send(&servers[0], &query, &reply);
    struct query one = expect(&servers[0], "one.test", DNS_A),
                 two = expect(&servers[0], "two.test", DNS_A);
    answer_address(&servers[0], &one, 30, "10.0.0.1");
    answer_code(&servers[0], &two, NO_NAME);
    ck_assert_uint_eq(changes, 0);
    two = expect(&servers[0], "two.test", DNS_AAAA);
    answer_address(&servers[0], &two, 30, "2001:db8::2");
    ck_assert_str_eq(set, "10.0.0.1:1000=100 10.0.0.1:1001=100 [2001:db8::2]:2000=100");
    stop();
}
END_TEST

START_TEST(the_lowest_priority_that_has_servers_counts)
{
    start(1);
    struct query query = expect(&servers[0], NAME, DNS_SRV);
    struct reply reply = reply_to(&query, OK);
    put_srv(&reply, &query, 30, 20, 1, 2, "later.test");
    put_srv(&reply, &query, 30, 10, 1, 1, "nowhere.test");
    put_srv(&reply, &query, 30, 30, 1, 3, "last.test");
    put_address(&reply, 2, "last.test", 30, "10.0.0.3");
    reply_send(&servers[0], &query, &reply);
    for (int i = 0; i < 2; i++) {
        query = expect(&servers[0], "nowhere.test", i == 0 ? DNS_A : DNS_AAAA);
        answer_code(&servers[0], &query, NO_NAME);
    }
    query = expect(&servers[0], "later.test", DNS_A);
    answer_address(&servers[0], &query, 30, "10.0.0.2");
    ck_assert_str_eq(set, "10.0.0.2:2=100");
    stop();
}
END_TEST

/* ---- When it is asked for ---- */

START_TEST(it_is_asked_for_again_when_the_least_ttl_is_over)
{
    start(1);
    struct query query = expect(&servers[0], NAME, DNS_SRV);
    struct reply reply = reply_to(&query, OK);
    put_srv(&reply, &query, 30, 5, 1, 1, "one.test");
    put_address(&reply, 2, "one.test", 7, "10.0.0.1");
    reply_send(&servers[0], &query, &reply);
    pass(6999);
    expect_no_question(&servers[0]);
    pass(1);
    answer_with(&servers[0], 0, 2);
    ck_assert_str_eq(set, "10.0.0.1:8080=100 10.0.0.2:8080=100");
    ck_assert_uint_eq(changes, 2);
    pass(SRV_TTL_MIN_MS - 1); /* a TTL of 0 floods no name server */
    expect_no_question(&servers[0]);
    pass(1);
    answer_with(&servers[0], INT32_MAX, 2);
    ck_assert_uint_eq(changes, 2); /* what is the same is not told */
    pass(SRV_TTL_MAX_MS - 1);
    expect_no_question(&servers[0]);
    pass(1);
    answer_with(&servers[0], 30, 1);
    ck_assert_str_eq(set, "10.0.0.1:8080=100");
    stop();
}
END_TEST

/* ---- Failures ---- */

START_TEST(a_set_stays_while_nobody_can_say)
{
    static const uint64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};

    start(1);
    answer_with(&servers[0], 5, 2);
    pass(5000);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
        for (unsigned attempts = 0; attempts < 2; attempts++) {
            answer_none(&servers[0], 0x8182);
        }
        settle();
        ck_assert(!there);
        ck_assert_ptr_nonnull(strstr(why, "SERVFAIL"));
        pass(pauses[i] - 1);
        expect_no_question(&servers[0]);
        pass(1);
    }
    ck_assert_uint_eq(contacts, 1);
    ck_assert_uint_eq(changes, 1);
    const struct srv_figures figures = srv_figures(srv);
    ck_assert_uint_eq(figures.names, 1);
    ck_assert_uint_eq(figures.away, 1);
    ck_assert_uint_eq(figures.failures, sizeof(pauses) / sizeof(*pauses));
    ck_assert_uint_eq(figures.questions, figures.failures + 2);
    answer_with(&servers[0], 5, 2);
    ck_assert(there);
    ck_assert_uint_eq(contacts, 2);
    ck_assert_uint_eq(changes, 1);
    stop();
}
END_TEST

START_TEST(nothing_empties_a_set_when_another_server_says_it_too)
{
    start(2);
    answer_with(&servers[0], 5, 2);
    pass(5000);
    answer_none(&servers[0], NO_NAME);
    ck_assert_uint_eq(changes, 1);
    pass(SRV_AGAIN_MS - 1);
    expect_no_question(&servers[1]);
    pass(1);
    answer_none(&servers[1], OK); /* a name without such records */
    ck_assert_uint_eq(changes, 2);
    ck_assert_str_eq(set, "");
    ck_assert(there);
    stop();
}
END_TEST

START_TEST(nothing_that_is_said_once_changes_nothing)
{
    start(2);
    answer_with(&servers[0], 5, 2);
    pass(5000);
    answer_none(&servers[0], NO_NAME);
    pass(SRV_AGAIN_MS);
    answer_with(&servers[1], 5, 2);
    ck_assert_uint_eq(changes, 1);
    pass(5000);
    answer_none(&servers[1], NO_NAME); /* which is the first one now */
    ck_assert_uint_eq(changes, 1);
    stop();
}
END_TEST

START_TEST(a_name_that_was_never_there_is_known_to_be_empty_at_once)
{
    start(1);
    answer_none(&servers[0], NO_NAME);
    ck_assert_uint_eq(changes, 1);
    ck_assert_str_eq(set, "");
    pass(SRV_TTL_MIN_MS);
    answer_with(&servers[0], 5, 1);
    ck_assert_str_eq(set, "10.0.0.1:8080=100");
    stop();
}
END_TEST

START_TEST(a_service_that_is_decidedly_nowhere_is_so_at_once)
{
    start(1);
    answer_with(&servers[0], 5, 2);
    pass(5000);
    struct query query = expect(&servers[0], NAME, DNS_SRV);
    struct reply reply = reply_to(&query, OK);
    put_srv(&reply, &query, 5, 0, 0, 0, "");
    reply_send(&servers[0], &query, &reply);
    ck_assert_uint_eq(changes, 2);
    ck_assert_str_eq(set, "");
    stop();
}
END_TEST

START_TEST(of_a_target_that_cannot_be_looked_up_the_addresses_stay)
{
    struct query two;

    start(1);
    for (int round = 0; round < 2; round++) {
        struct query query = expect(&servers[0], NAME, DNS_SRV);
        struct reply reply = reply_to(&query, OK);
        put_srv(&reply, &query, 60, 5, 1, 1, "one.test");
        put_srv(&reply, &query, 60, 5, 1, 2, "two.test");
        reply_send(&servers[0], &query, &reply);
        query = expect(&servers[0], "one.test", DNS_A);
        two = expect(&servers[0], "two.test", DNS_A);
        answer_address(&servers[0], &query, 60, round == 0 ? "10.0.0.1" : "10.0.0.9");
        if (round == 0) {
            answer_address(&servers[0], &two, 60, "10.0.0.2");
            ck_assert_str_eq(set, "10.0.0.1:1=100 10.0.0.2:2=100");
            pass(60000);
        }
    }
    answer_code(&servers[0], &two, 0x8182);
    two = expect(&servers[0], "two.test", DNS_A);
    answer_code(&servers[0], &two, 0x8182);
    settle();
    ck_assert_str_eq(set, "10.0.0.2:2=100 10.0.0.9:1=100");
    ck_assert(there);
    pass(1000); /* and it is tried again before the TTL is over */
    expect(&servers[0], NAME, DNS_SRV);
    stop();
}
END_TEST

START_TEST(a_name_that_nobody_wants_is_not_asked_for)
{
    struct error error;

    start(1);
    answer_with(&servers[0], 5, 1);
    srv_unwant(srv, NAME);
    srv_unwant(srv, NAME);
    pass(10000);
    expect_no_question(&servers[0]);
    ck_assert(srv_want(srv, NAME, &error));
    struct query query = expect(&servers[0], NAME, DNS_SRV);
    srv_unwant(srv, NAME);
    answer_code(&servers[0], &query, NO_NAME);
    ck_assert_uint_eq(changes, 1);
    ck_assert(!srv_want(srv, "a name", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "letters, digits"));
    for (unsigned i = 0; i < SRV_NAMES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.test", i);
        ck_assert(srv_want(srv, name, &error));
    }
    ck_assert(!srv_want(srv, "more.test", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "one name too many"));
    stop();
}
END_TEST

/* ---- Sets ---- */

static struct srv_member members[SRV_ROWS_MAX];

/* A target with addresses 10.0.0.FIRST and the next ones. */
static struct srv_target target(const char *name, unsigned first, size_t count)
{
    struct srv_target one = {.count = count};

    strcpy(one.name, name);
    for (size_t i = 0; i < count; i++)
        one.addresses[i] = (struct dns_address){
            .type = DNS_A, .bytes = {10, 0, (uint8_t)(first >> 8), (uint8_t)(first + i)}};
    return one;
}

static void add(struct srv_set *to, unsigned weight, unsigned port, const struct srv_target *from)
{
    struct dns_server server = {.weight = (uint16_t)weight, .port = (uint16_t)port};
    const struct srv_set none = {0};

    strcpy(server.target, from->name);
    srv_set_add(to, &server, from, &none);
}

static const char *shown(struct srv_set *of)
{
    srv_set_finish(of);
    struct srv_row rows[SRV_ROWS_MAX];
    for (size_t i = 0; i < of->count; i++)
        rows[i] = of->members[i].row;
    changed(NULL, NAME, rows, of->count);
    return set;
}

START_TEST(weights_are_the_records_and_0_is_next_to_nothing)
{
    const struct srv_target one = target("one", 1, 1), two = target("two", 2, 1),
                            both = target("both", 3, 2);
    const struct {
        struct {
            unsigned weight, port;
            const struct srv_target *target;
        } records[3];
        const char *shown;
    } rows[] = {
        {{{30, 1, &one}, {10, 1, &two}, {0, 2, &two}},
         "10.0.0.1:1=1000 10.0.0.2:1=333 10.0.0.2:2=1"},
        {{{0, 1, &one}, {0, 1, &two}}, "10.0.0.1:1=100 10.0.0.2:1=100"},
        /* Two addresses share their record's weight. */
        {{{10, 1, &one}, {10, 1, &both}}, "10.0.0.1:1=1000 10.0.0.3:1=500 10.0.0.4:1=500"},
        /* Two records of one address add up. */
        {{{65535, 1, &one}, {65535, 1, &one}, {65535, 1, &two}}, "10.0.0.1:1=1000 10.0.0.2:1=500"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct srv_set of = {.members = members};
        for (size_t n = 0; n < 3 && rows[i].records[n].target != NULL; n++)
            add(&of, rows[i].records[n].weight, rows[i].records[n].port, rows[i].records[n].target);
        ck_assert_str_eq(shown(&of), rows[i].shown);
    }
}
END_TEST

START_TEST(a_set_has_a_size)
{
    struct srv_set of = {.members = members};

    for (unsigned i = 0; i < SRV_ROWS_MAX / SRV_TARGET_ADDRESSES_MAX + 1; i++) {
        const struct srv_target one = target("one", i * 256, SRV_TARGET_ADDRESSES_MAX);
        add(&of, 1, 1, &one);
    }
    srv_set_finish(&of);
    ck_assert_uint_eq(of.count, SRV_ROWS_MAX);
    ck_assert(of.cut);
}
END_TEST

START_TEST(addresses_that_no_server_can_have_are_left_out)
{
    static const struct {
        const char *address;
        bool good;
    } rows[] = {{"0.0.0.0", false},   {"224.0.0.1", false},       {"255.255.255.255", false},
                {"127.0.0.1", true},  {"10.0.0.1", true},         {"::", false},
                {"ff02::1", false},   {"::ffff:10.0.0.1", false}, {"::1", true},
                {"2001:db8::1", true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool six = strchr(rows[i].address, ':') != NULL;
        struct dns_address address = {.owner = "one", .type = six ? DNS_AAAA : DNS_A, .ttl_s = 9};
        const struct dns_answer answer = {.addresses = &address, .address_count = 1};
        struct srv_target one = target("one", 0, 0);
        uint32_t ttl_s = 10;
        inet_pton(six ? AF_INET6 : AF_INET, rows[i].address, address.bytes);
        srv_target_take(&one, &answer, address.type, &ttl_s);
        ck_assert_msg(one.count == rows[i].good, "%s", rows[i].address);
        ck_assert_uint_eq(ttl_s, rows[i].good ? 9 : 10);
    }
}
END_TEST

UNIT_MAIN("srv", addresses_that_come_along_are_not_asked_for,
          other_addresses_are_asked_for_and_ipv6_where_there_is_no_ipv4,
          the_lowest_priority_that_has_servers_counts,
          it_is_asked_for_again_when_the_least_ttl_is_over, a_set_stays_while_nobody_can_say,
          nothing_empties_a_set_when_another_server_says_it_too,
          nothing_that_is_said_once_changes_nothing,
          a_name_that_was_never_there_is_known_to_be_empty_at_once,
          a_service_that_is_decidedly_nowhere_is_so_at_once,
          of_a_target_that_cannot_be_looked_up_the_addresses_stay,
          a_name_that_nobody_wants_is_not_asked_for,
          weights_are_the_records_and_0_is_next_to_nothing, a_set_has_a_size,
          addresses_that_no_server_can_have_are_left_out)
