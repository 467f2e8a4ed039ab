/* A vault as its master and the workers see it: a process at the other end of channels. See
 * core/vault/vault.h. */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/channel.h"
#include "vault/vault.h"

static pid_t vault;
static int master; /* the master's end of the channel */

static void start(void)
{
    static const struct identity nobody_else = {.change = false};
    struct vault_start start = {.identity = &nobody_else, .limit = 100, .master = getpid()};
    struct error error;
    int ends[2];

    ck_assert(channel_pair(ends, &error));
    start.channel = ends[1];
    master = ends[0];
    vault = fork();
    ck_assert_int_ge(vault, 0);
    if (vault == 0)
        vault_main(&start);
    close(ends[1]);
}

/* A vault ends in order when its master is gone. */
static void stop(void)
{
    int status;

    close(master);
    ck_assert_int_eq(waitpid(vault, &status, 0), vault);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

static int add_worker(uint64_t serial)
{
    struct message message = {.type = MESSAGE_WORKER, .serial = serial};
    struct error error;
    int ends[2];

    ck_assert(channel_pair(ends, &error));
    ck_assert(channel_send(master, &message, false, &ends[1], 1));
    close(ends[1]);
    return ends[0];
}

/* Waits for a message of the type, and passes over others. Returns the first descriptor with it, or
 * -1. */
static int await(int channel, enum message_type type, struct message *message)
{
    int fds[CHANNEL_FDS_MAX];
    uint32_t count = 0;

    do {
        struct pollfd ready = {.fd = channel, .events = POLLIN};
        ck_assert_int_eq(poll(&ready, 1, 60000), 1);
        ck_assert_int_eq(channel_receive(channel, message, fds, &count), CHANNEL_MESSAGE);
    } while (message->type != (uint32_t)type);
    return count == 0 ? -1 : fds[0];
}

static void hold(int worker, uint64_t id)
{
    struct message message = {.type = MESSAGE_HOLD, .count = 1, .ids = {id}};
    int pipes[2];

    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert(channel_send(worker, &message, true, pipes, 1));
    close(pipes[0]);
    close(pipes[1]);
    do
        await(worker, MESSAGE_HELD, &message);
    while (message.number == 0);
}

static void take(int worker, uint64_t former, uint64_t id)
{
    struct message message = {.type = MESSAGE_TAKE, .serial = former, .count = 1, .ids = {id}};

    ck_assert(channel_send(worker, &message, true, NULL, 0));
}

static void pause_vault(void)
{
    int status;

    ck_assert_int_eq(kill(vault, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(vault, &status, WUNTRACED), vault);
    ck_assert(WIFSTOPPED(status));
}

static void expect_alive(void)
{
    struct message message;

    ck_assert(channel_tell(master, MESSAGE_BEAT, 5, 0));
    kill(vault, SIGCONT);
    await(master, MESSAGE_ALIVE, &message);
    ck_assert_uint_eq(message.serial, 5);
}

/* The vault reads of the asker's death while it looks for the sockets that were asked for. */
START_TEST(a_worker_may_die_while_it_is_being_answered)
{
    struct message message;

    start();
    int owner = add_worker(1), asker = add_worker(3);
    hold(owner, 7);
    await(asker, MESSAGE_HELD, &message);
    pause_vault();
    take(asker, 2, 7); /* whose owner lives, as far as the vault knows */
    channel_tell(master, MESSAGE_DEAD, 3, 0);
    channel_tell(master, MESSAGE_RETIRE, 3, 0);
    expect_alive();

    /* Nothing is lost by that: the next one to ask gets the socket. */
    int next = add_worker(4);
    await(next, MESSAGE_HELD, &message);
    channel_tell(master, MESSAGE_DEAD, 1, 0);
    take(next, 1, 7);
    int fd = await(next, MESSAGE_GIVE, &message);
    ck_assert_int_ge(fd, 0);
    ck_assert(message.count == 1 && message.ids[0] == 7 && message.number == 0);
    stop();
}
END_TEST

/* Of two sockets the first one's owner is dead, and the news that it is done with comes while the
 * vault looks at the second one's. */
START_TEST(what_the_news_has_closed_is_not_given)
{
    struct message message;

    start();
    int first = add_worker(1), second = add_worker(2), asker = add_worker(3);
    hold(first, 7);
    hold(second, 8);
    await(asker, MESSAGE_HELD, &message);
    channel_tell(master, MESSAGE_DEAD, 1, 0);
    expect_alive();
    pause_vault();
    message = (struct message){.type = MESSAGE_TAKE, .serial = 1, .count = 2, .ids = {7, 8}};
    ck_assert(channel_send(asker, &message, true, NULL, 0));
    channel_tell(master, MESSAGE_RETIRE, 1, 0);
    channel_tell(master, MESSAGE_DEAD, 2, 0);
    expect_alive();
    int fd = await(asker, MESSAGE_GIVE, &message);
    ck_assert_int_ge(fd, 0);
    ck_assert(message.count == 1 && message.ids[0] == 8 && message.number == 1);
    stop();
}
END_TEST

/* A worker that was taken over can neither drop nor replace what others have. */
START_TEST(sockets_of_a_living_worker_are_its_own)
{
    struct message message = {.type = MESSAGE_HOLD, .count = 1, .ids = {7}};
    int pipes[2];
    char byte;

    start();
    int owner = add_worker(1), hostile = add_worker(2), asker = add_worker(3);
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert(channel_send(owner, &message, true, pipes, 1));
    do
        await(owner, MESSAGE_HELD, &message);
    while (message.number == 0);
    message = (struct message){.type = MESSAGE_DROP, .count = 1, .ids = {7}};
    ck_assert(channel_send(hostile, &message, true, NULL, 0));
    hold(hostile, 7);
    channel_tell(master, MESSAGE_DEAD, 1, 0);
    take(asker, 1, 7);
    int fd = await(asker, MESSAGE_GIVE, &message);
    ck_assert(message.count == 1 && message.ids[0] == 7);
    ck_assert_int_eq(write(pipes[1], "x", 1), 1);
    ck_assert_int_eq(read(fd, &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    stop();
}
END_TEST

UNIT_MAIN("vault", sockets_of_a_living_worker_are_its_own,
          a_worker_may_die_while_it_is_being_answered, what_the_news_has_closed_is_not_given)
