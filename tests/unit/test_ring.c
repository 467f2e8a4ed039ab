/* Consistent hashing, simulated: see modules/proxy/ring.h. */
#include "unit.h"

#include <stdio.h>

#include "../../modules/choose.h"
#include "../../modules/hash.h"
#include "../../modules/proxy/ring.h"

enum { SERVERS = 50, KEYS = 20000 };

static uint64_t points[SERVERS * RING_POINTS * 8], scratch[SERVERS * RING_POINTS * 8];
static struct ring ring = {.points = points};

static uint64_t key_of(unsigned number)
{
    char text[32];

    return hash_bytes(text, (size_t)snprintf(text, sizeof(text), "\"user-%u\"", number));
}

/* A ring of servers 0 to SERVERS - 1 but for one, added in this order or the other. */
static void ring_of(unsigned without, bool backwards, uint32_t weight_of_first)
{
    ring.count = 0;
    for (unsigned i = 0; i < SERVERS; i++) {
        unsigned server = backwards ? SERVERS - 1 - i : i;
        char address[32];
        size_t size = (size_t)snprintf(address, sizeof(address), "10.0.0.%u:8080", server + 1);
        if (server != without)
            ring_add(&ring, hash_bytes(address, size), server == 0 ? weight_of_first : 100, server);
    }
    ring_sort(&ring, scratch);
}

static unsigned server_of(unsigned key)
{
    return ring_index(&ring, ring_find(&ring, key_of(key)));
}

START_TEST(points_are_in_order)
{
    ring_of(SERVERS, false, 100);
    ck_assert_uint_eq(ring.count, SERVERS * RING_POINTS);
    for (size_t i = 1; i < ring.count; i++)
        ck_assert(points[i - 1] < points[i]);
    ck_assert_uint_eq(ring_find(&ring, 0), 0);
    ck_assert_uint_eq(ring_find(&ring, UINT64_MAX), 0);
    for (size_t i = 0; i < ring.count; i++)
        ck_assert_uint_eq(ring_find(&ring, points[i]), i);
}
END_TEST

START_TEST(all_hosts_make_the_same_choice)
{
    static unsigned chosen[KEYS];

    ring_of(SERVERS, false, 100);
    for (unsigned key = 0; key < KEYS; key++)
        chosen[key] = server_of(key);
    ring_of(SERVERS, true, 100);
    for (unsigned key = 0; key < KEYS; key++)
        ck_assert_uint_eq(server_of(key), chosen[key]);
    /* On other machines and in other versions, too. */
    ck_assert_uint_eq(hash_bytes("\"ada\"", 5), 0x4e0ace0ae8e46bfdu);
    ck_assert_uint_eq(hash_bytes("10.0.0.1:8080", 13), 0x762ca3581735ba56u);
}
END_TEST

START_TEST(a_server_that_leaves_moves_its_own_keys_alone)
{
    static unsigned chosen[KEYS];
    unsigned moved = 0;

    ring_of(SERVERS, false, 100);
    for (unsigned key = 0; key < KEYS; key++)
        chosen[key] = server_of(key);
    ring_of(17, false, 100); /* and, seen from here, one that comes takes nobody else's */
    for (unsigned key = 0; key < KEYS; key++) {
        if (chosen[key] == 17)
            moved++;
        else
            ck_assert_uint_eq(server_of(key), chosen[key]);
    }
    ck_assert_msg(moved > KEYS / SERVERS / 2 && moved < KEYS / SERVERS * 2, "%u moved", moved);
}
END_TEST

START_TEST(a_weight_decides_how_many_keys_a_server_has)
{
    unsigned first = 0;

    ring_of(SERVERS, false, 800);
    for (unsigned key = 0; key < KEYS; key++)
        first += server_of(key) == 0;
    ck_assert_msg(first > KEYS * 6 / 57 && first < KEYS * 10 / 57, "%u of %u", first, KEYS);
}
END_TEST

/* Requests under way, half of them for ten keys of a thousand. Gives the most that a server has. */
static size_t most_loaded(uint32_t percent, size_t requests, size_t *strays)
{
    size_t pending[SERVERS] = {0}, most = 0;
    struct dice dice = dice_of(1);

    *strays = 0;
    for (size_t all = 0; all < requests; all++) {
        unsigned key = dice_below(&dice, 2) == 0 ? dice_below(&dice, 10) : dice_below(&dice, 1000);
        size_t place = ring_find(&ring, key_of(key)), first = ring_index(&ring, place);
        while (!ring_has_room(pending[ring_index(&ring, place)], 100, all, 100 * SERVERS, percent))
            place = (place + 1) % ring.count;
        size_t server = ring_index(&ring, place);
        *strays += server != first;
        if (++pending[server] > most)
            most = pending[server];
    }
    return most;
}

START_TEST(no_server_has_more_than_its_share_and_a_quarter)
{
    size_t strays;

    ring_of(SERVERS, false, 100);
    size_t free = most_loaded(0, 10000, &strays);
    ck_assert_uint_eq(strays, 0);
    size_t bounded = most_loaded(125, 10000, &strays);
    ck_assert_msg(bounded <= 250, "%zu, where 200 are the mean", bounded);
    ck_assert_msg(free >= 2 * bounded, "%zu without the bound", free);
    ck_assert_msg(strays < 5000, "%zu of 10000 not at home", strays);
    /* A few go where they belong, whatever the others have. */
    most_loaded(125, 8, &strays);
    ck_assert_uint_eq(strays, 0);
}
END_TEST

UNIT_MAIN("ring", points_are_in_order, all_hosts_make_the_same_choice,
          a_server_that_leaves_moves_its_own_keys_alone,
          a_weight_decides_how_many_keys_a_server_has,
          no_server_has_more_than_its_share_and_a_quarter)
