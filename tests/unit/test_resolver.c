/* Asking name servers that answer, are silent, are not there, and lie. */
#include "registry/resolver.h"

#include <stdlib.h>

#include "dns_fixture.h"
#include "must.h"

#define NAME "_pillion._tcp.shop.test"

static struct name_server servers[2];
static struct resolver *resolver;
static unsigned told;
static enum dns_status status;
static char first_target[DNS_NAME_MAX], why[ERROR_TEXT_MAX];

static void note(void *context, const struct resolver_reply *reply)
{
    (void)context;
    told++;
    status = reply->status;
    snprintf(why, sizeof(why), "%s", reply->why);
    if (status == DNS_FOUND && reply->answer->found_count > 0)
        snprintf(first_target, sizeof(first_target), "%s", reply->answer->found[0].target);
}

static void start_with(size_t count, uint32_t timeout_ms)
{
    loop_open();
    for (size_t i = 0; i < 2; i++)
        server_start(&servers[i]);
    struct resolver_servers all = servers_of(servers, count);
    all.timeout_ms = timeout_ms;
    resolver = resolver_open(&loop, dns_table(), &all);
}

static void start(size_t count)
{
    start_with(count, 1000);
}

static void stop(void)
{
    resolver_close(resolver);
    server_stop(&servers[0]);
    server_stop(&servers[1]);
    loop_close();
}

static struct resolver_query *ask(void)
{
    return resolver_ask(resolver, NAME ".", DNS_SRV, 0, note, NULL);
}

static void answer(struct name_server *server, const struct query *query, const char *target)
{
    struct reply reply = reply_to(query, OK);

    put_srv(&reply, query, 10, 1, 2, 8080, target);
    reply_send(server, query, &reply);
}

START_TEST(a_question_is_answered)
{
    struct query query;

    start(1);
    ask();
    ck_assert_uint_eq(told, 0);
    ck_assert(server_asked(&servers[0], &query));
    ck_assert_str_eq(query.name, NAME);
    ck_assert_uint_eq(query.type, DNS_SRV);
    ck_assert(query.edns);
    answer(&servers[0], &query, "one.test");
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(status, DNS_FOUND);
    ck_assert_str_eq(first_target, "one.test");
    stop();
}
END_TEST

START_TEST(ids_are_others_each_time_and_ports_after_each_answer)
{
    struct query one, two;
    unsigned same = 0, moved = 0;

    start(1);
    for (unsigned i = 0; i < 8; i++) {
        ask();
        ck_assert(server_asked(&servers[0], &two));
        answer(&servers[0], &two, "one.test");
        same += i > 0 && memcmp(one.message, two.message, 2) == 0;
        moved += i > 0 && one.from.sin_port != two.from.sin_port;
        one = two;
    }
    ck_assert_uint_lt(same, 4);
    ck_assert_uint_gt(moved, 4);
    stop();
}
END_TEST

START_TEST(a_silent_server_is_left_for_one_that_is_asked_first_then)
{
    struct query query, none;

    start(2);
    ask();
    ck_assert(server_asked(&servers[0], &query) && !server_asked(&servers[1], &none));
    ck_assert(server_asked_at_last(&servers[1], &query));
    answer(&servers[1], &query, "two.test");
    ck_assert_uint_eq(told, 1);
    ask();
    ck_assert(server_asked(&servers[1], &query) && !server_asked(&servers[0], &none));
    answer(&servers[1], &query, "two.test");
    ck_assert_uint_eq(told, 2);
    stop();
}
END_TEST

START_TEST(a_server_that_is_not_there_costs_no_time)
{
    struct query query;

    start(2);
    server_stop(&servers[0]);
    ask();
    ck_assert(server_asked(&servers[1], &query));
    answer(&servers[1], &query, "two.test");
    ck_assert_int_eq(status, DNS_FOUND);
    server_start(&servers[0]);
    stop();
}
END_TEST

START_TEST(another_opinion_is_another_servers)
{
    struct query query;

    start(2);
    resolver_ask(resolver, NAME, DNS_SRV, 1, note, NULL);
    ck_assert(server_asked(&servers[1], &query) && !server_asked(&servers[0], &query));
    stop();
}
END_TEST

START_TEST(when_all_are_silent_the_last_ones_trouble_is_told)
{
    struct query query;

    start_with(2, 100);
    ask();
    for (int i = 0; i < 4; i++) {
        ck_assert(server_asked_at_last(&servers[i % 2], &query));
        ck_assert_uint_eq(told, 0);
    }
    for (int i = 0; i < 1000 && told == 0; i++) {
        usleep(10000);
        pass(10);
    }
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(status, DNS_FAILED);
    ck_assert_ptr_nonnull(strstr(why, servers[1].address.text));
    ck_assert_ptr_nonnull(strstr(why, "no answer within 100 ms"));
    stop();
}
END_TEST

START_TEST(servers_that_cannot_say_are_left_for_the_next)
{
    static const unsigned codes[] = {0x8182, 0x8185, 0x8000}; /* SERVFAIL, REFUSED, a referral */
    struct query query;

    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        start(2);
        ask();
        ck_assert(server_asked(&servers[0], &query));
        struct reply reply = reply_to(&query, codes[i]);
        reply_send(&servers[0], &query, &reply);
        ck_assert(server_asked(&servers[1], &query));
        answer(&servers[1], &query, "two.test");
        ck_assert_uint_eq(told, i + 1);
        stop();
    }
}
END_TEST

START_TEST(a_server_that_knows_no_edns_is_asked_without)
{
    struct query query;

    start(1);
    ask();
    ck_assert(server_asked(&servers[0], &query));
    struct reply reply = reply_to(&query, 0x8181);
    reply_send(&servers[0], &query, &reply);
    ck_assert(server_asked(&servers[0], &query));
    ck_assert(!query.edns);
    answer(&servers[0], &query, "one.test");
    ck_assert_int_eq(status, DNS_FOUND);
    stop();
}
END_TEST

START_TEST(what_does_not_fit_comes_by_tcp_in_any_pieces)
{
    struct query query;

    start(1);
    ask();
    ck_assert(server_asked(&servers[0], &query));
    struct reply cut = reply_to(&query, OK | 0x0200);
    reply_send(&servers[0], &query, &cut);
    ck_assert(server_asked_by_tcp(&servers[0], &query));
    struct reply reply = reply_to(&query, OK);
    for (unsigned i = 0; i < 100; i++)
        put_srv(&reply, &query, 10, 1, 2, 8080, "one.test");
    ck_assert_uint_gt(reply.size, 3000);
    char prefix[2] = {(char)(reply.size >> 8), (char)reply.size};
    ck_assert_int_eq(send(query.stream, prefix, 1, 0), 1);
    settle();
    ck_assert_int_eq(send(query.stream, prefix + 1, 1, 0), 1);
    settle();
    for (size_t at = 0; at < reply.size; at += 1000) {
        ck_assert_uint_eq(told, 0);
        size_t size = reply.size - at < 1000 ? reply.size - at : 1000;
        ck_assert_int_eq(send(query.stream, reply.data + at, size, 0), (ssize_t)size);
        settle();
    }
    ck_assert_uint_eq(told, 1);
    ck_assert_str_eq(first_target, "one.test");
    close(query.stream);
    stop();
}
END_TEST

START_TEST(an_answer_by_tcp_that_breaks_off_is_none)
{
    struct query query;

    start(2);
    ask();
    ck_assert(server_asked(&servers[0], &query));
    struct reply cut = reply_to(&query, OK | 0x0200);
    reply_send(&servers[0], &query, &cut);
    ck_assert(server_asked_by_tcp(&servers[0], &query));
    ck_assert_int_eq(send(query.stream, "\x01\0abc", 5, 0), 5);
    close(query.stream);
    ck_assert(server_asked(&servers[1], &query));
    answer(&servers[1], &query, "two.test");
    ck_assert_str_eq(first_target, "two.test");
    stop();
}
END_TEST

START_TEST(a_guess_is_passed_over)
{
    struct query query;

    start(1);
    ask();
    ck_assert(server_asked(&servers[0], &query));
    struct query other = query;
    other.message[0] ^= 1;
    answer(&servers[0], &other, "evil.test");
    other = query;
    other.message[13] ^= 1; /* another name */
    other.name[0] ^= 1;
    answer(&servers[0], &other, "evil.test");
    ck_assert_uint_eq(told, 0);
    answer(&servers[0], &query, "one.test");
    ck_assert_uint_eq(told, 1);
    ck_assert_str_eq(first_target, "one.test");
    stop();
}
END_TEST

START_TEST(questions_wait_for_their_turn)
{
    struct query queries[RESOLVER_OPEN_MAX + 1];

    start(1);
    for (unsigned i = 0; i < RESOLVER_OPEN_MAX + 1; i++)
        ask();
    for (unsigned i = 0; i < RESOLVER_OPEN_MAX; i++)
        ck_assert(server_asked(&servers[0], &queries[i]));
    ck_assert(!server_asked(&servers[0], &queries[RESOLVER_OPEN_MAX]));
    answer(&servers[0], &queries[0], "one.test");
    ck_assert_uint_eq(told, 1);
    ck_assert(server_asked(&servers[0], &queries[RESOLVER_OPEN_MAX]));
    stop();
}
END_TEST

START_TEST(nobody_is_told_of_a_question_that_was_taken_back)
{
    struct query query;

    start(1);
    struct resolver_query *one = ask(), *two = ask();
    ck_assert(server_asked(&servers[0], &query));
    resolver_cancel(one);
    answer(&servers[0], &query, "one.test");
    resolver_cancel(two);
    pass(10000);
    settle();
    ck_assert_uint_eq(told, 0);
    stop();
}
END_TEST

/* ---- Which servers ---- */

START_TEST(other_servers_are_asked_also_what_is_under_way)
{
    struct query query;

    start(1);
    ask();
    ck_assert(server_asked(&servers[0], &query));
    const struct resolver_servers other = servers_of(&servers[1], 1);
    resolver_change(resolver, &other);
    answer(&servers[0], &query, "one.test");
    ck_assert_uint_eq(told, 0);
    ck_assert(server_asked(&servers[1], &query));
    answer(&servers[1], &query, "two.test");
    ck_assert_uint_eq(told, 1);
    ck_assert_str_eq(first_target, "two.test");
    stop();
}
END_TEST

START_TEST(a_resolver_that_is_no_address_is_refused_with_words)
{
    static const char *const bad[] = {"",       "*",          "*:53", "53",        "dns.example",
                                      "unix:x", "10.0.0.53:", "::1:", "1.2.3.4:0", "[::1"};
    struct address address;
    struct error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(!resolver_server_parse(bad[i], &address, &error), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "10.0.0.53"));
    }
}
END_TEST

UNIT_MAIN("resolver", a_question_is_answered, ids_are_others_each_time_and_ports_after_each_answer,
          a_silent_server_is_left_for_one_that_is_asked_first_then,
          a_server_that_is_not_there_costs_no_time, another_opinion_is_another_servers,
          when_all_are_silent_the_last_ones_trouble_is_told,
          servers_that_cannot_say_are_left_for_the_next,
          a_server_that_knows_no_edns_is_asked_without,
          what_does_not_fit_comes_by_tcp_in_any_pieces, an_answer_by_tcp_that_breaks_off_is_none,
          a_guess_is_passed_over, questions_wait_for_their_turn,
          nobody_is_told_of_a_question_that_was_taken_back,
          other_servers_are_asked_also_what_is_under_way,
          a_resolver_that_is_no_address_is_refused_with_words)
