/* The choice between servers, simulated: see modules/choose.h. */
#include "unit.h"

#include "../../modules/choose.h"

enum { SERVERS = 50, TURNS = 200000 };

static struct dice dice;
static uint32_t sums[SERVERS];

/* Servers of these weights; the last of them is every further one's. */
static void servers_are(const uint32_t *weights, size_t given)
{
    uint32_t sum = 0;

    dice = dice_of(12345);
    for (size_t i = 0; i < SERVERS; i++)
        sums[i] = sum += weights[i < given ? i : given - 1];
}

/* Each server answers one request a turn, and nine requests come for ten servers. Gives the most
 * that any of them has had under way. */
static size_t most_loaded(bool two)
{
    size_t pending[SERVERS] = {0}, most = 0;

    servers_are((const uint32_t[]){100}, 1);
    for (size_t turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < SERVERS; i++) {
            if (dice_below(&dice, 100) < 90) {
                size_t a = choose_draw(&dice, sums, SERVERS), b;
                if (two) {
                    choose_two(&dice, sums, SERVERS, &a, &b);
                    if (choose_lighter(pending[b], 100, pending[a], 100))
                        a = b;
                }
                if (++pending[a] > most)
                    most = pending[a];
            }
        }
        for (size_t i = 0; i < SERVERS; i++)
            pending[i] -= pending[i] > 0;
    }
    return most;
}

START_TEST(the_most_loaded_of_two_choices_has_a_fraction_of_that_of_one)
{
    size_t random = most_loaded(false), two = most_loaded(true);

    ck_assert_msg(two <= 8, "%zu under way at one server", two);
    ck_assert_msg(random >= 4 * two, "%zu by one choice, %zu by two", random, two);
}
END_TEST

START_TEST(servers_are_drawn_as_often_as_their_weights_say)
{
    size_t drawn[SERVERS] = {0};

    servers_are((const uint32_t[]){300, 1, 100}, 3);
    for (size_t i = 0; i < 512000; i++)
        drawn[choose_draw(&dice, sums, SERVERS)]++;
    /* 300 + 1 + 48 * 100 = 5101 */
    ck_assert_msg(drawn[0] > 29000 && drawn[0] < 31300, "%zu", drawn[0]);
    ck_assert_msg(drawn[1] > 50 && drawn[1] < 160, "%zu", drawn[1]);
    for (size_t i = 2; i < SERVERS; i++)
        ck_assert_msg(drawn[i] > 9400 && drawn[i] < 10700, "%zu: %zu", i, drawn[i]);
}
END_TEST

START_TEST(the_two_are_never_one)
{
    size_t a, b;

    servers_are((const uint32_t[]){10000, 1}, 2);
    for (size_t count = 2; count <= SERVERS; count++) {
        for (size_t i = 0; i < 1000; i++) {
            choose_two(&dice, sums, count, &a, &b);
            ck_assert(a != b && a < count && b < count);
        }
    }
}
END_TEST

START_TEST(a_heavier_server_may_have_more_under_way)
{
    ck_assert(choose_lighter(2, 300, 1, 100));
    ck_assert(!choose_lighter(3, 300, 1, 100));
    ck_assert(!choose_lighter(1, 100, 3, 300));
    ck_assert(choose_lighter(0, 1, 1, 10000));
    ck_assert(!choose_lighter(0, 1, 0, 10000));
}
END_TEST

/* Under load each has what is under way in proportion to its weight. */
START_TEST(load_follows_the_weights)
{
    size_t pending[SERVERS] = {0};

    servers_are((const uint32_t[]){400, 100}, 2);
    for (size_t i = 0; i < 53000; i++) { /* 4 + 49 shares of 1000 */
        size_t a, b;
        choose_two(&dice, sums, SERVERS, &a, &b);
        if (choose_lighter(pending[b], b == 0 ? 400 : 100, pending[a], a == 0 ? 400 : 100))
            a = b;
        pending[a]++;
    }
    ck_assert_msg(pending[0] > 3950 && pending[0] < 4050, "%zu", pending[0]);
    for (size_t i = 1; i < SERVERS; i++)
        ck_assert_msg(pending[i] > 985 && pending[i] < 1015, "%zu: %zu", i, pending[i]);
}
END_TEST

/* A server that has just come, among fifty: what it is asked in each tenth of its first time. */
START_TEST(a_new_server_gets_a_tenth_of_its_share_and_then_more)
{
    unsigned asked[10] = {0};

    servers_are((const uint32_t[]){100}, 1);
    for (unsigned i = 0; i < 500000; i++) {
        uint64_t age_ms = i / 50; /* 500,000 requests in ten seconds: 1,000 a tenth are its share */
        size_t server = choose_draw(&dice, sums, SERVERS);
        if (server == 0 && dice_below(&dice, 1024) < choose_part(age_ms, 10000))
            asked[i / 50000]++;
    }
    ck_assert_msg(asked[0] > 70 && asked[0] < 150, "%u", asked[0]);
    ck_assert_msg(asked[4] > 380 && asked[4] < 540, "%u", asked[4]);
    ck_assert_msg(asked[9] > 850 && asked[9] < 1080, "%u", asked[9]);
    ck_assert_uint_eq(choose_part(10000, 10000), 1024);
    ck_assert_uint_eq(choose_part(0, 10000), 103);
    ck_assert_uint_eq(choose_part(0, 0), 1024);
}
END_TEST

UNIT_MAIN("choose", the_most_loaded_of_two_choices_has_a_fraction_of_that_of_one,
          servers_are_drawn_as_often_as_their_weights_say, the_two_are_never_one,
          a_heavier_server_may_have_more_under_way, load_follows_the_weights,
          a_new_server_gets_a_tenth_of_its_share_and_then_more)
