/* Which part of very many servers a worker asks, simulated: see modules/proxy/subset.h. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>

#include "../../modules/proxy/subset.h"

enum { MOST = 40, MANY = 1000, WORKERS = 8 };

static char addresses[MANY][32];

static void servers_are(void)
{
    for (unsigned i = 0; i < MANY; i++)
        snprintf(addresses[i], sizeof(addresses[i]), "10.0.%u.%u:8080", i / 250, i % 250);
}

static int by_place(const void *a, const void *b)
{
    uint64_t first = ((const struct subset_server *)a)->place;
    uint64_t second = ((const struct subset_server *)b)->place;

    return first < second ? -1 : first > second;
}

static bool lost[MANY];

/* Marks those of the first `count` servers that a worker asks. */
static void part_of(unsigned worker, uint64_t host, size_t count, bool asked[MANY])
{
    struct subset_server places[MANY];

    for (size_t i = 0; i < count; i++)
        places[i] = (struct subset_server){subset_place(addresses[i], host), lost[i]};
    qsort(places, count, sizeof(*places), by_place);
    struct subset subset = subset_of(places, count, MOST, worker);
    for (size_t i = 0; i < count; i++)
        asked[i] = subset_has(&subset, subset_place(addresses[i], host));
}

START_TEST(the_workers_of_a_host_ask_different_servers)
{
    unsigned times[MANY] = {0};

    servers_are();
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        bool asked[MANY] = {false};
        unsigned sum = 0;
        part_of(worker, 42, MANY, asked);
        for (size_t i = 0; i < MANY; i++) {
            times[i] += asked[i];
            sum += asked[i];
        }
        ck_assert_uint_eq(sum, MOST);
    }
    for (size_t i = 0; i < MANY; i++)
        ck_assert_uint_le(times[i], 1);
}
END_TEST

/* Of 300 servers, eight workers with 40 each ask each of them once, and 20 twice. */
START_TEST(each_server_is_asked_by_as_many_workers)
{
    unsigned times[MANY] = {0};

    servers_are();
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        bool asked[MANY] = {false};
        part_of(worker, 42, 300, asked);
        for (size_t i = 0; i < 300; i++)
            times[i] += asked[i];
    }
    for (size_t i = 0; i < 300; i++)
        ck_assert(times[i] == 1 || times[i] == 2);
}
END_TEST

START_TEST(a_server_that_comes_moves_each_part_by_one)
{
    servers_are();
    for (unsigned worker = 0; worker < 3; worker++) {
        bool before[MANY] = {false}, after[MANY] = {false};
        unsigned gone = 0;
        part_of(worker, 7, 300, before);
        part_of(worker, 7, 301, after);
        for (size_t i = 0; i < 300; i++)
            gone += before[i] && !after[i];
        ck_assert_uint_le(gone, 1);
    }
}
END_TEST

START_TEST(hosts_ask_different_parts)
{
    bool one[MANY] = {false}, other[MANY] = {false};
    unsigned both = 0;

    servers_are();
    part_of(0, 1, MANY, one);
    part_of(0, 2, MANY, other);
    for (size_t i = 0; i < MANY; i++)
        both += one[i] && other[i];
    ck_assert_uint_lt(both, MOST / 4);
}
END_TEST

START_TEST(a_part_goes_on_behind_servers_that_are_lost)
{
    bool before[MANY] = {false}, after[MANY] = {false};
    unsigned all = 0, living = 0;

    servers_are();
    part_of(3, 42, MANY, before);
    for (size_t i = 0; i < MANY; i++)
        lost[i] = before[i]; /* all that it has */
    part_of(3, 42, MANY, after);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert(after[i] || !before[i]); /* it learns when they are back */
        all += after[i];
        living += after[i] && !lost[i];
    }
    ck_assert_uint_eq(all, 2 * MOST);
    ck_assert_uint_eq(living, MOST);
    for (size_t i = 0; i < MANY; i++)
        lost[i] = i != 17;
    part_of(3, 42, MANY, after);
    ck_assert(after[17]);
}
END_TEST

UNIT_MAIN("subset", the_workers_of_a_host_ask_different_servers,
          each_server_is_asked_by_as_many_workers, a_server_that_comes_moves_each_part_by_one,
          hosts_ask_different_parts, a_part_goes_on_behind_servers_that_are_lost)
