/* Vaults that are rows of a table, for tests of the vaults' seats, test_vaults and
 * test_vault_channels: each call by which the files of core/master start, tell and ask processes is
 * wrapped by the linker (tests.mk). Each test is a process of its own, because the seats are
 * static. */
#ifndef PILLION_TESTS_VAULTS_FIXTURE_H
#define PILLION_TESTS_VAULTS_FIXTURE_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "child_fakes.h"
#include "master/pulse.h"
#include "master/vault_channels.h"
#include "master/vaults.h"
#include "process/child.h"
#include "process/children.h"
#include "worker_table.h"

#define NO_VAULT ((pid_t)-1)

/* ---- Fakes ---- */

static uint64_t now_ns = 1000 * NS_PER_S;
static struct generation coming;
static bool has_coming, exiting;
static int send_error; /* errno of each message to a vault; 0: it arrives */

/* The messages sent so far, in order: each to a worker, or to the vault `pid`. */
static struct told {
    const struct worker *worker;
    pid_t pid;
    uint32_t type;
    uint64_t serial, number;
} told[256];
static uint32_t told_count;

static const struct worker *killed_worker;
static enum worker_cause killed_cause;

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    return ++now_ns;
}

struct child_view __wrap_child_view(pid_t pid);
struct child_view __wrap_child_view(pid_t pid)
{
    (void)pid;
    return (struct child_view){.state = 'S'};
}

bool __wrap_child_exiting(pid_t pid);
bool __wrap_child_exiting(pid_t pid)
{
    (void)pid;
    return exiting;
}

/* The pid of the vault whose channel this is. */
static inline pid_t pid_of(int channel)
{
    for (size_t i = child_count; i-- > 0;) {
        if (pairs[fakes[i].pair].master_end == channel)
            return FIRST_PID + (pid_t)i;
    }
    return FIRST_PID + (pid_t)child_count; /* a vault of the former binary */
}

static inline void note(const struct worker *worker, pid_t pid, const struct message *message)
{
    ck_assert_uint_lt(told_count, 256);
    told[told_count++] = (struct told){.worker = worker,
                                       .pid = pid,
                                       .type = message->type,
                                       .serial = message->serial,
                                       .number = message->number};
}

static inline const struct worker *worker_at(const struct outbox *outbox)
{
    for (uint32_t i = 0; i < worker_count; i++) {
        if (&table[i].out == outbox)
            return &table[i];
    }
    return NULL;
}

bool __wrap_outbox_send(struct outbox *outbox, const struct message *message, int fd);
bool __wrap_outbox_send(struct outbox *outbox, const struct message *message, int fd)
{
    const struct worker *worker = worker_at(outbox);

    ck_assert(message->type == MESSAGE_WORKER || message->type == MESSAGE_VAULT);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0); /* it is open */
    if (worker == NULL && send_error != 0) {
        errno = send_error;
        return false;
    }
    note(worker, worker == NULL ? pid_of(outbox->channel) : NO_VAULT, message);
    return true;
}

bool __wrap_outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial,
                        uint64_t number);
bool __wrap_outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial,
                        uint64_t number)
{
    struct message message = {.type = type, .serial = serial, .number = number};

    ck_assert_ptr_null(worker_at(outbox));
    note(NULL, pid_of(outbox->channel), &message);
    return true;
}

struct generation *__wrap_generation_next(void);
struct generation *__wrap_generation_next(void)
{
    return has_coming ? &coming : NULL;
}

void __wrap_worker_kill(struct worker *worker, enum worker_cause cause);
void __wrap_worker_kill(struct worker *worker, enum worker_cause cause)
{
    killed_worker = worker;
    killed_cause = cause;
}

/* ---- A world ---- */

static uint32_t awaited; /* serial of a worker whose connections are still to be taken over */
static uint32_t heard_count, failures;
static char failure[256]; /* the reason of the last one */

static inline bool is_awaited(uint32_t serial)
{
    return serial == awaited;
}

static inline void heard(void)
{
    heard_count++;
}

static inline void next_fails(const char *why)
{
    snprintf(failure, sizeof(failure), "%s", why);
    failures++;
}

static inline void begin(uint32_t vaults)
{
    static const struct vault_events events = {
        .heard = heard, .unreached = next_fails, .awaited = is_awaited};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (getenv("KEEPER_VERBOSE") == NULL)
        dup2(null, STDERR_FILENO);
    close(null);
    master_open();
    now.capacity.vaults = before.capacity.vaults = vaults;
    faking = true;
    vaults_begin(&events);
}

/* A server whose `vaults` seats are filled, in order: the pid of seat n is FIRST_PID + n. */
static inline void serve(uint32_t vaults)
{
    struct error error;

    begin(vaults);
    ck_assert(vaults_start(vaults, &error));
    ck_assert_uint_eq(child_count, vaults);
    told_count = 0;
}

static inline bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static inline pid_t vault(uint32_t number)
{
    return FIRST_PID + (pid_t)number;
}

/* The process of that number, of all that were forked, ends. */
static inline void end_vault(uint32_t number, int status)
{
    fakes[number].dead = true;
    fakes[number].status = status;
    close(pairs[fakes[number].pair].child_end);
    children_reap();
}

static inline void crash(uint32_t number)
{
    end_vault(number, SIGSEGV);
}

static inline void fire(struct timer *timer)
{
    ck_assert(timer_is_set(timer));
    timer_cancel(&master.loop, timer);
    timer->callback(timer);
}

static inline uint64_t restarts(void)
{
    return counter_read(&master.board->vault_restarts);
}

/* Number of messages of this type sent to the vault `pid` (0: to any), or, for MESSAGE_VAULT, to
 * `worker` (NULL: to any). */
static inline uint32_t count(uint32_t type, const struct worker *worker, pid_t pid)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < told_count; i++) {
        sum += told[i].type == type && (worker == NULL || told[i].worker == worker) &&
               (pid == 0 || told[i].pid == pid);
    }
    return sum;
}

static inline void vault_says(uint32_t number, const struct message *message)
{
    size_t pair = fakes[number].pair;

    ck_assert(channel_send(pairs[pair].child_end, message, message->count > 0, NULL, 0));
    ck_assert_msg(master_reads(pairs[pair].master_end), "vault %u is not watched", number);
}

static inline void vault_tells(uint32_t number, enum message_type type, uint64_t serial,
                               uint64_t value)
{
    struct message message = {.type = type, .serial = serial, .number = value};
    vault_says(number, &message);
}

static inline void vault_holds(uint32_t number, uint64_t held, uint64_t refused)
{
    struct message message = {.type = MESSAGE_HELD, .number = held, .count = 1, .ids = {refused}};
    vault_says(number, &message);
}

/* The master's end of a channel to a vault of the former binary. */
static inline int new_channel(void)
{
    struct error error;
    int pair[2];

    ck_assert(channel_pair(pair, &error));
    return pair[0];
}

#endif
