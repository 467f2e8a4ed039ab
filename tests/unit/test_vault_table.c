/* What the vault's table promises: see core/vault/vault_table.h. It is compared with a plain
 * array, and the descriptors are real ones, so that what is forgotten can be seen to be closed. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"
#include "sockets.h"
#include "vault/vault_table.h"

#define IDS     600u
#define WORKERS 5u

static struct vault_table table;
static struct {
    uint64_t id;
    int fd; /* -1: not in the table */
    uint32_t owner;
} shadow[IDS];
static uint32_t shadow_count;
static int any_fd;

static void start(bool clustered)
{
    struct rlimit files = {4096, 4096};

    setrlimit(RLIMIT_NOFILE, &files);
    any_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(any_fd, 0);
    for (uint32_t i = 0; i < IDS; i++) {
        shadow[i].fd = -1;
        shadow[i].id = clustered ? (uint64_t)(1 + i % WORKERS) << 32 | (1 + i)
                                 : (uint64_t)random_below(1u << 31) << 24 | (1 + i);
    }
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void put(uint32_t i)
{
    int fd = dup(any_fd);
    int old = shadow[i].fd;

    must(fd >= 0);
    shadow_count += old < 0;
    shadow[i].owner = random_below(WORKERS);
    vault_table_put(&table, shadow[i].id, fd, shadow[i].owner);
    must(old < 0 || !is_open(old));
    shadow[i].fd = fd;
}

static void drop(uint32_t i)
{
    bool there = shadow[i].fd >= 0;

    must(vault_table_drop(&table, shadow[i].id) == there);
    must(!there || !is_open(shadow[i].fd));
    shadow_count -= there;
    shadow[i].fd = -1;
}

static void retire(uint32_t owner)
{
    uint32_t expected = 0;

    for (uint32_t i = 0; i < IDS; i++)
        expected += shadow[i].fd >= 0 && shadow[i].owner == owner;
    must(vault_table_retire(&table, owner, true) == expected);
    for (uint32_t i = 0; i < IDS; i++) {
        if (shadow[i].fd < 0 || shadow[i].owner != owner)
            continue;
        must(!is_open(shadow[i].fd));
        shadow[i].fd = -1;
        shadow_count--;
    }
}

static void compare(void)
{
    must(table.count == shadow_count);
    for (uint32_t i = 0; i < IDS; i++) {
        const struct vault_entry *entry = vault_table_find(&table, shadow[i].id);
        must((entry != NULL) == (shadow[i].fd >= 0));
        if (entry == NULL)
            continue;
        must(entry->id == shadow[i].id && entry->fd == shadow[i].fd);
        must(entry->owner == shadow[i].owner && is_open(entry->fd));
    }
}

static void stir(bool clustered)
{
    start(clustered);
    for (unsigned round = 0; round < 300; round++) {
        /* Fill and empty in turns, so that the table is nearly full and nearly empty. */
        bool filling = round / 20 % 2 == 0;
        for (unsigned i = 0; i < 60; i++) {
            uint32_t at = random_below(IDS);
            if (random_below(10) < (filling ? 8u : 2u))
                put(at);
            else
                drop(at);
        }
        if (round % 25 == 24)
            retire(random_below(WORKERS));
        compare();
    }
    for (uint32_t owner = 0; owner < WORKERS; owner++)
        retire(owner);
    compare();
    ck_assert_uint_eq(table.count, 0);
}

START_TEST(table_agrees_with_an_array_after_random_changes)
{
    stir(false);
}
END_TEST

START_TEST(table_agrees_with_an_array_for_the_ids_of_workers)
{
    stir(true);
}
END_TEST

/* Whatever is dropped, everything else is still found: each entry of a full table once. */
START_TEST(table_finds_the_others_whichever_is_dropped)
{
    start(true);
    for (uint32_t i = 0; i < 96; i++)
        put(i);
    for (uint32_t i = 0; i < 96; i++) {
        drop(i);
        compare();
        put(i);
    }
    for (uint32_t i = 0; i < 96; i++)
        drop((i * 37) % 96);
    compare();
}
END_TEST

START_TEST(table_that_is_empty_has_nothing)
{
    ck_assert_ptr_null(vault_table_find(&table, 1));
    ck_assert(!vault_table_drop(&table, 1));
    ck_assert_uint_eq(vault_table_retire(&table, 1, true), 0);
}
END_TEST

START_TEST(table_drop_leaves_the_connection_to_others)
{
    int fds[2];

    unix_pair(fds);
    vault_table_put(&table, 1, dup(fds[0]), 1);
    ck_assert(vault_table_drop(&table, 1));
    struct pollfd other = {.fd = fds[1], .events = POLLIN};
    ck_assert_int_eq(poll(&other, 1, 0), 0);
    ck_assert_int_eq(send(fds[1], "x", 1, MSG_NOSIGNAL), 1);
}
END_TEST

START_TEST(table_retire_ends_the_connection_for_everybody)
{
    int fds[2], kept[2];
    char byte;

    unix_pair(fds);
    unix_pair(kept);
    vault_table_put(&table, 1, dup(fds[0]), 7);
    vault_table_put(&table, 2, dup(kept[0]), 8);
    ck_assert_uint_eq(vault_table_retire(&table, 7, true), 1);
    ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0); /* though fds[0] is still open */
    ck_assert_int_eq(recv(kept[1], &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_ptr_nonnull(vault_table_find(&table, 2));
}
END_TEST

START_TEST(table_retire_leaves_the_connection_to_others_when_told_so)
{
    int fds[2];
    char byte;

    unix_pair(fds);
    vault_table_put(&table, 1, dup(fds[0]), 7);
    ck_assert_uint_eq(vault_table_retire(&table, 7, false), 1);
    ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
    close(fds[0]);
    ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0);
}
END_TEST

UNIT_MAIN("vault_table", table_agrees_with_an_array_after_random_changes,
          table_agrees_with_an_array_for_the_ids_of_workers,
          table_finds_the_others_whichever_is_dropped, table_that_is_empty_has_nothing,
          table_drop_leaves_the_connection_to_others,
          table_retire_ends_the_connection_for_everybody,
          table_retire_leaves_the_connection_to_others_when_told_so)
