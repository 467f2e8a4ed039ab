/* What messages between processes promise: see core/process/channel.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/channel.h"

static int ends[2];
static struct message message;
static int fds[CHANNEL_FDS_MAX];
static uint32_t fd_count;

static void open_pair(void)
{
    struct error error;
    ck_assert_msg(channel_pair(ends, &error), "%s", error.text);
    memset(&message, 0xee, sizeof(message)); /* nothing may be left of what was there before */
}

static void receive(void)
{
    fd_count = 999;
    ck_assert_int_eq(channel_receive(ends[1], &message, fds, &fd_count), CHANNEL_MESSAGE);
}

static void nothing_more(void)
{
    ck_assert_int_eq(channel_receive(ends[1], &message, fds, &fd_count), CHANNEL_EMPTY);
}

static int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 1200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(channel_carries_type_and_numbers)
{
    open_pair();
    ck_assert_int_ne(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_ne(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    for (uint32_t type = 1; type < MESSAGE_TYPES; type++)
        ck_assert(channel_tell(ends[0], type, UINT64_MAX - type, 1ull << 40 | type));
    for (uint32_t type = 1; type < MESSAGE_TYPES; type++) {
        receive();
        ck_assert_uint_eq(message.type, type);
        ck_assert_uint_eq(message.serial, UINT64_MAX - type);
        ck_assert_uint_eq(message.number, 1ull << 40 | type);
        ck_assert_uint_eq(message.count, 0);
        ck_assert_str_eq(message.text, "");
        ck_assert_uint_eq(fd_count, 0);
    }
    nothing_more();
}
END_TEST

START_TEST(channel_carries_text_and_cuts_it)
{
    static char text[3 * CHANNEL_TEXT_MAX];

    open_pair();
    memset(text, 'x', sizeof(text) - 1);
    channel_say(ends[0], MESSAGE_FAILED, text);
    channel_say(ends[0], MESSAGE_STAGE, "ping.so\nloading");
    channel_say(ends[0], MESSAGE_READY, "");
    receive();
    ck_assert_uint_eq(strlen(message.text), CHANNEL_TEXT_MAX - 1);
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_STAGE);
    ck_assert_str_eq(message.text, "ping.so\nloading");
    receive();
    ck_assert_str_eq(message.text, "");
}
END_TEST

START_TEST(channel_carries_ids_and_the_rule)
{
    static const uint32_t counts[] = {0, 1, 100, CHANNEL_FDS_MAX};
    struct message sent = {.type = MESSAGE_GIVE, .number = 3, .adopt = {1, 2, 3, 4, 5}};

    open_pair();
    for (uint32_t i = 0; i < CHANNEL_FDS_MAX; i++)
        sent.ids[i] = (uint64_t)i << 33 | 1;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        sent.count = counts[i];
        ck_assert(channel_send(ends[0], &sent, true, NULL, 0));
        receive();
        ck_assert_uint_eq(message.count, counts[i]);
        ck_assert_mem_eq(message.ids, sent.ids, counts[i] * sizeof(uint64_t));
        ck_assert_mem_eq(&message.adopt, &sent.adopt, sizeof(sent.adopt));
    }
}
END_TEST

/* ---- Descriptors ---- */

START_TEST(channel_carries_descriptors)
{
    static const uint32_t counts[] = {1, 2, CHANNEL_FDS_MAX};
    struct message sent = {.type = MESSAGE_HOLD};
    int pipe_fds[2], many[CHANNEL_FDS_MAX];

    open_pair();
    ck_assert_int_eq(pipe(pipe_fds), 0);
    for (uint32_t i = 0; i < CHANNEL_FDS_MAX; i++)
        many[i] = pipe_fds[1];
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        int before = count_open();
        sent.count = counts[i];
        ck_assert(channel_send(ends[0], &sent, true, many, counts[i]));
        ck_assert_int_eq(count_open(), before); /* the sender keeps its own */
        receive();
        ck_assert_uint_eq(fd_count, counts[i]);
        ck_assert_uint_eq(message.count, counts[i]);
        for (uint32_t n = 0; n < fd_count; n++) {
            char byte = 0;
            ck_assert_int_ne(fcntl(fds[n], F_GETFD) & FD_CLOEXEC, 0);
            ck_assert_int_eq(write(fds[n], "x", 1), 1);
            ck_assert_int_eq(read(pipe_fds[0], &byte, 1), 1);
            close(fds[n]);
        }
        ck_assert_int_eq(count_open(), before);
    }
}
END_TEST

START_TEST(channel_keeps_descriptors_with_their_message)
{
    struct stat first, second;
    int files[2] = {open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY)};
    struct message sent = {.type = MESSAGE_LOG};

    open_pair();
    ck_assert(channel_send(ends[0], &sent, false, &files[0], 1));
    ck_assert(channel_tell(ends[0], MESSAGE_SERVE, 0, 0));
    ck_assert(channel_send(ends[0], &sent, false, &files[1], 1));
    receive();
    ck_assert_uint_eq(fd_count, 1);
    ck_assert_int_eq(fstat(fds[0], &first), 0);
    receive();
    ck_assert_uint_eq(fd_count, 0);
    receive();
    ck_assert_uint_eq(fd_count, 1);
    ck_assert_int_eq(fstat(fds[0], &second), 0);
    struct stat zero;
    ck_assert_int_eq(fstat(files[1], &zero), 0);
    ck_assert_uint_eq(second.st_rdev, zero.st_rdev);
    ck_assert_uint_ne(first.st_rdev, zero.st_rdev);
}
END_TEST

START_TEST(channel_without_descriptors_left_gives_fewer)
{
    struct message sent = {.type = MESSAGE_HOLD, .count = 10};
    int ten[10];
    struct rlimit files;

    open_pair();
    for (int i = 0; i < 10; i++)
        ten[i] = ends[0];
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = 0; /* room for four more, whatever else the test was started with */
    for (int room = 0; room < 4; files.rlim_cur++)
        room += fcntl((int)files.rlim_cur, F_GETFD) < 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    int before = count_open();
    ck_assert(channel_send(ends[0], &sent, true, ten, 10));
    receive();
    ck_assert_uint_eq(message.count, 10);
    ck_assert_uint_eq(fd_count, 4);
    ck_assert_int_eq(count_open(), before + 4);
    /* The message itself is whole, and so is the next. */
    ck_assert(channel_send(ends[0], &sent, true, ten, 1));
    ck_assert(channel_tell(ends[0], MESSAGE_QUIT, 5, 6));
    receive();
    ck_assert_uint_eq(fd_count, 0);
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_QUIT);
    ck_assert_uint_eq(message.number, 6);
    files.rlim_cur = files.rlim_max; /* a leak checker needs some */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}
END_TEST

/* Standard streams are closed, and there is no number that they could be moved to. */
START_TEST(channel_puts_no_descriptor_in_the_place_of_a_standard_stream)
{
    struct message sent = {.type = MESSAGE_HOLD, .count = 3};
    struct stat status;
    int status_of_child = -1;

    open_pair();
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct rlimit files = {.rlim_cur = 64, .rlim_max = 64};
        bool good = channel_send(ends[0], &sent, true, (int[]){ends[0], ends[0], ends[0]}, 3) &&
                    channel_send(ends[0], &sent, true, (int[]){ends[0], ends[0], ends[0]}, 3);
        setrlimit(RLIMIT_NOFILE, &files);
        while (dup(ends[0]) >= 0)
            ;
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            close(fd);
        good = good && channel_receive(ends[1], &message, fds, &fd_count) == CHANNEL_MESSAGE &&
               fd_count == 0 && message.count == 3;
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            good = good && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
        /* Asked again when there are some, it has them. */
        for (int fd = 60; fd < 64; fd++)
            close(fd);
        good = good && channel_receive(ends[1], &message, fds, &fd_count) == CHANNEL_MESSAGE &&
               fd_count == 3;
        _exit(good ? 0 : 1);
    }
    ck_assert(waitpid(pid, &status_of_child, 0) == pid && status_of_child == 0);
}
END_TEST

/* ---- Ends, limits, damage ---- */

START_TEST(channel_whose_other_end_is_gone_delivers_its_messages_and_closes)
{
    open_pair();
    ck_assert(channel_tell(ends[0], MESSAGE_READY, 1, 2));
    close(ends[0]);
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_READY);
    ck_assert_int_eq(channel_receive(ends[1], &message, fds, &fd_count), CHANNEL_CLOSED);
    ck_assert_int_eq(channel_receive(ends[1], &message, fds, &fd_count), CHANNEL_CLOSED);
    ck_assert(!channel_tell(ends[1], MESSAGE_READY, 1, 2)); /* and no SIGPIPE */
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(channel_delivers_its_messages_though_the_sender_left_without_reading)
{
    open_pair();
    ck_assert(channel_tell(ends[1], MESSAGE_LOG, 1, 0)); /* never read */
    ck_assert(channel_tell(ends[0], MESSAGE_READY, 2, 0));
    ck_assert(channel_tell(ends[0], MESSAGE_RELEASED, 3, 0));
    close(ends[0]);
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_READY);
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_RELEASED);
    ck_assert_int_eq(channel_receive(ends[1], &message, fds, &fd_count), CHANNEL_CLOSED);
    close(ends[1]);
}
END_TEST

START_TEST(channel_that_nobody_reads_says_so_and_loses_nothing)
{
    uint64_t sent = 0;

    open_pair();
    while (channel_tell(ends[0], MESSAGE_DEAD, sent, 0))
        sent++;
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_gt(sent, 1);
    for (uint64_t i = 0; i < sent; i++) {
        receive();
        ck_assert_uint_eq(message.serial, i);
    }
    nothing_more();
    ck_assert(channel_tell(ends[0], MESSAGE_DEAD, sent, 0));
}
END_TEST

static void *read_all(void *context)
{
    static struct message got;
    static int no_fds[CHANNEL_FDS_MAX];
    uint32_t count, *texts = context;

    for (;;) {
        switch (channel_receive(ends[1], &got, no_fds, &count)) {
        case CHANNEL_MESSAGE:
            *texts += strcmp(got.text, "words") == 0;
            break;
        case CHANNEL_EMPTY:
            break;
        case CHANNEL_CLOSED:
            return NULL;
        }
    }
}

START_TEST(channel_say_waits_until_there_is_room)
{
    uint32_t texts = 0;
    pthread_t reader;

    open_pair();
    while (channel_tell(ends[0], MESSAGE_DEAD, 0, 0))
        continue;
    ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &texts), 0);
    for (unsigned i = 0; i < 1000; i++)
        channel_say(ends[0], MESSAGE_STAGE, "words");
    close(ends[0]);
    ck_assert_int_eq(pthread_join(reader, NULL), 0);
    ck_assert_uint_eq(texts, 1000);
}
END_TEST

/* Sends bytes as they are, with a descriptor. */
static void send_raw(const void *bytes, size_t size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {(void *)(uintptr_t)bytes, size};
    struct msghdr header = {.msg_iov = &io,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &ends[1], sizeof(int));
    ck_assert_int_eq(sendmsg(ends[0], &header, 0), (ssize_t)size);
}

START_TEST(channel_skips_malformed_messages_and_closes_their_descriptors)
{
    const size_t head = offsetof(struct message, text);
    struct message bad = {.type = MESSAGE_STAGE};

    open_pair();
    int before = count_open();
    send_raw(&bad, head - 1); /* too short */
    send_raw("x", 1);
    bad.type = 0;
    send_raw(&bad, head + 1);
    bad.type = MESSAGE_TYPES;
    send_raw(&bad, head + 1);
    bad.type = UINT32_MAX;
    send_raw(&bad, head + 1);
    bad.type = MESSAGE_HOLD;
    bad.count = CHANNEL_FDS_MAX + 1;
    send_raw(&bad, sizeof(bad));
    ck_assert(channel_tell(ends[0], MESSAGE_SERVE, 0, 0));
    receive();
    ck_assert_uint_eq(message.type, MESSAGE_SERVE);
    ck_assert_uint_eq(fd_count, 0);
    ck_assert_int_eq(count_open(), before);
}
END_TEST

START_TEST(channel_text_ends_where_the_message_does)
{
    const size_t head = offsetof(struct message, text);
    struct message unended = {.type = MESSAGE_FAILED};

    open_pair();
    channel_say(ends[0], MESSAGE_STAGE, "a text that came before");
    receive();
    memcpy(unended.text, "new", 3);
    ck_assert_int_eq(send(ends[0], &unended, head + 3, 0), (ssize_t)head + 3);
    receive();
    ck_assert_str_eq(message.text, "new");
    ck_assert_int_eq(send(ends[0], &unended, head, 0), (ssize_t)head);
    receive();
    ck_assert_str_eq(message.text, "");
    memset(unended.text, 'x', sizeof(unended.text));
    ck_assert_int_eq(send(ends[0], &unended, sizeof(unended), 0), sizeof(unended));
    receive();
    ck_assert_uint_eq(strlen(message.text), CHANNEL_TEXT_MAX - 1);
}
END_TEST

START_TEST(channel_ids_that_were_not_sent_are_not_there)
{
    static const uint32_t types[] = {MESSAGE_HOLD, MESSAGE_DROP, MESSAGE_TAKE, MESSAGE_GIVE};
    const size_t head = offsetof(struct message, ids);

    open_pair();
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        struct message lie = {.type = types[i], .count = 5};
        ck_assert_int_eq(send(ends[0], &lie, head + 4 * sizeof(uint64_t), 0),
                         (ssize_t)(head + 4 * sizeof(uint64_t)));
        nothing_more();
    }
}
END_TEST

UNIT_MAIN("channel", channel_carries_type_and_numbers, channel_carries_text_and_cuts_it,
          channel_carries_ids_and_the_rule, channel_carries_descriptors,
          channel_keeps_descriptors_with_their_message,
          channel_without_descriptors_left_gives_fewer,
          channel_whose_other_end_is_gone_delivers_its_messages_and_closes,
          channel_delivers_its_messages_though_the_sender_left_without_reading,
          channel_puts_no_descriptor_in_the_place_of_a_standard_stream,
          channel_that_nobody_reads_says_so_and_loses_nothing,
          channel_say_waits_until_there_is_room,
          channel_skips_malformed_messages_and_closes_their_descriptors,
          channel_text_ends_where_the_message_does, channel_ids_that_were_not_sent_are_not_there)
