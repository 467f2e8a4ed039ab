/* What zones promise of values that fit no cell: see core/rpc/zone_large.h. Processes that share a
 * zone are forked here, and killed in the middle of changes. */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "must.h"
#include "rpc/zone.h"
#include "rpc/zone_cells.h"
#include "rpc/zone_large.h"
#include "rpc/zone_memory.h"

static int fd;
static pillion_zone *zone;

static void set_up(uint64_t size)
{
    struct error error;

    ck_assert(
        log_open(&(struct log_target){"/dev/null", LOG_ERROR_LEVEL, LOG_FORMAT_TEXT}, &error));
    fd = zone_create(size, &error);
    ck_assert_msg(fd >= 0, "%s", error.text);
    ck_assert_msg(zone_add("z", &(struct zone_memory){.fd = fd}, &error), "%s", error.text);
    zone = zone_find("z");
}

static off_t place_of(unsigned i)
{
    return 4096 + (off_t)i * 256;
}

static bool read_cell(unsigned i, struct cell *cell)
{
    return pread(fd, cell, sizeof(*cell), place_of(i)) == sizeof(*cell);
}

/* Cells in use, all over the zone. */
static unsigned used(void)
{
    struct cell cell;
    unsigned count = 0;

    for (unsigned i = 0; read_cell(i, &cell); i++)
        count += cell.hash != 0;
    return count;
}

static char *text_of(size_t size, unsigned seed)
{
    char *text = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + (i * 7 + i / 251 + seed) % 26);
    return text;
}

static void put(const char *key, size_t size, unsigned seed)
{
    char *text = text_of(size, seed);

    ck_assert(zone_set(zone, key, strlen(key), text, size, 0));
    free(text);
}

static void holds(const char *key, size_t size, unsigned seed)
{
    char *text = text_of(size, seed), *found = malloc(size + 1);

    found[size] = '!';
    ck_assert_int_eq(zone_get(zone, key, strlen(key), found, size + 1), (long)size);
    ck_assert(memcmp(text, found, size) == 0);
    ck_assert(found[size] == '!');
    free(text);
    free(found);
}

START_TEST(values_of_any_size_are_kept)
{
    static const size_t sizes[] = {0, 1, 213, 214, 215, 216, 217, 439, 440, 441, 1000, 4096, 65536};
    char part[100], *large;

    set_up(1 << 20);
    const size_t most = large_max(zone);
    ck_assert_uint_ge(most, ((1 << 20) - 4096) / 8);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            put("key", sizes[i], i);
            holds("key", sizes[i], i);
        }
        put("key", most, 1);
        holds("key", most, 1);
    }
    large = text_of(most + 1, 2);
    ck_assert(!zone_set(zone, "key", 3, large, most + 1, 0));
    ck_assert(!zone_update(zone, "key", 3, 0, most + 1, NULL, NULL));
    ck_assert(!zone_set(zone, "key", 3, large, SIZE_MAX, 0));
    holds("key", most, 1);
    ck_assert_int_eq(zone_get(zone, "key", 3, NULL, 0), (long)most);
    ck_assert_int_eq(zone_get(zone, "key", 3, part, sizeof(part)), (long)most);
    char *text = text_of(most, 1);
    ck_assert(memcmp(part, text, sizeof(part)) == 0);
    free(text);
    ck_assert(zone_set(zone, large, ZONE_DATA_MAX, large, 9999, 0)); /* the longest key */
    ck_assert_int_eq(zone_get(zone, large, ZONE_DATA_MAX, NULL, 0), 9999);
    ck_assert(!zone_set(zone, large, ZONE_DATA_MAX + 1, large, 9999, 0));
    free(large);
}
END_TEST

/* All cells of a value are free again when it is deleted, or has become another. */
START_TEST(replaced_values_free_their_cells)
{
    set_up(1 << 20);
    put("other", 5000, 9);
    const unsigned before = used();
    for (unsigned i = 0; i < 50; i++) {
        put("key", 20000 + i * 100, i);
        put("key", 20000 + i * 100, i + 1);
        put("key", 300, i);
        ck_assert_uint_eq(used(), before + 3);
        put("key", 10, i);
        ck_assert_uint_eq(used(), before + 1);
    }
    put("key", 30000, 1);
    zone_delete(zone, "key", 3);
    ck_assert_uint_eq(used(), before);
    ck_assert_int_eq(zone_get(zone, "key", 3, NULL, 0), -1);
    holds("other", 5000, 9);
}
END_TEST

/* Several processes run this: none of them may speak to check. */
static void add_one(void *value, bool fresh, void *data)
{
    uint64_t *words = value;

    *(bool *)data = fresh;
    must((uintptr_t)value % 8 == 0);
    for (size_t i = 0; i < 1000; i++)
        must(words[i] == words[0] && (!fresh || words[i] == 0));
    for (size_t i = 0; i < 1000; i++)
        words[i]++;
}

START_TEST(large_values_are_changed_as_one)
{
    enum { PROCESSES = 3, EACH = 200 };
    uint64_t words[1000];
    pid_t pids[PROCESSES];
    bool fresh;

    set_up(1 << 20);
    ck_assert(zone_update(zone, "k", 1, 0, sizeof(words), add_one, &fresh) && fresh);
    ck_assert(zone_update(zone, "k", 1, 0, sizeof(words), add_one, &fresh) && !fresh);
    ck_assert(zone_update(zone, "k", 1, 0, sizeof(words) + 8, add_one, &fresh) && fresh);
    ck_assert(zone_update(zone, "k", 1, 0, sizeof(words), add_one, &fresh) && fresh);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        for (int i = 0; pids[p] == 0 && i < EACH; i++)
            zone_update(zone, "k", 1, 0, sizeof(words), add_one, &fresh);
        if (pids[p] == 0)
            _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++)
        ck_assert_int_eq(waitpid(pids[p], NULL, 0), pids[p]);
    ck_assert_int_eq(zone_get(zone, "k", 1, words, sizeof(words)), sizeof(words));
    ck_assert_uint_eq(words[0], 1 + PROCESSES * EACH);
    ck_assert_uint_eq(words[999], 1 + PROCESSES * EACH);
}
END_TEST

START_TEST(large_values_expire)
{
    char *text = text_of(5000, 1);
    unsigned sets = 0;

    set_up(1 << 20);
    ck_assert(zone_set(zone, "a", 1, text, 5000, 1));
    ck_assert(zone_set(zone, "b", 1, text, 5000, 1000000));
    while (zone_get(zone, "a", 1, NULL, 0) >= 0)
        usleep(1000);
    holds("b", 5000, 1);
    /* From when it was made, however large it becomes. */
    ck_assert(zone_set(zone, "a", 1, text, 100, PILLION_ONCE(100)));
    for (; zone_get(zone, "a", 1, NULL, 0) >= 0 && sets < 10000; sets++) {
        if (sets < 5)
            ck_assert(zone_set(zone, "a", 1, text, 300 + sets * 800, PILLION_ONCE(100)));
        usleep(1000);
    }
    ck_assert_uint_lt(sets, 10000);
    free(text);
}
END_TEST

static bool visit(pillion_bytes key, const void *value, size_t value_size, void *data)
{
    char name[8] = "";

    memcpy(name, key.data, key.size);
    unsigned i = (unsigned)atoi(name + 1);
    char *text = text_of(i * 500, i);
    ck_assert_uint_eq(value_size, i * 500);
    ck_assert(memcmp(text, value, value_size) == 0);
    free(text);
    ((unsigned *)data)[i]++;
    zone_delete(zone, key.data, key.size); /* it may use the zone */
    return true;
}

START_TEST(every_value_is_visited)
{
    unsigned seen[30] = {0};
    char key[8];

    set_up(1 << 20);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put(key, i * 500, i);
    }
    zone_each(zone, visit, seen);
    for (unsigned i = 0; i < 30; i++)
        ck_assert_uint_eq(seen[i], 1);
    ck_assert_uint_eq(used(), 0);
}
END_TEST

/* The smallest zone holds eight or nine of the largest values. */
START_TEST(the_least_recently_used_values_make_room)
{
    unsigned left = 0;
    char key[16];

    set_up(64 << 10);
    const size_t size = large_max(zone) / 2;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        put(key, size, i);
        put("small", 20, i);
        holds(key, size, i);
        holds("small", 20, i);
        if (i > 0) {
            snprintf(key, sizeof(key), "key %u", i - 1);
            holds(key, size, i - 1);
        }
        usleep(2000); /* ages are told by the millisecond */
    }
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        left += zone_get(zone, key, strlen(key), NULL, 0) >= 0;
    }
    ck_assert_uint_ge(left, 4);
    ck_assert_uint_le(left, 16);
}
END_TEST

/* A value of one letter, of a size that the letter tells. */
static size_t size_of_letter(unsigned letter)
{
    return 500 + letter * 60;
}

static void put_letter(unsigned letter)
{
    char text[500 + 26 * 60];

    memset(text, (int)('a' + letter), sizeof(text));
    zone_set(zone, "key", 3, text, size_of_letter(letter), 0);
}

static void expect_one_letter(void)
{
    char text[500 + 26 * 60];
    long size = zone_get(zone, "key", 3, text, sizeof(text));

    ck_assert_int_gt(size, 0);
    ck_assert_int_eq(size, (long)size_of_letter((unsigned)text[0] - 'a'));
    for (long i = 0; i < size; i++)
        must(text[i] == text[0]);
}

/* A process that is killed runs this, which must not be speaking to check then. */
static void to_next_letter(void *value, bool fresh, void *data)
{
    (void)data;
    must(!fresh);
    unsigned letter = ((unsigned)*(char *)value - 'a' + 1) % 26;
    memset(value, (int)('a' + letter), size_of_letter(0));
}

/* Kills `work` again and again, and looks at the value each time. */
static void kill_in_the_middle(void (*work)(void), void (*check)(void))
{
    for (unsigned round = 0; round < 200; round++) {
        pid_t pid = fork();
        while (pid == 0)
            work();
        usleep((useconds_t)(200 + random_below(3000)));
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        check();
    }
}

static void put_letters(void)
{
    for (unsigned letter = 0; letter < 26; letter++)
        put_letter(letter);
}

/* In the smallest zone, where what dead processes have left is most in the way. */
START_TEST(a_process_that_is_killed_leaves_the_old_or_the_new_value)
{
    set_up(64 << 10);
    put_letter(0);
    kill_in_the_middle(put_letters, expect_one_letter);
}
END_TEST

static void change(void)
{
    zone_update(zone, "key", 3, 0, size_of_letter(0), to_next_letter, NULL);
}

static void expect_pure(void)
{
    char text[500];

    ck_assert_int_eq(zone_get(zone, "key", 3, text, sizeof(text)), sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        must(text[i] == text[0]);
}

START_TEST(a_process_that_is_killed_in_a_change_has_changed_all_or_nothing)
{
    set_up(64 << 10);
    put_letter(0);
    kill_in_the_middle(change, expect_pure);
}
END_TEST

static void die(void *value, bool fresh, void *data)
{
    (void)fresh;
    (void)data;
    memset(value, 'y', 500);
    raise(SIGKILL);
}

START_TEST(a_process_that_dies_within_a_large_change_has_changed_nothing)
{
    set_up(1 << 20);
    put_letter(3);
    pid_t pid = fork();
    if (pid == 0)
        zone_update(zone, "key", 3, 0, size_of_letter(3), die, NULL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    expect_one_letter();
    put_letter(4);
    expect_one_letter();
}
END_TEST

START_TEST(readers_see_one_value_while_others_write)
{
    pid_t pids[3];

    set_up(1 << 20);
    put_letter(0);
    for (unsigned p = 0; p < 3; p++) {
        pids[p] = fork();
        for (unsigned i = 0; pids[p] == 0; i++)
            put_letter((i * 5 + p) % 26);
    }
    for (unsigned i = 0; i < 3000; i++)
        expect_one_letter();
    for (unsigned p = 0; p < 3; p++) {
        kill(pids[p], SIGKILL);
        waitpid(pids[p], NULL, 0);
    }
    expect_one_letter();
}
END_TEST

/* What a module writes over one value costs that value at most. */
START_TEST(a_value_that_has_lost_a_part_is_gone)
{
    struct cell cell;

    set_up(1 << 20);
    put("other", 7777, 1);
    for (unsigned lost = 0; lost < 45; lost++) {
        put("key", 10000, lost);
        const unsigned before = used();
        unsigned part = 0;
        for (unsigned i = 0; read_cell(i, &cell); i++) {
            if (cell.hash == 0 || cell.key_size != 0 || part++ != lost)
                continue;
            cell.hash++;
            must(pwrite(fd, &cell, sizeof(cell), place_of(i)) == sizeof(cell));
        }
        bool gone = zone_get(zone, "key", 3, NULL, 0) < 0;
        ck_assert(gone == (zone_get(zone, "other", 5, NULL, 0) >= 0));
        ck_assert_uint_lt(used(), before);
        if (!gone)
            put("other", 7777, 1);
        put("key", 10000, lost);
        holds("key", 10000, lost);
        holds("other", 7777, 1);
    }
}
END_TEST

static bool look(pillion_bytes key, const void *value, size_t value_size, void *data)
{
    ck_assert_uint_le(value_size, large_max(zone));
    *(unsigned *)data += (unsigned)key.size + (value_size > 0 ? *(const unsigned char *)value : 0);
    return true;
}

START_TEST(a_zone_that_was_written_over_works_on)
{
    char noise[300], found[5000], key[16];
    unsigned sum = 0;

    set_up(64 << 10);
    for (unsigned round = 0; round < 4000; round++) {
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)(round % 3 == 0 ? 0xff : random_below(256));
        size_t size = round % 2 == 0 ? 8 : sizeof(noise);
        must(pwrite(fd, noise, size, (off_t)(4096 + random_below((60 << 10) - 300))) > 0);
        snprintf(key, sizeof(key), "key %u", round % 40);
        put(key, 100 + random_below(4000), round);
        ck_assert_int_ge(zone_get(zone, key, strlen(key), NULL, 0), 100);
        for (unsigned i = 0; i < 40; i++) {
            snprintf(key, sizeof(key), "key %u", i);
            zone_get(zone, key, strlen(key), found, sizeof(found));
        }
        if (round % 10 == 0)
            zone_delete(zone, key, strlen(key));
        if (round % 50 == 0)
            zone_each(zone, look, &sum);
    }
    ck_assert_uint_gt(sum, 0);
}
END_TEST

UNIT_MAIN("zone_large", values_of_any_size_are_kept, replaced_values_free_their_cells,
          large_values_are_changed_as_one, large_values_expire, every_value_is_visited,
          the_least_recently_used_values_make_room,
          a_process_that_is_killed_leaves_the_old_or_the_new_value,
          a_process_that_is_killed_in_a_change_has_changed_all_or_nothing,
          a_process_that_dies_within_a_large_change_has_changed_nothing,
          readers_see_one_value_while_others_write, a_value_that_has_lost_a_part_is_gone,
          a_zone_that_was_written_over_works_on)
