/* What etcd answers, read strictly. The texts are what etcd 3.4.23 has sent. */
#include "base/clock.h"
#include "registry/etcd_answer.h"
#include "registry/etcd_members.h"
#include "registry/etcd_text.h"
#include "unit.h"

#define HEADER                                                                                    \
    "\"header\":{\"cluster_id\":\"14841639068965178418\",\"member_id\":\"10276657743932975437\"," \
    "\"revision\":\"61\",\"raft_term\":\"2\"}"

static struct etcd_answer answer;

static bool reads(const char *text, int status)
{
    etcd_answer_free(&answer);
    return etcd_answer_read(&answer, bytes_of(text), status);
}

static bool is(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_of(text));
}

START_TEST(a_range_is_read_with_its_rows)
{
    ck_assert(reads("{" HEADER ",\"kvs\":[{\"key\":\"L3AvYQ==\",\"create_revision\":\"2\","
                    "\"mod_revision\":\"7\",\"version\":\"1\",\"value\":\"aGVsbG8=\",\"lease\":"
                    "\"4713195299861554436\"},{\"key\":\"L3AvYg==\",\"create_revision\":\"3\","
                    "\"mod_revision\":\"3\",\"version\":\"1\"}],\"more\":true,\"count\":\"9\"}",
                    200));
    ck_assert_uint_eq(answer.cluster, 14841639068965178418u);
    ck_assert_int_eq(answer.revision, 61);
    ck_assert_uint_eq(answer.change_count, 2);
    ck_assert(is(answer.changes[0].key, "/p/a") && is(answer.changes[0].value, "hello"));
    ck_assert_int_eq(answer.changes[0].lease, 4713195299861554436);
    ck_assert_int_eq(answer.changes[0].revision, 7);
    ck_assert(is(answer.changes[1].key, "/p/b") && is(answer.changes[1].value, ""));
    ck_assert(answer.more);
    ck_assert_int_eq(answer.count, 9);
    ck_assert(reads("{" HEADER "}", 200));
    ck_assert(answer.change_count == 0 && !answer.more && answer.count == 0);
}
END_TEST

START_TEST(events_of_a_watch_are_puts_and_deletions)
{
    ck_assert(reads("{\"result\":{" HEADER ",\"created\":true}}\n", 200));
    ck_assert(answer.created && answer.change_count == 0);
    ck_assert(
        reads("{\"result\":{" HEADER ",\"fragment\":true,\"events\":[{\"kv\":{\"key\":"
              "\"L3AvYQ==\",\"create_revision\":\"2\",\"mod_revision\":\"2\",\"version\":\"1\","
              "\"value\":\"aGVsbG8=\"}},{\"type\":\"DELETE\",\"kv\":{\"key\":\"L3AvYQ==\","
              "\"mod_revision\":\"3\"}}]}}\n",
              200));
    ck_assert(answer.fragment && !answer.created && answer.change_count == 2);
    ck_assert(!answer.changes[0].gone && answer.changes[1].gone);
    ck_assert(is(answer.changes[1].key, "/p/a"));
    ck_assert_int_eq(answer.changes[1].revision, 3);
    ck_assert(
        reads("{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"61\"}}", 200));
    ck_assert(answer.canceled && answer.compacted == 61);
}
END_TEST

/* What begins behind the last one would be none. */
START_TEST(a_revision_has_a_next_one)
{
    ck_assert(!reads("{\"header\":{\"revision\":\"9223372036854775807\"}}", 200));
    ck_assert_int_eq(answer.verdict, ETCD_ELSEWHERE);
    ck_assert(!reads("{\"header\":{\"revision\":\"-1\"}}", 200));
    ck_assert(reads("{\"header\":{\"revision\":\"9223372036854775806\"}}", 200));
    ck_assert(!reads("{\"result\":{\"events\":[{\"kv\":{\"key\":\"L3AvYQ==\",\"mod_revision\":"
                     "\"9223372036854775807\"}}]}}\n",
                     200));
}
END_TEST

START_TEST(leases_and_tokens_are_read)
{
    ck_assert(reads("{" HEADER ",\"ID\":\"4713195299861554436\",\"TTL\":\"10\"}", 200));
    ck_assert(answer.lease == 4713195299861554436 && answer.ttl == 10);
    ck_assert(reads("{\"result\":{" HEADER ",\"ID\":\"123\"}}\n", 200));
    ck_assert(answer.lease == 123 && answer.ttl == 0);
    ck_assert(reads("{" HEADER ",\"ID\":\"123\",\"TTL\":\"-1\"}", 200));
    ck_assert_int_eq(answer.ttl, -1);
    ck_assert(reads("{" HEADER
                    ",\"ID\":\"1\",\"TTL\":\"9\",\"grantedTTL\":\"10\",\"keys\":[\"L3AvYQ==\","
                    "\"L3AvYg==\"]}",
                    200));
    ck_assert(answer.key_count == 2 && is(answer.keys[1], "/p/b"));
    ck_assert(reads("{" HEADER ",\"token\":\"BOCTDxjAuSgTmTsd.11\"}", 200));
    ck_assert_str_eq(answer.token, "BOCTDxjAuSgTmTsd.11");
}
END_TEST

static void means(const char *text, int status, enum etcd_verdict verdict)
{
    ck_assert(!reads(text, status));
    ck_assert_msg(answer.verdict == verdict, "%d for %s", answer.verdict, text);
    ck_assert_str_ne(answer.text, "");
}

#define ERROR_OF(text, code) "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code "}"
#define STREAM_ERROR_OF(text, code)                                                  \
    "{\"error\":{\"grpc_code\":" code ",\"http_code\":503,\"message\":\"" text "\"," \
    "\"http_status\":\"Service Unavailable\"}}"

START_TEST(errors_say_whether_another_member_may_do_better)
{
    means(ERROR_OF("etcdserver: requested lease not found", "5"), 404, ETCD_NO_LEASE);
    means(ERROR_OF("etcdserver: mvcc: required revision has been compacted", "11"), 400,
          ETCD_COMPACTED);
    means(ERROR_OF("etcdserver: mvcc: required revision is a future revision", "11"), 400,
          ETCD_COMPACTED);
    means(ERROR_OF("etcdserver: invalid auth token", "16"), 401, ETCD_NO_TOKEN);
    means(ERROR_OF("etcdserver: user name is empty", "3"), 400, ETCD_NO_TOKEN);
    means(ERROR_OF("etcdserver: revision of auth store is old", "3"), 400, ETCD_NO_TOKEN);
    means(ERROR_OF("etcdserver: authentication is not enabled", "9"), 412, ETCD_NO_AUTH);
    means(ERROR_OF("etcdserver: permission denied", "7"), 403, ETCD_REFUSED);
    means(ERROR_OF("etcdserver: request is too large", "3"), 400, ETCD_REFUSED);
    means(ERROR_OF("etcdserver: mvcc: database space exceeded", "8"), 429, ETCD_REFUSED);
    means(ERROR_OF("etcdserver: authentication failed, invalid user ID or password", "3"), 400,
          ETCD_REFUSED);
    means(ERROR_OF("etcdserver: request timed out", "14"), 503, ETCD_ELSEWHERE);
    means(ERROR_OF("etcdserver: too many requests", "8"), 429, ETCD_ELSEWHERE);
    means(STREAM_ERROR_OF("etcdserver: no leader", "14"), 200, ETCD_ELSEWHERE);
    means(ERROR_OF("etcdserver: rpc not supported for learner", "9"), 400, ETCD_ELSEWHERE);
}
END_TEST

/* What etcd 3.4.23 has sent where users have passwords, and a proxy might. */
START_TEST(what_an_answer_without_json_says_is_told)
{
    ck_assert(!reads("CommonName of client sending a request against gateway will be ignored and "
                     "not used as expected",
                     400));
    ck_assert_int_eq(answer.verdict, ETCD_ELSEWHERE);
    ck_assert_str_eq(answer.text,
                     "an answer that is none of etcd's (status 400, 95 bytes: CommonName of client "
                     "sending a request against gateway will be ignored and not used as expected)");
    ck_assert(!reads("no\tway\x1b[2J\r\nmore", 502));
    ck_assert_str_eq(answer.text, "an answer that is none of etcd's (status 502, 16 bytes: no "
                                  "way\\u001b[2J)");
    ck_assert(!reads("", 502));
    ck_assert_str_eq(answer.text, "an answer that is none of etcd's (status 502, 0 bytes)");
}
END_TEST

START_TEST(what_is_no_answer_of_etcd_is_a_reason_to_ask_another)
{
    static const char *const texts[] = {
        "",
        "Not Found\n",
        "<html>",
        "{",
        "{} {}",
        "[]",
        "7",
        "{\"header\":7}",
        "{\"header\":{\"revision\":\"x\"}}",
        "{\"header\":{\"revision\":\"99999999999999999999\"}}",
        "{\"header\":{\"revision\":\"7 \"}}",
        "{\"header\":{\"revision\":\" 7\"}}",
        "{\"header\":{\"revision\":1.5}}",
        "{\"header\":{\"cluster_id\":\"-1\"}}",
        "{\"kvs\":{}}",
        "{\"kvs\":[7]}",
        "{\"kvs\":[{}]}",
        "{\"kvs\":[{\"key\":\"!\"}]}",
        "{\"kvs\":[{\"key\":\"L3AvYQ=\"}]}",
        "{\"kvs\":[{\"key\":7}]}",
        "{\"events\":[{}]}",
        "{\"events\":[{\"type\":\"RENAME\",\"kv\":{\"key\":\"L3AvYQ==\"}}]}",
        "{\"events\":[{\"type\":1,\"kv\":{\"key\":\"L3AvYQ==\"}}]}",
        "{\"kvs\":[],\"events\":[]}",
        "{\"more\":\"true\"}",
        "{\"token\":7}",
        "{\"token\":\"a\\r\\nX-Header: b\"}",
        "{\"keys\":[7]}",
        "{\"error\":7}",
        "{\"error\":{}}",
        "{\"cancel_reason\":\"\\u0000\"}",
        "{\"a\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        means(texts[i], 200, ETCD_ELSEWHERE);
    means("{}", 502, ETCD_ELSEWHERE);
    ck_assert(reads("{}", 200));
}
END_TEST

static void asks(char *text, const char *expected)
{
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(a_prefix_ends_before_the_first_key_that_does_not_begin_with_it)
{
    asks(etcd_text_count("/p/"), "{\"key\":\"L3Av\",\"range_end\":\"L3Aw\",\"count_only\":true}");
    asks(etcd_text_count(""), "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true}");
    asks(etcd_text_count("a\xff\xff"),
         "{\"key\":\"Yf//\",\"range_end\":\"Yg==\",\"count_only\":true}");
    asks(etcd_text_count("\xff"), "{\"key\":\"/w==\",\"range_end\":\"AA==\",\"count_only\":true}");
    asks(etcd_text_range("/p/", (struct bytes){"/p/a", 5}, 7, 3),
         "{\"key\":\"L3AvYQA=\",\"range_end\":\"L3Aw\",\"revision\":\"7\",\"limit\":\"3\"}");
}
END_TEST

START_TEST(names_and_passwords_are_escaped)
{
    asks(etcd_text_authenticate("a\"b", "\\\n"), "{\"name\":\"a\\\"b\",\"password\":\"\\\\\\n\"}");
}
END_TEST

/* ---- Which member ---- */

static struct etcd_members members;

static void begin_members(size_t count, uint64_t seed)
{
    static char url[] = "http://x";

    members = (struct etcd_members){.count = count};
    for (size_t i = 0; i < count; i++)
        members.items[i].url = url;
    etcd_members_begin(&members, seed);
}

START_TEST(servers_are_spread_over_the_members)
{
    size_t chosen[3] = {0};

    for (uint64_t seed = 0; seed < 300; seed++) {
        begin_members(3, seed * 0x9e3779b97f4a7c15u);
        chosen[members.at]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_msg(chosen[i] > 60, "%zu of 300", chosen[i]);
}
END_TEST

START_TEST(the_next_member_is_asked_at_once_and_the_same_one_after_a_pause_that_grows)
{
    uint64_t now = NS_PER_S, when, longest = 0;

    begin_members(3, 7);
    size_t first = members.at;
    etcd_members_failed(&members, now);
    ck_assert(etcd_members_ready(&members, now, &when) && members.at == (first + 1) % 3);
    etcd_members_failed(&members, now);
    ck_assert(etcd_members_ready(&members, now, &when) && members.at == (first + 2) % 3);
    ck_assert(!etcd_members_all_failed(&members));
    etcd_members_failed(&members, now);
    ck_assert(etcd_members_all_failed(&members));
    ck_assert(!etcd_members_ready(&members, now, &when));
    ck_assert(when >= now + MEMBER_PAUSE_NS / 2 && when <= now + MEMBER_PAUSE_NS);
    for (int i = 0; i < 60; i++) {
        now = when;
        ck_assert(etcd_members_ready(&members, now, &when));
        etcd_members_failed(&members, now);
        while (etcd_members_ready(&members, now, &when))
            etcd_members_failed(&members, now);
        if (when - now > longest)
            longest = when - now;
    }
    ck_assert(longest > NS_PER_S && longest <= MEMBER_PAUSE_NS << MEMBER_PAUSES);
    etcd_members_ready(&members, when, &when);
    etcd_members_answered(&members);
    ck_assert(!etcd_members_all_failed(&members));
    ck_assert_uint_eq(members.items[members.at].failures, 0);
}
END_TEST

START_TEST(pauses_are_not_the_same_for_all)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (uint64_t seed = 1; seed < 100; seed++) {
        begin_members(1, seed);
        uint64_t pause = etcd_members_chance(&members, 1000);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    ck_assert(least >= 500 && least < 600 && most > 900 && most <= 1000);
}
END_TEST

UNIT_MAIN("etcd answers", a_range_is_read_with_its_rows, events_of_a_watch_are_puts_and_deletions,
          a_revision_has_a_next_one, leases_and_tokens_are_read,
          errors_say_whether_another_member_may_do_better, what_an_answer_without_json_says_is_told,
          what_is_no_answer_of_etcd_is_a_reason_to_ask_another,
          a_prefix_ends_before_the_first_key_that_does_not_begin_with_it,
          names_and_passwords_are_escaped, servers_are_spread_over_the_members,
          the_next_member_is_asked_at_once_and_the_same_one_after_a_pause_that_grows,
          pauses_are_not_the_same_for_all)
