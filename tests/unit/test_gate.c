/* What a gate is made of, but for TLS itself: pairs of sockets, the queue to the workers, and the
 * keys of tickets. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate/pair.h"
#include "gate/tickets.h"
#include "net/handoff.h"

/* ---- Pairs ---- */

static void make_pair(int ends[2])
{
    struct error error;

    ck_assert_msg(pair_begin(&error), "%s", error.text);
    ck_assert(pair_make(ends));
}

START_TEST(both_ends_of_a_pair_are_each_others)
{
    int ends[2];
    char byte[2];

    make_pair(ends);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(recv(ends[1 - i], byte, 1, 0), -1);
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(send(ends[i], "x", 1, 0), 1);
        ck_assert_int_eq(recv(ends[1 - i], byte, sizeof(byte), 0), 1);
    }
    close(ends[0]);
    ck_assert_int_eq(recv(ends[1], byte, 1, 0), 0);
    close(ends[1]);
}
END_TEST

/* Whoever connects to the socket that pairs are made with gets into none of them. */
START_TEST(a_stranger_gets_no_end)
{
    struct sockaddr_in place;
    socklen_t size = sizeof(place);
    int ends[2], more[2];
    char byte;

    make_pair(ends);
    ck_assert_int_eq(getpeername(ends[1], (struct sockaddr *)&place, &size), 0);
    int stranger = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(stranger, (struct sockaddr *)&place, sizeof(place)), 0);
    ck_assert(pair_make(more));
    ck_assert_int_eq(send(more[1], "x", 1, 0), 1);
    ck_assert_int_eq(recv(more[0], &byte, 1, 0), 1);
    ck_assert_int_le(recv(stranger, &byte, 1, 0), 0); /* it was closed */
}
END_TEST

/* Not even with all the connections that fit: those that were closed wait to be accepted, too. */
START_TEST(strangers_leave_room_for_pairs)
{
    struct sockaddr_in place;
    socklen_t size = sizeof(place);
    int ends[2];

    make_pair(ends);
    ck_assert_int_eq(getpeername(ends[1], (struct sockaddr *)&place, &size), 0);
    const struct timeval patience = {.tv_usec = 50000};
    for (bool full = false; !full;) {
        int stranger = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(stranger, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        full = connect(stranger, (struct sockaddr *)&place, sizeof(place)) < 0;
        close(stranger);
    }
    ck_assert_msg(pair_make(ends), "strangers fill the queue: errno %d", errno);
}
END_TEST

/* ---- The queue ---- */

START_TEST(sockets_come_out_as_they_went_in)
{
    int queue[2], pipes[3][2];
    struct error error;
    char byte;

    ck_assert(handoff_open(queue, &error));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pipe(pipes[i]), 0);
        ck_assert(handoff_put(queue[HANDOFF_IN], pipes[i][0]));
        close(pipes[i][0]);
        ck_assert_int_eq(write(pipes[i][1], &(char){(char)i}, 1), 1);
    }
    for (int i = 0; i < 3; i++) {
        int fd = handoff_take(queue[HANDOFF_OUT]);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(read(fd, &byte, 1), 1);
        ck_assert_int_eq(byte, i);
        close(fd);
    }
    ck_assert_int_eq(handoff_take(queue[HANDOFF_OUT]), -1);
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(a_full_queue_says_so_and_goes_on)
{
    int queue[2], put = 0;
    struct error error;

    ck_assert(handoff_open(queue, &error));
    while (put < 100000 && handoff_put(queue[HANDOFF_IN], STDIN_FILENO))
        put++;
    ck_assert(errno == EAGAIN || errno == ETOOMANYREFS);
    ck_assert_int_gt(put, 0);
    close(handoff_take(queue[HANDOFF_OUT]));
    for (int i = 1; i < put; i++)
        close(handoff_take(queue[HANDOFF_OUT]));
    ck_assert(handoff_put(queue[HANDOFF_IN], STDIN_FILENO));
}
END_TEST

/* The workers' end is one socket of all of them, and a module can call the kernel by itself. */
START_TEST(what_one_worker_does_to_the_queue_stops_no_other)
{
    const struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog filter = {1, (struct sock_filter *)(uintptr_t)&nothing};
    int queue[2], on = 1;
    struct error error;

    ck_assert(handoff_open(queue, &error));
    int out = queue[HANDOFF_OUT];
    ck_assert_int_eq(fcntl(out, F_SETFL, 0), 0);
    ck_assert_int_eq(handoff_take(out), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(setsockopt(out, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
    ck_assert_int_lt(setsockopt(out, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
    ck_assert(handoff_put(queue[HANDOFF_IN], STDIN_FILENO));
    int taken = handoff_take(out);
    ck_assert_int_ge(taken, 0);
    close(taken);
    ck_assert_int_eq(shutdown(out, SHUT_RDWR), 0);
    ck_assert_int_eq(handoff_take(out), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(!handoff_put(queue[HANDOFF_IN], STDIN_FILENO));
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- Tickets ---- */

static int64_t now;

/* In place of time(2)'s. */
time_t time(time_t *to)
{
    if (to != NULL)
        *to = now;
    return now;
}

static void keys_at(int64_t when, uint8_t keys[2][TLS_TICKET_KEY])
{
    now = when;
    ck_assert(tickets_keys(NULL, keys));
}

START_TEST(a_key_makes_tickets_for_a_while_and_takes_them_for_as_long_again)
{
    uint8_t first[2][TLS_TICKET_KEY], later[2][TLS_TICKET_KEY];
    struct error error;
    int fd = tickets_make(&error);

    ck_assert_int_ge(fd, 0);
    ck_assert(tickets_map(fd, 100, &error));
    keys_at(1000, first);
    keys_at(1099, later);
    ck_assert_mem_eq(first[0], later[0], TLS_TICKET_KEY);
    keys_at(1100, later);
    ck_assert_mem_ne(first[0], later[0], TLS_TICKET_KEY);
    ck_assert_mem_eq(first[0], later[1], TLS_TICKET_KEY);
    keys_at(1200, first);
    ck_assert_mem_eq(later[0], first[1], TLS_TICKET_KEY);
    keys_at(5000, later); /* nobody came for long: no former key is of use */
    ck_assert_mem_ne(first[0], later[0], TLS_TICKET_KEY);
    ck_assert_mem_ne(first[0], later[1], TLS_TICKET_KEY);
}
END_TEST

START_TEST(processes_share_the_keys)
{
    uint8_t mine[2][TLS_TICKET_KEY], theirs[2][TLS_TICKET_KEY];
    struct error error;
    int fd = tickets_make(&error), status;

    now = 1000;
    pid_t pid = fork();
    if (pid == 0)
        _exit(!tickets_map(fd, 100, &error) || !tickets_keys(NULL, theirs) ||
              pwrite(fd, theirs, sizeof(theirs), 4096) != sizeof(theirs));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert(tickets_map(fd, 100, &error) && tickets_keys(NULL, mine));
    ck_assert_int_eq(pread(fd, theirs, sizeof(theirs), 4096), sizeof(theirs));
    ck_assert_mem_eq(mine, theirs, sizeof(mine));
}
END_TEST

UNIT_MAIN("gate", both_ends_of_a_pair_are_each_others, a_stranger_gets_no_end,
          strangers_leave_room_for_pairs, sockets_come_out_as_they_went_in,
          a_full_queue_says_so_and_goes_on, what_one_worker_does_to_the_queue_stops_no_other,
          a_key_makes_tickets_for_a_while_and_takes_them_for_as_long_again,
          processes_share_the_keys)
