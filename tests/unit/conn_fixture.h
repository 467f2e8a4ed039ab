/* Connections and their clients in one loop, for test_conn*.c.
 *
 * The protocol is a toy: a frame is a 4-byte length (host order) and that many bytes, of which the
 * first is a command. Clients are watched by the same loop as the connections, send and read in
 * chunks of any size, and know the replies that they must get. Nothing sleeps: a test runs the loop
 * until a condition holds, and fails when that takes too long. */
#ifndef PILLION_TESTS_CONN_FIXTURE_H
#define PILLION_TESTS_CONN_FIXTURE_H

#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "must.h"
#include "net/conn.h"
#include "sockets.h"

#define DEADLINE_NS (20 * NS_PER_S)
#define LISTENER_ID 9u

/* The commands: the first byte of a frame's body. */
enum {
    ECHO = 'e',  /* the frame comes back */
    BIG = 'b',   /* a reply of as many bytes as the next four say */
    LAST = 'q',  /* echo, then conn_end with discard */
    FINAL = 'k', /* echo, then conn_end without */
    CLOSE = 'c', /* conn_close at once */
};

static struct loop loop;
static struct conns conns;
static counter counters[WORKER_COUNTERS];
static struct conn_policy policy;
static unsigned closed_count;
static int arena_fd;

/* ---- The server's side ---- */

static inline uint32_t number_at(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof(number));
    return number;
}

static inline char pattern(size_t at)
{
    return (char)(at * 7 + at / 251);
}

/* Writes the reply to a frame; with `to` NULL it is only measured. */
static inline size_t toy_reply(const char *frame, size_t size, char *to)
{
    if (frame[4] != BIG) {
        if (to != NULL)
            memcpy(to, frame, size);
        return size;
    }
    uint32_t wanted = number_at(frame + 5);
    for (size_t i = 0; to != NULL && i < wanted; i++)
        to[i] = pattern(i);
    return wanted;
}

static inline void toy_input(struct conns *all, struct conn *conn)
{
    while (!conn_output_full(all, conn)) {
        struct bytes input = conn_input(all, conn);
        size_t size = input.size < 4 ? 0 : 4 + (size_t)number_at(input.data);
        if (size == 0 || input.size < size) {
            conn->expects = (uint32_t)size;
            return;
        }
        char what = input.data[4];
        if (what == CLOSE) {
            conn_close(all, conn);
            return;
        }
        size_t reply = toy_reply(input.data, size, NULL);
        char *room = conn_output_reserve(all, conn, reply);
        if (room == NULL) {
            conn_wait_for_room(all, conn);
            return;
        }
        toy_reply(input.data, size, room);
        conn_advance(all, conn, size, reply);
        if (what == LAST || what == FINAL) {
            conn_end(all, conn, what == LAST);
            return;
        }
    }
    conn_leave(conn);
}

static inline void toy_closed(struct conns *all, struct conn *conn)
{
    must(conn->policy != NULL && conn_id(all, conn) != 0);
    closed_count++;
}

static inline void conns_open_on(struct conns *all, int fd, uint32_t worker)
{
    struct error error;

    ck_assert_msg(conns_init(all, &loop, fd, worker, 1000, counters, &error), "%s", error.text);
    all->on_input = toy_input;
    all->on_close = toy_closed;
}

static inline int toy_arena(uint32_t records, uint32_t blocks)
{
    struct error error;
    int fd =
        arena_create(&(struct arena_geometry){.records = records, .blocks = blocks}, 1, &error);
    ck_assert_msg(fd >= 0, "%s", error.text);
    return fd;
}

static inline void server_open(uint32_t records, uint32_t blocks)
{
    struct error error;

    ck_assert(
        log_open(&(struct log_target){"/dev/null", LOG_ERROR_LEVEL, LOG_FORMAT_TEXT}, &error));
    ck_assert_msg(loop_init(&loop, &error), "%s", error.text);
    arena_fd = toy_arena(records, blocks);
    conns_open_on(&conns, arena_fd, 1);
    policy = (struct conn_policy){.conns = &conns, .max_output = 65536, .nodelay = true};
    closed_count = 0;
}

/* Units of the arena that connections use, without those that are kept back. */
static inline uint32_t units_used(const struct conns *all)
{
    return all->room.blocks.used -
           (all->room.input.block == BLOCK_NONE ? 0 : 2u << all->room.reserve_order);
}

/* How many connections wait for the end of what their client sends. */
static inline unsigned lingering_count(void)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < conns.arena.record_count; i++)
        count += conns.conns[i].policy != NULL && conns.conns[i].lingering;
    return count;
}

/* Frees the server's side; all its memory must have been given back. */
static inline void server_close(void)
{
    for (uint32_t i = 0; i < conns.arena.record_count; i++) {
        if (conns.conns[i].policy != NULL)
            conn_close(&conns, &conns.conns[i]);
    }
    conns_flush(&conns);
    ck_assert_uint_eq(conns.open, 0);
    ck_assert_uint_eq(conns.room.waiting, 0);
    ck_assert_uint_eq(units_used(&conns), 0);
    ck_assert(!conns.room.input.used && !conns.room.output.used);
    ck_assert_uint_eq(conns.arena.header->in_call, 0);
    conns_free(&conns);
    close(arena_fd);
    loop_free(&loop);
}

/* ---- Clients ---- */

struct client {
    struct watch watch;
    struct conn *conn; /* the server's side; the client never looks at it */
    int fd;
    struct text out, in, expected;
    size_t sent;
    size_t allowance; /* how many bytes of `out` may be sent by now */
    size_t chunk;     /* most bytes at once, both ways */
    bool silent;      /* does not read */
    bool finished;    /* has read the end of file */
    bool reset;       /* or an error */
};

static inline void client_update(struct client *client)
{
    bool reading = !client->silent && !client->finished && !client->reset;
    bool writing = client->sent < client->out.size && client->sent < client->allowance;

    loop_change(&loop, &client->watch, (reading ? EPOLLIN : 0u) | (writing ? EPOLLOUT : 0u));
}

static inline void client_read(struct client *client)
{
    static char buffer[1 << 16];
    size_t room = client->chunk < sizeof(buffer) ? client->chunk : sizeof(buffer);
    ssize_t got = recv(client->fd, buffer, room, 0);

    if (got > 0)
        text_append(&client->in, (struct bytes){buffer, (size_t)got});
    else if (got == 0)
        client->finished = true;
    else if (errno != EAGAIN)
        client->reset = true;
}

static inline void client_write(struct client *client)
{
    size_t until = client->out.size < client->allowance ? client->out.size : client->allowance;
    size_t size = until - client->sent;
    ssize_t put = send(client->fd, client->out.data + client->sent,
                       size < client->chunk ? size : client->chunk, MSG_NOSIGNAL);

    if (put > 0)
        client->sent += (size_t)put;
    else if (errno != EAGAIN)
        client->allowance = client->sent; /* the server takes no more */
}

static inline void client_ready(struct watch *watch, uint32_t events)
{
    struct client *client = container_of(watch, struct client, watch);

    if (events & EPOLLOUT)
        client_write(client);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_read(client);
    /* A hang-up cannot be unwatched otherwise. */
    if ((events & (EPOLLHUP | EPOLLERR)) && (client->finished || client->reset || client->silent))
        loop_unwatch(&loop, watch);
    else
        client_update(client);
}

/* Connects, without watching the client's side yet. */
static inline void client_connect(struct client *client, bool tcp)
{
    int fds[2];

    (tcp ? tcp_pair : unix_pair)(fds);
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    *client = (struct client){.fd = fds[1], .allowance = SIZE_MAX, .chunk = SIZE_MAX};
    client->conn = conn_open(&conns, fds[0], LISTENER_ID, 0, &policy);
    ck_assert_ptr_nonnull(client->conn);
    conn_start(&conns, client->conn);
}

static inline void client_open(struct client *client, bool tcp)
{
    client_connect(client, tcp);
    ck_assert(loop_watch(&loop, &client->watch, client->fd, EPOLLIN, client_ready));
}

static inline void client_close(struct client *client)
{
    loop_unwatch(&loop, &client->watch);
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    text_free(&client->out);
    text_free(&client->in);
    text_free(&client->expected);
}

/* Adds a call to the client's output, with a body of `size` bytes, 5 or more for BIG. */
static inline void client_call(struct client *client, char what, size_t size)
{
    uint32_t length = (uint32_t)size;
    size_t at = client->out.size;

    must(size >= 1);
    text_append(&client->out, (struct bytes){(const char *)&length, 4});
    text_append_char(&client->out, what);
    for (size_t i = 1; i < size; i++)
        text_append_char(&client->out, (char)random_below(256));
    if (what != CLOSE)
        text_append(&client->expected, (struct bytes){client->out.data + at, 4 + size});
}

static inline void client_call_big(struct client *client, uint32_t reply)
{
    uint32_t length = 5;

    text_append(&client->out, (struct bytes){(const char *)&length, 4});
    text_append_char(&client->out, BIG);
    text_append(&client->out, (struct bytes){(const char *)&reply, 4});
    for (uint32_t i = 0; i < reply; i++)
        text_append_char(&client->expected, pattern(i));
}

/* Adds the announcement of a frame of `size` bytes, and only `part` of them. */
static inline void client_begin(struct client *client, size_t size, size_t part)
{
    uint32_t length = (uint32_t)size;

    text_append(&client->out, (struct bytes){(const char *)&length, 4});
    for (size_t i = 0; i < part; i++)
        text_append_char(&client->out, i == 0 ? ECHO : pattern(i));
}

/* True when all replies have come, and no other byte. */
static inline bool client_content(const struct client *client)
{
    must(client->in.size <= client->expected.size);
    must(client->in.size == 0 ||
         memcmp(client->in.data, client->expected.data, client->in.size) == 0);
    return client->in.size == client->expected.size;
}

/* ---- Running ---- */

static bool (*run_condition)(void);

static inline void run_after_batch(struct loop *l, void *context)
{
    (void)context;
    conns_flush(&conns);
    if (run_condition())
        loop_stop(l);
}

static inline void run_too_long(struct timer *timer)
{
    (void)timer;
    ck_abort_msg("what the test waits for does not happen");
}

static inline void run_until_within(bool (*condition)(void), uint64_t ns)
{
    struct timer deadline = {0};

    run_condition = condition;
    loop.after_batch = run_after_batch;
    timer_set(&loop, &deadline, ns, run_too_long);
    loop_run(&loop);
    timer_cancel(&loop, &deadline);
}

static inline void run_until(bool (*condition)(void))
{
    run_until_within(condition, DEADLINE_NS);
}

#endif
