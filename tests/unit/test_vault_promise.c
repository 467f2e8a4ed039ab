/* How a vault deals out its room: a real vault process, with this test as its master and its
 * workers. What a worker was promised is kept, and no room is promised twice. */
#include "unit.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/channel.h"
#include "sockets.h"
#include "vault/vault.h"

#define WORKERS  4u
#define WAIT_MS  20000
#define BEAT_FOR 100u /* this test's BEATs begin here */

/* A worker as the vault has told it. */
static struct {
    int channel;
    uint64_t sent, received, promised, told_room;
    uint64_t given_back, refused;
} workers[WORKERS];
static int master;
static pid_t vault_pid;
static uint64_t next_id = 1, beat = BEAT_FOR;

static void hear(uint32_t which)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    while (channel_receive(workers[which].channel, &message, fds, &fd_count) == CHANNEL_MESSAGE) {
        if (message.type == MESSAGE_PROMISE && message.serial == workers[which].given_back)
            workers[which].promised = message.number;
        if (message.type == MESSAGE_REFUSED)
            workers[which].refused += message.count;
        if (message.type == MESSAGE_HELD) {
            workers[which].received = message.number;
            workers[which].told_room = message.ids[0];
        }
    }
}

/* Waits until the vault has ended a batch that began after all that it was sent before, and hears
 * what it has said by then. */
static void settle(void)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    for (int round = 0; round < 3; round++) { /* a batch may have begun before the last message,
                                                 and ALIVE comes before the batch's promises */
        struct pollfd ready = {.fd = master, .events = POLLIN};
        bool answered = false;
        channel_tell(master, MESSAGE_BEAT, ++beat, 0);
        while (!answered) {
            ck_assert_msg(poll(&ready, 1, WAIT_MS) == 1, "the vault does not answer");
            while (channel_receive(master, &message, fds, &fd_count) == CHANNEL_MESSAGE)
                answered |= message.type == MESSAGE_ALIVE && message.serial == beat;
        }
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        hear(i);
}

static void start(uint32_t limit)
{
    static struct identity identity;
    struct error error;
    int pair[2];

    ck_assert(channel_pair(pair, &error));
    struct vault_start vault = {
        .channel = pair[1], .identity = &identity, .limit = limit, .master = getpid()};
    vault_pid = fork();
    ck_assert_int_ge(vault_pid, 0);
    if (vault_pid == 0)
        vault_main(&vault);
    close(pair[1]);
    master = pair[0];
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct message message = {.type = MESSAGE_WORKER, .serial = i + 1};
        ck_assert(channel_pair(pair, &error));
        ck_assert(channel_send(master, &message, false, &pair[0], 1));
        close(pair[0]);
        workers[i].channel = pair[1];
    }
    settle();
}

static void stop(void)
{
    close(master);
    ck_assert_int_eq(waitpid(vault_pid, NULL, 0), vault_pid);
}

static uint64_t room_of(uint32_t which)
{
    return workers[which].promised > workers[which].sent
               ? workers[which].promised - workers[which].sent
               : 0;
}

static uint64_t room_of_all(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < WORKERS; i++)
        sum += room_of(i);
    return sum;
}

static void send_one(uint32_t which)
{
    struct message message = {.type = MESSAGE_HOLD, .count = 1};
    int fds[2];

    unix_pair(fds);
    message.ids[0] = next_id++;
    ck_assert(channel_send(workers[which].channel, &message, true, fds, 1));
    workers[which].sent++;
    close(fds[0]);
    close(fds[1]);
}

static void drop(uint64_t id)
{
    struct message message = {.type = MESSAGE_DROP, .count = 1, .ids = {id}};
    ck_assert(channel_send(workers[0].channel, &message, true, NULL, 0));
}

/* All workers accept as much as they were promised, at once; until nothing is promised. */
static void fill(void)
{
    while (room_of_all() > 0) {
        for (uint32_t i = 0; i < WORKERS; i++) {
            for (uint64_t count = room_of(i); count > 0; count--)
                send_one(i);
        }
        settle();
    }
}

static void assert_none_refused(void)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        ck_assert_uint_eq(workers[i].refused, 0);
        ck_assert_uint_eq(workers[i].received, workers[i].sent);
    }
}

START_TEST(workers_that_use_all_they_are_promised_fill_the_vault_and_are_never_refused)
{
    start(50);
    ck_assert_uint_gt(room_of(0), 0);
    ck_assert_uint_le(room_of_all(), 50);
    fill();
    ck_assert_uint_eq(next_id - 1, 50);
    assert_none_refused();
    for (uint32_t i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(workers[i].told_room, 0);
    stop();
}
END_TEST

START_TEST(the_last_room_is_one_workers)
{
    start(20);
    fill();
    for (uint64_t id = 1; id <= 20; id++) { /* the room that a closed connection leaves, too */
        uint64_t told = 0;
        drop(id);
        settle();
        for (uint32_t i = 0; i < WORKERS; i++)
            told += workers[i].told_room;
        ck_assert_uint_eq(told, 1); /* workers of earlier versions go by that */
        ck_assert_uint_eq(room_of_all(), 1);
        fill();
    }
    assert_none_refused();
    stop();
}
END_TEST

START_TEST(room_that_is_given_back_goes_to_other_workers)
{
    start(40);
    for (uint32_t i = 1; i < WORKERS; i++) {
        channel_tell(workers[i].channel, MESSAGE_PROMISE, 0, workers[i].sent);
        workers[i].promised = workers[i].sent;
        workers[i].given_back++;
    }
    settle();
    ck_assert_uint_eq(room_of(1), 0);
    fill();
    ck_assert_uint_eq(workers[0].sent, 40);
    drop(1);
    settle();
    ck_assert_uint_eq(room_of(0), 1); /* and what they do not want is not promised to them */
    channel_tell(workers[0].channel, MESSAGE_PROMISE, 0, workers[0].sent);
    workers[0].promised = workers[0].sent;
    workers[0].given_back++;
    channel_tell(workers[2].channel, MESSAGE_PROMISE, 1, workers[2].sent);
    workers[2].given_back++;
    settle();
    ck_assert_uint_eq(room_of(2), 1);
    assert_none_refused();
    stop();
}
END_TEST

START_TEST(promises_to_a_worker_end_with_it)
{
    start(30);
    close(workers[3].channel);
    channel_tell(master, MESSAGE_DEAD, 3, 0);
    workers[3].promised = workers[2].promised = 0;
    settle();
    fill();
    ck_assert_uint_eq(workers[0].sent + workers[1].sent, 30);
    ck_assert_uint_eq(workers[0].refused + workers[1].refused, 0);
    stop();
}
END_TEST

UNIT_MAIN("vault_promise",
          workers_that_use_all_they_are_promised_fill_the_vault_and_are_never_refused,
          the_last_room_is_one_workers, room_that_is_given_back_goes_to_other_workers,
          promises_to_a_worker_end_with_it)
