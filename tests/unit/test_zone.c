/* What zones promise: see core/rpc/zone.h. Processes that share one are forked here, and killed in
 * the middle of changes. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shared_lock.h"
#include "must.h"
#include "rpc/zone.h"
#include "rpc/zone_cells.h"
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
    ck_assert(zone_known(fd));
    ck_assert_msg(zone_add("z", &(struct zone_memory){.fd = fd}, &error), "%s", error.text);
    zone = zone_find("z");
    ck_assert_ptr_nonnull(zone);
    ck_assert_ptr_null(zone_find("other"));
}

static void holds(const char *key, const char *value)
{
    char found[ZONE_DATA_MAX + 1] = "";
    long size = zone_get(zone, key, strlen(key), found, ZONE_DATA_MAX);

    if (value == NULL) {
        ck_assert_int_eq(size, -1);
        return;
    }
    ck_assert_int_eq(size, (long)strlen(value));
    ck_assert_str_eq(found, value);
}

static bool put(const char *key, const char *value, uint64_t ttl_ms)
{
    return zone_set(zone, key, strlen(key), value, strlen(value), ttl_ms);
}

START_TEST(values_are_found_by_their_keys)
{
    set_up(1 << 20);
    holds("a", NULL);
    ck_assert(put("a", "one", 0));
    ck_assert(put("b", "", 0));
    ck_assert(put("ab", "three", 0));
    holds("a", "one");
    holds("b", "");
    holds("ab", "three");
    ck_assert(put("a", "something longer", 0));
    holds("a", "something longer");
    zone_delete(zone, "a", 1);
    zone_delete(zone, "none", 4);
    holds("a", NULL);
    holds("ab", "three");
}
END_TEST

START_TEST(values_of_the_longest_life_live)
{
    set_up(1 << 20);
    ck_assert(put("a", "one", UINT64_MAX));
    ck_assert(put("b", "two", UINT64_MAX / 2));
    holds("a", "one");
    holds("b", "two");
}
END_TEST

START_TEST(keys_have_a_cells_room)
{
    char large[ZONE_DATA_MAX + 1];

    set_up(1 << 20);
    memset(large, 'x', sizeof(large));
    ck_assert(zone_set(zone, large, ZONE_DATA_MAX, "", 0, 0));
    ck_assert(zone_set(zone, large, ZONE_DATA_MAX, "x", 1, 0)); /* in parts */
    ck_assert_int_eq(zone_get(zone, large, ZONE_DATA_MAX, NULL, 0), 1);
    ck_assert(!zone_set(zone, large, ZONE_DATA_MAX + 1, "", 0, 0));
    ck_assert(!zone_set(zone, "", 0, "x", 1, 0));
    ck_assert_int_eq(zone_get(zone, large, ZONE_DATA_MAX + 1, NULL, 0), -1);
}
END_TEST

START_TEST(values_expire)
{
    set_up(1 << 20);
    ck_assert(put("soon", "x", 1));
    ck_assert(put("late", "x", 1000000));
    while (zone_get(zone, "soon", 4, NULL, 0) >= 0)
        ;
    holds("late", "x");
    ck_assert(put("soon", "again", 0));
    holds("soon", "again");
}
END_TEST

/* A value that is changed again and again lives no longer for that. */
START_TEST(values_expire_so_long_after_they_were_made)
{
    unsigned changes = 0;

    set_up(1 << 20);
    ck_assert(put("a", "x", PILLION_ONCE(50)));
    while (zone_get(zone, "a", 1, NULL, 0) >= 0) {
        changes += zone_update(zone, "a", 1, PILLION_ONCE(50), 1, NULL, NULL) &&
                   zone_get(zone, "a", 1, NULL, 0) >= 0;
        usleep(1000);
        ck_assert_uint_lt(changes, 10000);
    }
    ck_assert(put("a", "x", 50));
    ck_assert(put("a", "x", UINT64_MAX)); /* for ever, as it always was */
    usleep(60000);
    holds("a", "x");
}
END_TEST

struct visited {
    unsigned count, stop_at;
    char keys[1024];
};

static bool visit(pillion_bytes key, const void *value, size_t value_size, void *data)
{
    struct visited *visited = data;

    ck_assert(memcmp(value, "value", 5) == 0);
    ck_assert_uint_eq(value_size, 5);
    ck_assert(key.size == 3 && key.data[0] == 'k');
    visited->keys[atoi((char[]){key.data[1], key.data[2], '\0'})]++;
    zone_delete(zone, key.data, key.size); /* it may use the zone */
    return ++visited->count != visited->stop_at;
}

START_TEST(every_value_is_visited)
{
    struct visited visited = {.stop_at = 5};
    char key[8];

    set_up(1 << 20);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%02d", i);
        ck_assert(put(key, "value", 0));
    }
    ck_assert(put("gone", "x", 1));
    while (zone_get(zone, "gone", 4, NULL, 0) >= 0)
        ;
    zone_each(zone, visit, &visited);
    ck_assert_uint_eq(visited.count, 5);
    visited.stop_at = 0;
    zone_each(zone, visit, &visited);
    ck_assert_uint_eq(visited.count, 50);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(visited.keys[i], 1);
    zone_each(zone, visit, &visited);
    ck_assert_uint_eq(visited.count, 50);
}
END_TEST

static void count(void *value, bool fresh, void *data)
{
    uint64_t *counter = value;

    *(bool *)data = fresh;
    ck_assert_uint_eq((uintptr_t)value % 8, 0);
    ++*counter;
}

START_TEST(fresh_values_are_zero)
{
    bool fresh;
    uint64_t value;

    set_up(1 << 20);
    ck_assert(zone_update(zone, "n", 1, 0, sizeof(value), count, &fresh) && fresh);
    ck_assert(zone_update(zone, "n", 1, 0, sizeof(value), count, &fresh) && !fresh);
    ck_assert_int_eq(zone_get(zone, "n", 1, &value, sizeof(value)), sizeof(value));
    ck_assert_uint_eq(value, 2);
    ck_assert(zone_update(zone, "n", 1, 0, 16, count, &fresh) && fresh); /* another size */
    zone_get(zone, "n", 1, &value, sizeof(value));
    ck_assert_uint_eq(value, 1);
}
END_TEST

/* The smallest zone has 240 places; what was asked for lately stays. */
START_TEST(the_least_recently_used_cell_makes_room)
{
    char key[32];
    unsigned left = 0;

    set_up(64 << 10);
    put("kept", "value", 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        ck_assert(put(key, "x", 0));
        holds(key, "x");
        holds("kept", "value");
        if (i % 50 == 0)
            usleep(1000); /* ages are told by the millisecond */
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        left += zone_get(zone, key, strlen(key), NULL, 0) >= 0;
    }
    ck_assert_uint_ge(left, 200);
    ck_assert_uint_le(left, 239);
}
END_TEST

START_TEST(processes_count_together)
{
    enum { PROCESSES = 4, EACH = 20000 };
    pid_t pids[PROCESSES];
    uint64_t value;
    bool fresh;

    set_up(1 << 20);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            for (int i = 0; i < EACH; i++)
                zone_update(zone, "n", 1, 0, sizeof(value), count, &fresh);
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++)
        ck_assert_int_eq(waitpid(pids[p], NULL, 0), pids[p]);
    zone_get(zone, "n", 1, &value, sizeof(value));
    ck_assert_uint_eq(value, PROCESSES * EACH);
}
END_TEST

static void die(void *value, bool fresh, void *data)
{
    (void)fresh;
    (void)data;
    memset(value, 'y', 4);
    raise(SIGKILL);
}

START_TEST(a_process_that_dies_within_a_change_hurts_nobody)
{
    set_up(1 << 20);
    put("old", "xxxxxxxx", 0);
    put("other", "z", 0);
    for (int round = 0; round < 2; round++) {
        pid_t pid = fork();
        if (pid == 0)
            zone_update(zone, round == 0 ? "old" : "new", 3, 0, 8, die, NULL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    }
    holds("other", "z");
    holds("old", "yyyyxxxx"); /* as far as it had got */
    holds("new", NULL);
    ck_assert(put("new", "value", 0));
    holds("new", "value");
}
END_TEST

static void nest(void *value, bool fresh, void *data)
{
    (void)value;
    (void)fresh;
    *(bool *)data = zone_set(zone, "x", 1, "y", 1, 0);
}

START_TEST(a_change_within_a_change_is_refused)
{
    bool done = true;

    set_up(1 << 20);
    ck_assert(zone_update(zone, "a", 1, 0, 8, nest, &done));
    ck_assert(!done);
    ck_assert(put("b", "x", 0));
}
END_TEST

START_TEST(a_file_without_room_is_refused)
{
    struct error error;
    int empty = open("/dev/null", O_RDWR | O_CLOEXEC);

    ck_assert(!zone_known(empty));
    ck_assert(!zone_add("empty", &(struct zone_memory){.fd = empty}, &error));
    ck_assert_ptr_null(zone_find("empty"));
}
END_TEST

/* Whatever a module writes over a zone, it works on, also for workers that come later. */
START_TEST(a_zone_that_was_written_over_works_on)
{
    char page[256], key[16];
    struct error error;

    set_up(64 << 10);
    for (unsigned round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof(page); i++)
            page[i] = (char)(round < 256 ? round : random_below(256));
        off_t at = round % 4 == 0 ? 0 : (off_t)random_below(64 << 10) & ~(off_t)(sizeof(page) - 1);
        must(pwrite(fd, page, at == 0 ? 16 + random_below(256 - 16) : sizeof(page), at) > 0);
        snprintf(key, sizeof(key), "key %u", round);
        must(put(key, "value", 0));
        holds(key, "value");
        for (unsigned i = 0; i < 50; i++) {
            snprintf(key, sizeof(key), "key %u", i);
            zone_get(zone, key, strlen(key), page, sizeof(page));
            zone_delete(zone, key, strlen(key));
        }
    }
    ck_assert_msg(zone_add("again", &(struct zone_memory){.fd = fd}, &error), "%s", error.text);
    zone = zone_find("again");
    ck_assert(put("new", "value", 0));
    holds("new", "value");
}
END_TEST

/* A lock that names a process which does not have it, as a wild store leaves it. */
static bool is_nobody(int32_t pid)
{
    (void)pid;
    return false;
}

START_TEST(a_lock_of_nobody_is_taken)
{
    uint32_t words[] = {1,           0x41414141,          UINT32_MAX,
                        0x80000000u, (uint32_t)getppid(), (uint32_t)getppid() | 0x80000000u};
    struct shared_lock lock;

    shared_lock_owners(is_nobody);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        lock.word = words[i];
        shared_lock_take(&lock);
        ck_assert_uint_eq(lock.word & 0x7fffffff, (uint32_t)getpid());
        shared_lock_give(&lock);
        ck_assert_uint_eq(lock.word, 0);
    }
}
END_TEST

UNIT_MAIN("zone", values_of_the_longest_life_live, values_are_found_by_their_keys,
          keys_have_a_cells_room, values_expire, values_expire_so_long_after_they_were_made,
          every_value_is_visited, fresh_values_are_zero, the_least_recently_used_cell_makes_room,
          processes_count_together, a_process_that_dies_within_a_change_hurts_nobody,
          a_change_within_a_change_is_refused, a_file_without_room_is_refused,
          a_zone_that_was_written_over_works_on, a_lock_of_nobody_is_taken)
