/* One worker that takes connections over from another, for test_adopt*.c. Worker and source are
 * real: connections, arenas and sockets. What adopt.c asks of others is wrapped by the linker
 * (tests.mk): vaults are a table, requests are not run, the kernel's counts and the time that
 * passes between two tries are the test's. */
#ifndef PILLION_TESTS_ADOPT_FIXTURE_H
#define PILLION_TESTS_ADOPT_FIXTURE_H

#include <fcntl.h>

#include "net/arena_layout.h"
#include "net/stream_count.h"
#include "worker/adopt.h"
#include "worker/files.h"

#include "conn_fixture.h" /* last: its names are short */

#define SOURCE      7u /* serial number of the worker whose connections are taken over */
#define RECORDS_MAX (CHANNEL_FDS_MAX + 8)
#define NOWHERE     VAULT_NONE /* the holder of a connection that no vault has */

/* ---- The source ---- */

static struct arena source;
static int source_fd;
static struct {
    uint64_t id;
    uint32_t holder;  /* seat of the vault that holds it */
    int kept, client; /* the vault's duplicate, and the client's end */
    uint32_t given;   /* how often the vault gave it */
} table[RECORDS_MAX];

static inline uint64_t id_of(uint32_t index, uint32_t seat)
{
    return (uint64_t)seat << CONN_ID_SEAT_SHIFT | (uint64_t)SOURCE << 32 | (index + 1);
}

/* Adds a connection that was accepted for the vault in `seat`, and whose vault is now `holder`. */
static inline struct conn_record *source_add(uint32_t index, uint32_t seat, uint32_t holder)
{
    struct conn_record *record = &source.records[index];
    int fds[2];

    unix_pair(fds);
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    table[index].id = id_of(index, seat);
    record->id = table[index].id;
    table[index].holder = holder;
    table[index].kept = fds[0];
    table[index].client = fds[1];
    record->listener = LISTENER_ID;
    for (int i = 0; i < 2; i++)
        record->cursors[i] = (struct conn_cursors){.in_block = BLOCK_NONE, .out_block = BLOCK_NONE};
    return record;
}

static inline bool client_is_connected(uint32_t index)
{
    char byte;
    return recv(table[index].client, &byte, 1, 0) < 0 && errno == EAGAIN;
}

/* ---- Fakes ---- */

static struct vault_bank bank;
static struct {
    uint32_t seat, count;
    uint64_t ids[CHANNEL_FDS_MAX];
} questions[64];
static uint32_t question_count;
static bool vault_missing[VAULT_PROCESSES_MAX];
static uint64_t dropped[RECORDS_MAX]; /* the vault may forget them */
static uint32_t dropped_count, handed_on;
static uint8_t seat_noted[RECORDS_MAX];

static inline uint32_t seat_at(const struct vault_client *client)
{
    return (uint32_t)(client - bank.clients);
}

bool __wrap_vault_client_is_open(const struct vault_client *client);
bool __wrap_vault_client_is_open(const struct vault_client *client)
{
    return !vault_missing[seat_at(client)];
}

bool __wrap_vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                              uint32_t count);
bool __wrap_vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                              uint32_t count)
{
    ck_assert_uint_eq(serial, SOURCE);
    ck_assert_uint_lt(question_count, 64);
    if (vault_missing[seat_at(client)])
        return false;
    questions[question_count].seat = seat_at(client);
    questions[question_count].count = count;
    memcpy(questions[question_count++].ids, ids, count * sizeof(*ids));
    return true;
}

void __wrap_vault_client_drop(struct vault_client *client, uint64_t id);
void __wrap_vault_client_drop(struct vault_client *client, uint64_t id)
{
    (void)client;
    dropped[dropped_count++] = id;
}

void __wrap_vault_bank_adopt(struct vault_bank *b, const struct conn *conn, uint32_t seat);
void __wrap_vault_bank_adopt(struct vault_bank *b, const struct conn *conn, uint32_t seat)
{
    (void)b;
    seat_noted[conn_index(&conns, conn)] = (uint8_t)seat;
}

void __wrap_vault_bank_again(struct vault_bank *b, struct conn *conn);
void __wrap_vault_bank_again(struct vault_bank *b, struct conn *conn)
{
    (void)b;
    (void)conn;
    handed_on++;
}

static struct death death;          /* as the dispatcher was told last */
static struct conn_cursors cursors; /* of that connection, before anything is done with it */
static const struct conn_policy *its_policy;
static uint32_t listener;           /* its own, likewise */
static uint64_t order[RECORDS_MAX]; /* ids of the connections, as they came */
static uint32_t came;
static bool requests_damaged;

bool __wrap_dispatch_adopted(struct dispatcher *d, struct conn *conn, const struct death *how);
bool __wrap_dispatch_adopted(struct dispatcher *d, struct conn *conn, const struct death *how)
{
    (void)d;
    death = *how;
    cursors = *conn_cursors(&conns, conn);
    its_policy = conn->policy;
    listener = conn_record_of(&conns, conn)->listener;
    order[came++] = conn_id(&conns, conn);
    return !requests_damaged;
}

static bool no_memory;

bool __real_arena_map(int fd, struct arena *arena, struct error *error);
bool __wrap_arena_map(int fd, struct arena *arena, struct error *error);
bool __wrap_arena_map(int fd, struct arena *arena, struct error *error)
{
    if (!no_memory)
        return __real_arena_map(fd, arena, error);
    errno = ENOMEM;
    return error_errno(error, "no memory for once");
}

static uint32_t limit_looked_at;

bool __wrap_files_restored(void);
bool __wrap_files_restored(void)
{
    limit_looked_at++;
    return false;
}

static struct {
    bool moved; /* the socket's buffers are not empty */
    enum stream_status status;
    struct stream_count count;
} kernel;

bool __wrap_stream_at_rest(int fd, uint64_t received, uint64_t sent);
bool __wrap_stream_at_rest(int fd, uint64_t received, uint64_t sent)
{
    (void)fd;
    (void)received;
    (void)sent;
    return !kernel.moved;
}

enum stream_status __wrap_stream_count(int fd, struct stream_count *count);
enum stream_status __wrap_stream_count(int fd, struct stream_count *count)
{
    (void)fd;
    *count = kernel.count;
    return kernel.status;
}

static struct adoption adoption;
static timer_callback waiting; /* what the adoption does when it has waited; NULL: it does not */

void __real_timer_set(struct loop *l, struct timer *timer, uint64_t ns, timer_callback callback);
void __wrap_timer_set(struct loop *l, struct timer *timer, uint64_t ns, timer_callback callback);
void __wrap_timer_set(struct loop *l, struct timer *timer, uint64_t ns, timer_callback callback)
{
    if (timer == &adoption.wait)
        waiting = callback;
    else
        __real_timer_set(l, timer, ns, callback);
}

void __real_timer_cancel(struct loop *l, struct timer *timer);
void __wrap_timer_cancel(struct loop *l, struct timer *timer);
void __wrap_timer_cancel(struct loop *l, struct timer *timer)
{
    if (timer == &adoption.wait)
        waiting = NULL;
    else
        __real_timer_cancel(l, timer);
}

/* ---- The adopter ---- */

static struct dispatcher dispatcher;
static struct conn_policy parting;
static bool configured;        /* a server block goes on with the listener */
static uint32_t heir_listener; /* whose connections they become; 0: the same */
static struct {
    uint32_t done, full; /* how often each was said */
    uint32_t count;      /* of connections, as said last */
} said;

static inline const struct conn_policy *adopter_policy(void *context, uint32_t *of)
{
    (void)context;
    if (heir_listener != 0)
        *of = heir_listener;
    return configured ? &policy : NULL;
}

static inline void adopter_done(void *context, uint64_t serial, uint32_t count)
{
    (void)context;
    ck_assert_uint_eq(serial, SOURCE);
    said.done++;
    said.count = count;
}

static inline void adopter_full(void *context, uint64_t serial, uint32_t count)
{
    adopter_done(context, serial, count);
    said.done--;
    said.full++;
}

/* Every test begins with nothing, also in one process with others (CK_FORK=no). */
static inline void forget(void)
{
    memset(counters, 0, sizeof(counters));
    memset(table, 0, sizeof(table));
    memset(&bank, 0, sizeof(bank));
    memset(vault_missing, 0, sizeof(vault_missing));
    memset(&kernel, 0, sizeof(kernel));
    memset(&said, 0, sizeof(said));
    question_count = dropped_count = handed_on = came = limit_looked_at = heir_listener = 0;
    requests_damaged = no_memory = false;
    waiting = NULL;
}

/* A worker with room for `room` connections, `seats` vaults, and a source without connections. */
static inline void begin(uint32_t room, uint32_t seats)
{
    struct error error;

    forget();
    server_open(room, 64);
    source_fd = toy_arena(RECORDS_MAX, 64);
    ck_assert(__real_arena_map(source_fd, &source, &error));
    bank.seats = bank.known = seats;
    for (uint32_t i = 0; i < seats; i++)
        bank.clients[i].known = true;
    dispatcher.conns = &conns;
    parting = policy;
    parting.parting = true;
    configured = true;
    adoption = (struct adoption){.dispatcher = &dispatcher,
                                 .bank = &bank,
                                 .policy_of = adopter_policy,
                                 .parting = &parting,
                                 .done = adopter_done,
                                 .full = adopter_full,
                                 .most = RECORDS_MAX};
}

static inline void end(void)
{
    for (uint32_t i = 0; i < RECORDS_MAX; i++) {
        if (table[i].id != 0) {
            close(table[i].kept);
            close(table[i].client);
        }
    }
    ck_assert_ptr_null(adoption.from_arena.header); /* not mapped any more */
    arena_unmap(&source);
    close(source_fd);
    server_close();
}

/* A connection of the worker's own, for which it had room. */
static inline struct conn *take_the_only_record(void)
{
    int fds[2];

    unix_pair(fds);
    struct conn *conn = conn_open(&conns, fds[0], LISTENER_ID, 0, &policy);
    ck_assert_ptr_nonnull(conn);
    close(fds[1]);
    return conn;
}

/* All connections of the source; the test may want a part of them only. */
static inline struct message order_to_adopt(void)
{
    return (struct message){
        .type = MESSAGE_ADOPT, .serial = SOURCE, .adopt = {.slots = 1, .parts = 1}};
}

/* Returns the descriptor that the adopter got. */
static inline int start(const struct message *message)
{
    int fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 0);
    adopt_start(&adoption, message, fd);
    return fd;
}

static inline void start_all(void)
{
    struct message message = order_to_adopt();
    start(&message);
}

static inline void wait_is_over(void)
{
    timer_callback callback = waiting;

    ck_assert_msg(callback != NULL, "the adoption waits for nothing");
    waiting = NULL;
    callback(&adoption.wait);
}

/* The vault answers the last question. At most `arrive` of the sockets reach the worker. Those that
 * have arrived are not held any more. */
static inline void vault_answers(uint32_t arrive)
{
    uint32_t seat = questions[question_count - 1].seat, fd_count = 0;
    struct message answer = {.type = MESSAGE_GIVE, .serial = SOURCE};
    int fds[CHANNEL_FDS_MAX];

    ck_assert_int_eq(adoption.state, ADOPT_ASKED);
    for (uint32_t i = 0; i < questions[question_count - 1].count; i++) {
        uint64_t id = questions[question_count - 1].ids[i];
        uint32_t index = (uint32_t)id - 1;
        if (table[index].holder != seat)
            continue;
        answer.ids[answer.count++] = id;
        table[index].given++;
        if (fd_count < arrive)
            fds[fd_count++] = fcntl(table[index].kept, F_DUPFD_CLOEXEC, 0);
    }
    adopt_given(&adoption, seat, &answer, fds, fd_count);
}

/* Every vault answers, until the adoption is over or waits. */
static inline void vaults_answer(void)
{
    while (adoption.state == ADOPT_ASKED)
        vault_answers(CHANNEL_FDS_MAX);
}

static inline void expect_done(uint32_t count)
{
    ck_assert_int_eq(adoption.state, ADOPT_IDLE);
    ck_assert_uint_eq(said.done, 1);
    ck_assert_uint_eq(said.full, 0);
    ck_assert_uint_eq(said.count, count);
    ck_assert_uint_eq(counter_read(&counters[COUNT_ADOPTED]), count);
    ck_assert_ptr_null(waiting);
}

static inline void expect_question(uint32_t which, uint32_t seat, uint32_t count, uint32_t first)
{
    ck_assert_uint_lt(which, question_count);
    ck_assert_uint_eq(questions[which].seat, seat);
    ck_assert_uint_eq(questions[which].count, count);
    ck_assert_uint_eq(questions[which].ids[0], table[first].id);
}

#endif
