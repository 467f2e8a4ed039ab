/* The event loop. See loop.h. */
#include "event/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define EVENTS_PER_BATCH 256
/* A bound, so that timers which are always due cannot starve descriptors. */
#define TIMERS_PER_ITERATION 64
#define LOG_TRY_FIRST        (NS_PER_S / 4)
#define LOG_TRY_LONGEST      (64 * NS_PER_S)

/* A table of owned descriptors. Other threads read it while the loop's thread replaces it, so
 * outgrown tables are kept: each is twice as large as the one before, so all of them together are
 * no larger than the last. */
struct owned {
    struct owned *outgrown;
    size_t words;
    _Atomic uint64_t bits[];
};

bool loop_init(struct loop *loop, struct error *error)
{
    *loop = (struct loop){.now = clock_ns()};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return error_errno(error, "cannot create an epoll descriptor");
    return true;
}

void loop_free(struct loop *loop)
{
    close(loop->epoll);
    free(loop->watches);
    free(loop->free_indexes);
    for (struct owned *owned = loop->owned, *outgrown; owned != NULL; owned = outgrown) {
        outgrown = owned->outgrown;
        free(owned);
    }
    free(loop->timers);
    *loop = (struct loop){.epoll = -1};
}

/* ---- Watches ---- */

static uint32_t index_take(struct loop *loop)
{
    if (loop->free_count > 0)
        return loop->free_indexes[--loop->free_count];
    if (loop->watch_count == loop->watch_capacity) {
        loop->watch_capacity = loop->watch_capacity == 0 ? 64 : loop->watch_capacity * 2;
        loop->watches = must_realloc(loop->watches, loop->watch_capacity * sizeof(*loop->watches));
        loop->free_indexes =
            must_realloc(loop->free_indexes, loop->watch_capacity * sizeof(*loop->free_indexes));
    }
    return loop->watch_count++;
}

static struct owned *owned_grow(struct loop *loop, struct owned *former, size_t word)
{
    size_t before = former == NULL ? 0 : former->words;
    size_t words = word + 16 > 2 * before ? word + 16 : 2 * before;
    struct owned *owned = must_zalloc(sizeof(*owned) + words * sizeof(owned->bits[0]));

    owned->outgrown = former;
    owned->words = words;
    for (size_t i = 0; i < before; i++)
        atomic_init(&owned->bits[i], atomic_load_explicit(&former->bits[i], memory_order_relaxed));
    atomic_store_explicit(&loop->owned, owned, memory_order_release);
    return owned;
}

static void own(struct loop *loop, int fd, bool own_it)
{
    struct owned *owned = atomic_load_explicit(&loop->owned, memory_order_relaxed);
    size_t word = (size_t)fd / 64;
    uint64_t bit = 1ull << (fd % 64);

    if (owned == NULL || word >= owned->words)
        owned = owned_grow(loop, owned, word);
    uint64_t bits = atomic_load_explicit(&owned->bits[word], memory_order_relaxed);
    atomic_store_explicit(&owned->bits[word], own_it ? bits | bit : bits & ~bit,
                          memory_order_relaxed);
}

void loop_own(struct loop *loop, int fd)
{
    own(loop, fd, true);
}

void loop_disown(struct loop *loop, int fd)
{
    own(loop, fd, false);
}

bool loop_owns(const struct loop *loop, int fd)
{
    const struct owned *owned = atomic_load_explicit(&loop->owned, memory_order_acquire);

    if (fd < 0)
        return false;
    size_t word = (size_t)fd / 64;
    return fd == loop->epoll ||
           (owned != NULL && word < owned->words &&
            (atomic_load_explicit(&owned->bits[word], memory_order_relaxed) >> (fd % 64) & 1) != 0);
}

int loop_owned_end(const struct loop *loop)
{
    const struct owned *owned = atomic_load_explicit(&loop->owned, memory_order_acquire);

    return owned == NULL ? 0 : (int)(owned->words * 64);
}

/* The kernel gives `data` back with each event: the index in the table, and the serial number of
 * the registration. */
static struct epoll_event event_of(const struct watch *watch)
{
    return (struct epoll_event){
        .events = watch->events,
        .data.u64 = (uint64_t)(watch->index - 1) << 32 | watch->serial,
    };
}

bool loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events,
                watch_callback callback)
{
    uint32_t index = index_take(loop);

    watch->callback = callback;
    watch->fd = fd;
    watch->index = (index + 1) & INT32_MAX;
    watch->serial = ++loop->serial;
    watch->events = events;
    struct epoll_event event = event_of(watch);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        watch->index = 0;
        loop->free_indexes[loop->free_count++] = index;
        return false;
    }
    loop->watches[index] = watch;
    own(loop, fd, true);
    return true;
}

void loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (watch->index == 0 || watch->events == events)
        return;
    watch->events = events;
    struct epoll_event event = event_of(watch);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0)
        log_error("epoll_ctl(MOD) of descriptor %d failed: errno %d", watch->fd, errno);
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    if (watch->index == 0)
        return;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    uint32_t index = watch->index - 1;
    own(loop, watch->fd, false);
    loop->watches[index] = NULL;
    loop->free_indexes[loop->free_count++] = index;
    watch->index = 0;
}

/* ---- Timers: a binary heap, the nearest deadline first ----
 *
 * Deadlines stand in the heap, not in the timers: most timers of a server never fire, and are
 * cancelled while thousands of others are set. Reading the others' deadlines from the timers would
 * cost a cache miss for each step. */

struct timer_entry {
    uint64_t deadline; /* on clock_ns() */
    struct timer *timer;
};

static void heap_put(struct loop *loop, size_t at, struct timer_entry entry)
{
    loop->timers[at] = entry;
    entry.timer->index = at + 1;
}

static void heap_up(struct loop *loop, size_t at, struct timer_entry entry)
{
    while (at > 0 && entry.deadline < loop->timers[(at - 1) / 2].deadline) {
        heap_put(loop, at, loop->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(loop, at, entry);
}

static void heap_down(struct loop *loop, size_t at, struct timer_entry entry)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->timer_count)
            break;
        if (child + 1 < loop->timer_count &&
            loop->timers[child + 1].deadline < loop->timers[child].deadline)
            child++;
        if (entry.deadline <= loop->timers[child].deadline)
            break;
        heap_put(loop, at, loop->timers[child]);
        at = child;
    }
    heap_put(loop, at, entry);
}

void timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback)
{
    timer_set_at(loop, timer, ns == 0 ? loop->heard_ns + loop->firing : clock_ns() + ns, callback);
}

void timer_set_at(struct loop *loop, struct timer *timer, uint64_t deadline,
                  timer_callback callback)
{
    timer_cancel(loop, timer);
    timer->callback = callback;
    if (loop->timer_count == loop->timer_capacity) {
        loop->timer_capacity = loop->timer_capacity == 0 ? 16 : loop->timer_capacity * 2;
        loop->timers = must_realloc(loop->timers, loop->timer_capacity * sizeof(*loop->timers));
    }
    heap_up(loop, loop->timer_count++, (struct timer_entry){deadline, timer});
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    size_t at = timer->index - 1;
    struct timer_entry last = loop->timers[--loop->timer_count];
    timer->index = 0;
    if (last.timer == timer)
        return;
    if (at > 0 && last.deadline < loop->timers[(at - 1) / 2].deadline)
        heap_up(loop, at, last);
    else
        heap_down(loop, at, last);
}

/* Runs every timer due by `heard_ns`, including 0 ns timers set by this batch's event callbacks. 0
 * ns timers set by timer callbacks wait for the next iteration, or one could starve the sockets. */
static void run_timers(struct loop *loop)
{
    loop->firing = true;
    for (int ran = 0; ran < TIMERS_PER_ITERATION && loop->timer_count > 0 &&
                      loop->timers[0].deadline <= loop->heard_ns && !loop->stopping;
         ran++) {
        struct timer *timer = loop->timers[0].timer;
        timer_cancel(loop, timer);
        timer->callback(timer);
    }
    loop->firing = false;
}

/* A log whose reader stalls loses lines, and reports their number once the reader goes on; also
 * when this process has nothing else to log. Nothing tells when the reader goes on, so the log is
 * asked to try again, after pauses that double. */
static void settle_log(struct loop *loop)
{
    uint64_t now = clock_ns();

    if (loop->log_try_at == 0)
        loop->log_try_ns = LOG_TRY_FIRST / 2;
    else if (now >= loop->log_try_at)
        log_settle();
    else
        return;
    if (!log_owes()) {
        loop->log_try_at = 0;
        return;
    }
    if (loop->log_try_ns < LOG_TRY_LONGEST)
        loop->log_try_ns *= 2;
    loop->log_try_at = now + loop->log_try_ns;
}

/* Milliseconds until the nearest deadline, rounded up so that the loop never wakes just before it;
 * -1 for ever. */
static int wait_time(struct loop *loop)
{
    uint64_t deadline = loop->timer_count == 0 ? UINT64_MAX : loop->timers[0].deadline;

    if (log_owes() || loop->log_try_at != 0) {
        settle_log(loop);
        if (loop->log_try_at != 0 && loop->log_try_at < deadline)
            deadline = loop->log_try_at;
    }
    if (deadline == UINT64_MAX && !loop->timed)
        return -1;
    uint64_t now = loop->idle_ns = clock_ns();
    if (deadline == UINT64_MAX)
        return -1;
    if (deadline <= now)
        return 0;
    uint64_t ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* ---- Running ---- */

/* A wait that has lasted for longer began with nothing ready. One that was shorter may have had no
 * processor to end on. */
#define SLEPT_NS NS_PER_S

static void note_wake(struct loop *loop)
{
    uint64_t now = clock_ns();

    loop->behind_ns = loop->before_ns;
    loop->before_ns = loop->woke_ns;
    if (now - loop->idle_ns > SLEPT_NS)
        loop->behind_ns = loop->before_ns = now;
    loop->woke_ns = loop->now = now;
}

/* Notes up to when this batch has all events: until its wait began, as the process may have been
 * stopped between the wait's end and now. After a wait that a signal has ended it has none, and a
 * full batch leaves some behind: those come in the next ones, since the kernel goes around. */
static void note_heard(struct loop *loop, int count)
{
    if (count != EVENTS_PER_BATCH)
        loop->full_batches = 0;
    else if (loop->full_batches++ == 0)
        loop->full_since_ns = loop->idle_ns;
    bool around = loop->full_batches * EVENTS_PER_BATCH >= loop->watch_count;
    uint64_t heard = 0;
    if (count >= 0 && loop->full_batches == 0)
        heard = loop->idle_ns;
    else if (count >= 0 && around)
        heard = loop->full_since_ns;
    if (around)
        loop->full_batches = 0;
    /* The last iteration's 0 ns timers are due in any case. */
    loop->heard_ns = heard > loop->heard_ns ? heard : loop->heard_ns + 1;
}

/* Calls back the batch's watches that are patient, or those that are not. True when watches of the
 * other kind are left. An event that was delivered is zeroed, because its watch may have become
 * patient since. */
static bool run_events(struct loop *loop, struct epoll_event *events, int count, bool patient)
{
    bool left = false;

    for (int i = 0; i < count && !loop->stopping; i++) {
        struct watch *watch = loop->watches[events[i].data.u64 >> 32];
        if (events[i].events == 0 || watch == NULL || watch->serial != (uint32_t)events[i].data.u64)
            continue;
        if (watch->patient != (patient ? 1 : 0)) {
            left = true;
            continue;
        }
        uint32_t happened = events[i].events;
        events[i].events = 0;
        watch->callback(watch, happened);
    }
    return left;
}

void loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_PER_BATCH];

    loop->stopping = false;
    while (!loop->stopping) {
        if (loop->after_batch != NULL)
            loop->after_batch(loop, loop->context);
        if (loop->stopping)
            break;
        int count = epoll_wait(loop->epoll, events, EVENTS_PER_BATCH, wait_time(loop));
        if (count < 0 && errno != EINTR) {
            /* The epoll descriptor is closed or is another one: the process cannot be trusted. */
            log_error("epoll_wait failed: errno %d; the process ends", errno);
            abort();
        }
        note_wake(loop);
        note_heard(loop, count);
        if (run_events(loop, events, count, false))
            run_events(loop, events, count, true);
        run_timers(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}
