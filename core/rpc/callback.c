/* Timers and watched descriptors of modules. See callback.h. */
#include "rpc/callback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/metric.h"
#include "rpc/note.h"

enum kind { CALLBACK_FREE, CALLBACK_TIMER, CALLBACK_WATCH, CALLBACK_TOLD };

struct callback {
    enum kind kind;
    uint32_t index, serial; /* the handle */
    struct timer timer;
    struct watch watch;
    uint64_t every_ms;
    bool by_leader; /* the call is made in one worker of the server alone */
    pillion_instance *instance;
    struct origin origin;
    union {
        void (*timer_call)(pillion_instance *self, void *data);
        void (*watch_call)(pillion_instance *self, int fd, unsigned events, void *data);
        void (*told_call)(pillion_instance *self, const char *why, void *data);
    };
    void *data;
    struct callback *next_free;
};

/* The timers and watches of this process. */
static struct {
    struct loop *loop;
    enum lead (*leads)(void); /* NULL: this process does */
    struct callback **table;  /* never shrinks: a handle finds its own, or another one */
    uint32_t count, capacity;
    struct callback *free;
    struct callback **by_fd; /* the callback that watches a descriptor */
    size_t fd_count;
} all;

void callbacks_init(struct loop *loop)
{
    all.loop = loop;
}

void callbacks_led_by(enum lead (*leads)(void))
{
    all.leads = leads;
}

bool callbacks_usable(void)
{
    return all.loop != NULL;
}

struct loop *callbacks_loop(void)
{
    return all.loop;
}

/* ---- The table ---- */

static enum module_metric metric_of(enum kind kind)
{
    return kind == CALLBACK_TIMER ? METRIC_TIMERS : METRIC_DESCRIPTORS;
}

static struct callback *take(enum kind kind, pillion_instance *self, void *data)
{
    if (all.loop == NULL)
        return NULL;
    struct callback *callback = all.free;
    if (callback != NULL) {
        all.free = callback->next_free;
    } else {
        if (all.count == all.capacity) {
            all.capacity = all.capacity == 0 ? 64 : all.capacity * 2;
            all.table = must_realloc(all.table, all.capacity * sizeof(struct callback *));
        }
        callback = must_zalloc(sizeof(*callback));
        callback->index = all.count;
        all.table[all.count++] = callback;
    }
    uint32_t index = callback->index, serial = callback->serial + 1;
    *callback = (struct callback){.kind = kind,
                                  .index = index,
                                  .serial = serial,
                                  .instance = self,
                                  .origin = note_origin(),
                                  .data = data};
    metric_step(self, metric_of(kind), 1);
    return callback;
}

static void give(struct callback *callback)
{
    if (callback->kind == CALLBACK_WATCH) {
        if (all.by_fd[callback->watch.fd] == callback)
            all.by_fd[callback->watch.fd] = NULL;
        loop_unwatch(all.loop, &callback->watch);
    }
    timer_cancel(all.loop, &callback->timer);
    metric_step(callback->instance, metric_of(callback->kind), -1);
    callback->kind = CALLBACK_FREE;
    callback->next_free = all.free;
    all.free = callback;
}

static uint64_t handle_of(const struct callback *callback)
{
    return (uint64_t)(callback->index + 1) << 32 | callback->serial;
}

static struct callback *find(uint64_t handle)
{
    uint64_t index = handle >> 32;

    if (index == 0 || index > all.count)
        return NULL;
    struct callback *callback = all.table[index - 1];
    return callback->serial == (uint32_t)handle && callback->kind != CALLBACK_FREE ? callback
                                                                                   : NULL;
}

void callback_cancel(uint64_t handle)
{
    struct callback *callback = find(handle);

    if (callback != NULL)
        give(callback);
}

void callbacks_free(void)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.table[i]->kind != CALLBACK_FREE)
            give(all.table[i]);
    }
    for (uint32_t i = 0; i < all.count; i++)
        free(all.table[i]);
    free(all.table);
    free(all.by_fd);
    memset(&all, 0, sizeof(all));
}

/* ---- Timers ---- */

static void timer_fired(struct timer *timer);

#define NO_LEADER_MS 100u /* while workers change there may be none for a moment */

/* When it is due next. Calls for the whole server come at multiples of their period on the clock
 * that all processes share: a worker that is new goes on with them, and workers that are replaced
 * more often than the period put none of them off. */
static uint64_t next_call(const struct callback *callback)
{
    uint64_t now = clock_ns();

    if (callback->by_leader && all.leads != NULL && callback->every_ms <= UINT64_MAX / NS_PER_MS)
        now -= now % (callback->every_ms * NS_PER_MS);
    return clock_after(now, callback->every_ms);
}

/* True when the call is another worker's to make, or is put off. */
static bool is_of_others(struct callback *callback)
{
    enum lead lead = !callback->by_leader || all.leads == NULL ? LEAD_OWN : all.leads();

    if (lead == LEAD_OWN)
        return false;
    timer_set_at(all.loop, &callback->timer,
                 lead == LEAD_NOBODY && callback->every_ms > NO_LEADER_MS
                     ? clock_after(clock_ns(), NO_LEADER_MS)
                     : next_call(callback),
                 timer_fired);
    return true;
}

static void timer_fired(struct timer *timer)
{
    struct callback *callback = container_of(timer, struct callback, timer);
    struct callback was = *callback;

    if (is_of_others(callback))
        return;
    /* Set anew, or given back, before the call: the call may cancel it, or set others. */
    if (callback->every_ms != 0)
        timer_set_at(all.loop, timer, next_call(callback), timer_fired);
    else
        give(callback);
    struct note before = note_enter(DUTY_TIMER, was.instance, &was.origin);
    was.timer_call(was.instance, was.data);
    note_leave(&before);
}

uint64_t callback_timer(pillion_instance *self, uint64_t after_ms, uint64_t every_ms,
                        void (*call)(pillion_instance *self, void *data), void *data)
{
    struct callback *callback = take(CALLBACK_TIMER, self, data);

    if (callback == NULL)
        return 0;
    callback->every_ms = every_ms;
    callback->timer_call = call;
    if (after_ms == 0)
        timer_set(all.loop, &callback->timer, 0, timer_fired);
    else
        timer_set_at(all.loop, &callback->timer, clock_after(clock_ns(), after_ms), timer_fired);
    return handle_of(callback);
}

uint64_t callback_server_timer(pillion_instance *self, uint64_t every_ms,
                               void (*call)(pillion_instance *self, void *data), void *data)
{
    uint64_t handle = every_ms == 0 ? 0 : callback_timer(self, every_ms, every_ms, call, data);

    if (handle != 0) {
        struct callback *callback = find(handle);
        callback->by_leader = true;
        timer_set_at(all.loop, &callback->timer, next_call(callback), timer_fired);
    }
    return handle;
}

/* ---- Connections ---- */

uint64_t callback_told(pillion_instance *self,
                       void (*call)(pillion_instance *self, const char *why, void *data),
                       void *data)
{
    struct callback *callback = take(CALLBACK_TOLD, self, data);

    if (callback == NULL)
        return 0;
    callback->told_call = call;
    return handle_of(callback);
}

void callback_tell(uint64_t handle, const char *why)
{
    struct callback *callback = find(handle);

    if (callback == NULL)
        return;
    struct callback was = *callback; /* the call may cancel it, or set others */
    struct note before = note_enter(DUTY_WATCH, was.instance, &was.origin);
    was.told_call(was.instance, why, was.data);
    note_leave(&before);
}

/* ---- Descriptors ---- */

static uint32_t to_epoll(unsigned events)
{
    return (events & PILLION_READ ? (uint32_t)EPOLLIN : 0) |
           (events & PILLION_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static void watch_fired(struct watch *watch, uint32_t events)
{
    struct callback *callback = container_of(watch, struct callback, watch);
    unsigned seen = (events & EPOLLIN ? PILLION_READ : 0u) |
                    (events & EPOLLOUT ? PILLION_WRITE : 0u) |
                    (events & (EPOLLERR | EPOLLHUP) ? PILLION_FAILED : 0u);

    struct note before = note_enter(DUTY_WATCH, callback->instance, &callback->origin);
    callback->watch_call(callback->instance, watch->fd, seen, callback->data);
    note_leave(&before);
}

uint64_t callback_watch(pillion_instance *self, int fd, unsigned events,
                        void (*call)(pillion_instance *self, int fd, unsigned events, void *data),
                        void *data)
{
    if (fd < 0 || all.loop == NULL || loop_owns(all.loop, fd)) {
        errno = EBADF;
        return 0;
    }
    if ((size_t)fd >= all.fd_count) {
        size_t count = (size_t)fd + 64;
        all.by_fd = must_realloc(all.by_fd, count * sizeof(struct callback *));
        memset(all.by_fd + all.fd_count, 0, (count - all.fd_count) * sizeof(struct callback *));
        all.fd_count = count;
    }
    if (all.by_fd[fd] != NULL) {
        errno = EEXIST;
        return 0;
    }
    struct callback *callback = take(CALLBACK_WATCH, self, data);
    callback->watch_call = call;
    callback->watch.patient = 1; /* after the clients' events: a backend takes longer anyway */
    if (!loop_watch(all.loop, &callback->watch, fd, to_epoll(events), watch_fired)) {
        give(callback);
        return 0;
    }
    loop_disown(all.loop, fd);
    all.by_fd[fd] = callback;
    return handle_of(callback);
}

bool callback_change(uint64_t handle, unsigned events)
{
    struct callback *callback = find(handle);

    if (callback == NULL || callback->kind != CALLBACK_WATCH)
        return false;
    loop_change(all.loop, &callback->watch, to_epoll(events));
    return true;
}

void callbacks_closing(int fd)
{
    if (fd >= 0 && (size_t)fd < all.fd_count && all.by_fd[fd] != NULL)
        give(all.by_fd[fd]);
}
