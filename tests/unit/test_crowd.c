/* Counting connections by address over several workers, and rules of access: see core/net/crowd.h
 * and core/base/access.h. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/access.h"
#include "base/clock.h"
#include "net/crowd.h"

#define WORKERS 3u

static struct crowd_row *rows;
static struct crowd crowds[WORKERS];
static bool alive[WORKERS];
static const struct crowd_limit limit = {.most = 4, .period_s = 1, .server = 2};

static const struct crowd_row *next(void *context, uint32_t *i)
{
    (void)context;
    while (*i < WORKERS) {
        uint32_t at = (*i)++;
        if (alive[at])
            return &rows[at];
    }
    return NULL;
}

static void begin(void)
{
    rows = aligned_alloc(4096, WORKERS * sizeof(*rows));
    ck_assert_ptr_nonnull(rows);
    memset(rows, 0, WORKERS * sizeof(*rows));
    for (uint32_t i = 0; i < WORKERS; i++) {
        alive[i] = true;
        crowds[i] = (struct crowd){.own = &rows[i], .seed = 4711, .next = next};
    }
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNIX};
    struct sockaddr_in *four = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;

    if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        storage.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
        storage.ss_family = AF_INET6;
    return storage;
}

static uint64_t key(const char *text, const struct crowd_limit *of)
{
    struct sockaddr_storage storage = address(text);
    return crowd_key(&crowds[0], of, (struct sockaddr *)&storage);
}

START_TEST(an_address_is_counted_in_all_workers_together)
{
    begin();
    uint64_t one = key("192.0.2.1", &limit), other = key("192.0.2.2", &limit);

    ck_assert_uint_ne(one, other);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_int_eq(crowd_enter(&crowds[i % WORKERS], &limit, one, 0), CROWD_ENTERED);
    for (uint32_t i = 0; i < WORKERS; i++)
        ck_assert_int_eq(crowd_enter(&crowds[i], &limit, one, 0), CROWD_FULL);
    ck_assert_int_eq(crowd_enter(&crowds[0], &limit, other, 0), CROWD_ENTERED);
    crowd_leave(&crowds[1], one);
    ck_assert_int_eq(crowd_enter(&crowds[2], &limit, one, 0), CROWD_ENTERED);
    ck_assert_int_eq(crowd_enter(&crowds[1], &limit, one, 0), CROWD_FULL);
    /* a worker dies, and another one takes its two connections over */
    alive[0] = false;
    crowd_count(&crowds[1], one);
    crowd_count(&crowds[1], one);
    ck_assert_int_eq(crowd_enter(&crowds[1], &limit, one, 0), CROWD_FULL);
    free(rows);
}
END_TEST

START_TEST(an_address_is_that_of_a_customer)
{
    const struct crowd_limit elsewhere = {.most = 4, .server = 3};

    begin();
    ck_assert_uint_eq(key("2001:db8:0:1::1", &limit), key("2001:db8:0:1:2:3:4:5", &limit));
    ck_assert_uint_ne(key("2001:db8:0:1::1", &limit), key("2001:db8:0:2::1", &limit));
    ck_assert_uint_eq(key("::ffff:192.0.2.1", &limit), key("192.0.2.1", &limit));
    ck_assert_uint_ne(key("192.0.2.1", &limit), key("192.0.2.1", &elsewhere));
    ck_assert_uint_eq(key("unix:", &limit), 0);
    free(rows);
}
END_TEST

START_TEST(new_connections_are_counted_by_the_second)
{
    const struct crowd_limit fast = {.most = 100, .rate = 2, .period_s = 1};

    begin();
    uint64_t one = key("192.0.2.1", &fast);
    for (uint64_t second = 1; second < 5; second++) {
        uint64_t now = second * NS_PER_S;
        ck_assert_int_eq(crowd_enter(&crowds[0], &fast, one, now), CROWD_ENTERED);
        ck_assert_int_eq(crowd_enter(&crowds[1], &fast, one, now), CROWD_ENTERED);
        ck_assert_int_eq(crowd_enter(&crowds[0], &fast, one, now), CROWD_TOO_FAST);
        ck_assert_int_eq(crowd_enter(&crowds[2], &fast, one, now + NS_PER_S - 1), CROWD_TOO_FAST);
    }
    free(rows);
}
END_TEST

/* Thousands of addresses come and go: their cells are free again, whatever their order. */
START_TEST(cells_come_free)
{
    enum { MANY = 20000 };
    static uint64_t keys[MANY];

    begin();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            struct sockaddr_in four = {.sin_family = AF_INET};
            four.sin_addr.s_addr = htonl(0x0a000000u + round * MANY + i);
            keys[i] = crowd_key(&crowds[0], &limit, (struct sockaddr *)&four);
            ck_assert_int_eq(crowd_enter(&crowds[0], &limit, keys[i], 0), CROWD_ENTERED);
        }
        for (unsigned i = 0; i < MANY; i++)
            crowd_leave(&crowds[0], keys[i * 7 % MANY]);
        for (unsigned set = 0; set < CROWD_SETS; set++) {
            for (unsigned way = 0; way < CROWD_WAYS; way++)
                ck_assert_uint_eq(rows[0].open[set][way] & 0xffff, 0);
        }
    }
    free(rows);
}
END_TEST

START_TEST(the_first_rule_about_a_client_decides)
{
    static const char *const words[] = {"192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "all"};
    static const struct {
        const char *client;
        bool allowed;
    } clients[] = {{"192.0.2.7", true},   {"::ffff:192.0.2.7", true}, {"192.0.2.8", false},
                   {"2001:db8::1", true}, {"2001:db9::1", false},     {"unix:", true}};
    struct access_rule rules[4];
    struct error error;

    for (unsigned i = 0; i < 4; i++) {
        rules[i].allows = i % 2 == 0;
        ck_assert(access_parse(words[i], &rules[i], &error));
    }
    for (unsigned i = 0; i < sizeof(clients) / sizeof(*clients); i++) {
        struct sockaddr_storage client = address(clients[i].client);
        ck_assert_msg(access_allows(rules, 4, (struct sockaddr *)&client) == clients[i].allowed,
                      "%s", clients[i].client);
    }
    ck_assert(access_parse("unix:", &rules[0], &error));
    rules[0].allows = false;
    struct sockaddr_storage local = address("unix:");
    ck_assert(!access_allows(rules, 4, (struct sockaddr *)&local));
    ck_assert(!access_parse("10.0.0.1/8", &rules[0], &error));
}
END_TEST

UNIT_MAIN("crowd", an_address_is_counted_in_all_workers_together, an_address_is_that_of_a_customer,
          new_connections_are_counted_by_the_second, cells_come_free,
          the_first_rule_about_a_client_decides)
