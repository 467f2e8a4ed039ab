/* A pool of threads, and posting to the loop. See offload.h. */
#include "rpc/offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "rpc/metric.h"
#include "rpc/note.h"
#include "rpc/thread_pool.h"

#define LOOK_NS (100 * NS_PER_MS) /* between two looks for stuck threads */

/* What a named pool shows of itself. */
enum { SHOWS_THREADS, SHOWS_BUSY, SHOWS_QUEUED, SHOWS_STUCK, SHOWN };
static const char *const shown_names[SHOWN] = {"threads", "busy", "queued", "stuck"};

struct named_pool {
    struct thread_pool threads;
    const char *name; /* NULL: the worker's own */
    metric_cell unseen[SHOWN], *cells[SHOWN];
};

/* The pools of this process. */
static struct {
    struct offload_limits limits;
    struct loop *loop;
    struct watch wake;         /* eventfd(2) */
    struct timer look;         /* set while there are jobs */
    struct named_pool **pools; /* the worker's own is the first */
    uint32_t pool_count;
    uint32_t pending; /* jobs that are not done */
    uint32_t marked;  /* of them, those that are `waits` */

    pthread_mutex_t lock; /* for `finished` alone */
    struct jobs finished;
    _Atomic bool stopping; /* the process is to end: work is to be given up */
} all = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .finished.end = &all.finished.first,
};

_Thread_local bool offload_loop_thread;

bool offload_is_loop(void)
{
    return offload_loop_thread;
}

bool offload_on_loop(const char *function)
{
    if (offload_loop_thread || all.loop == NULL)
        return true;
    if (thread_job != NULL)
        log_seldom(LOG_ERROR_LEVEL, function,
                   "module %s: \"%s\" called %s in a thread of the pool, which did nothing; see "
                   "pillion_offload for the calls that threads may make",
                   thread_job->instance->name,
                   thread_job->method == NULL ? "pillion_run" : thread_job->method->own_name,
                   function);
    else
        log_seldom(LOG_ERROR_LEVEL, function,
                   "a module called %s in a thread, which did nothing; see pillion_offload for "
                   "the calls that threads may make",
                   function);
    return false;
}

/* ---- What is shown ---- */

static void show(const struct thread_pool *threads, int busy, int queued)
{
    const struct named_pool *pool = container_of(threads, struct named_pool, threads);
    struct board_row *row = all.limits.row;

    metric_cell_add(pool->cells[SHOWS_BUSY], busy);
    metric_cell_add(pool->cells[SHOWS_QUEUED], queued);
    if (row == NULL)
        return;
    atomic_fetch_add_explicit(&row->pool_busy, (uint32_t)busy, memory_order_relaxed);
    atomic_fetch_add_explicit(&row->pool_queued, (uint32_t)queued, memory_order_relaxed);
}

static void show_stuck(struct thread_pool *threads, int more)
{
    const struct named_pool *pool = container_of(threads, struct named_pool, threads);

    threads->stuck += (uint32_t)more;
    metric_cell_add(pool->cells[SHOWS_STUCK], more);
    if (all.limits.row != NULL)
        atomic_fetch_add_explicit(&all.limits.row->pool_stuck, (uint32_t)more,
                                  memory_order_relaxed);
}

/* ---- From threads to the loop ---- */

static void hand_over(struct job *job)
{
    pthread_mutex_lock(&all.lock);
    bool first = all.finished.first == NULL;
    jobs_add(&all.finished, job);
    pthread_mutex_unlock(&all.lock);
    if (first)
        eventfd_write(all.wake.fd, 1);
}

static const char *name_of(const struct job *job)
{
    return job->method == NULL ? "pillion_run" : job->method->name.data;
}

static struct pillion_request *resume_work(struct job *job)
{
    struct pillion_request *req = deferred_resume(job->deferred->all, job->token);

    if (job->ended == NULL)
        return req;
    request_fail(req, PILLION_INTERNAL_ERROR, "the work of \"%s\" has ended its thread",
                 name_of(job));
    return NULL;
}

/* Takes the job from its pool. */
static void leave_pool(struct job *job)
{
    all.pending--;
    job->pool->pending--;
    if (job->waits)
        all.marked--;
    if (job->ended != NULL) {
        log_seldom(LOG_ERROR_LEVEL, job->instance,
                   "module %s: the work of \"%s\" has ended its thread (pthread_exit); its request "
                   "is answered with an error, and a new thread takes the place",
                   job->instance->name, name_of(job));
        thread_pool_replace(job->ended);
    }
    if (job->stuck) {
        show_stuck(job->pool, -1);
        log_warn("module %s: the work of \"%s\" has ended after all; its thread is free again",
                 job->instance->name, name_of(job));
    }
}

static void finish_work(struct job *job)
{
    struct deferred *deferred = job->deferred;
    bool waits = deferred->serial == (uint32_t)job->token && deferred->state == DEFERRED_WAITING;

    if (waits)
        deferred_waits(deferred, false);
    if (job->late && waits)
        deferred_exceed(deferred);
    struct note before = note_enter(DUTY_DONE, job->instance, &job->origin);
    if (waits)
        deferred->working = false; /* before `done`, which may have more work done for it */
    job->done(waits && !job->late ? resume_work(job) : NULL, job->data);
    note_leave(&before);
    if (!waits)
        deferred_work_done(deferred);
}

/* The end of pillion_run's work, or a posted call. */
static void call_back(struct job *job)
{
    if (job->call == NULL)
        return;
    struct note before =
        note_enter(job->work == NULL ? DUTY_POSTED : DUTY_DONE, job->instance, &job->origin);
    job->call(job->instance, job->data);
    note_leave(&before);
}

static void woken(struct watch *watch, uint32_t events)
{
    eventfd_t count;

    (void)events;
    eventfd_read(watch->fd, &count);
    pthread_mutex_lock(&all.lock);
    struct job *job = all.finished.first;
    jobs_init(&all.finished);
    pthread_mutex_unlock(&all.lock);
    while (job != NULL) {
        struct job *next = job->next;
        if (job->pool != NULL)
            leave_pool(job);
        if (job->deferred != NULL)
            finish_work(job);
        else
            call_back(job);
        free(job);
        job = next;
    }
}

bool offload_post(pillion_instance *self, void (*call)(pillion_instance *self, void *data),
                  void *data)
{
    struct job *job = all.loop == NULL ? NULL : malloc(sizeof(*job));

    if (job == NULL)
        return false;
    *job = (struct job){.instance = self, .origin = note_origin(), .call = call, .data = data};
    metric_settle_cjson(self); /* the memory that a thread of the module's own has made so far */
    hand_over(job);
    return true;
}

/* ---- Threads that are stuck ---- */

/* The thread's job is stuck: its request is answered, or its client gone, for as long as handlers
 * of its method may take. The result is of no use any more, and no thread can be ended. Work of no
 * request may take as long as it likes. */
static bool is_stuck(struct job *job, uint64_t now)
{
    const struct deferred *deferred = job->deferred;

    if (deferred == NULL || job->stuck || job->method->timeout_ns == 0)
        return false;
    if (deferred->serial == (uint32_t)job->token &&
        (deferred->state == DEFERRED_WAITING || deferred->state == DEFERRED_HANDLER))
        return false;
    if (job->over_ns == 0)
        job->over_ns = now;
    return now - job->over_ns >= job->method->timeout_ns;
}

static void tell_stuck(struct job *job, uint64_t now)
{
    const struct named_pool *pool = container_of(job->pool, struct named_pool, threads);

    job->stuck = true;
    show_stuck(job->pool, 1);
    log_error("module %s: the work of \"%s\" still runs %llu ms after its request was over; one of "
              "the %u threads of the pool%s%s is stuck (handler_timeout, %s)",
              job->instance->name, name_of(job),
              (unsigned long long)((now - job->over_ns) / NS_PER_MS), pool->threads.limit,
              pool->name == NULL ? "" : " ", pool->name == NULL ? "" : pool->name,
              pool->name == NULL ? "pool_threads" : "pool");
    if (all.limits.stuck != NULL)
        all.limits.stuck(job->method);
}

static void look(struct timer *timer)
{
    uint64_t now = clock_ns();

    for (uint32_t p = 0; p < all.pool_count; p++) {
        struct thread_pool *pool = &all.pools[p]->threads;
        for (uint32_t i = 0; i < pool->threads; i++) {
            struct job *job = thread_pool_job(pool, i);
            if (job != NULL && is_stuck(job, now))
                tell_stuck(job, now);
        }
    }
    if (offload_useless() && all.limits.useless != NULL)
        all.limits.useless();
    if (all.pending > 0)
        timer_set(all.loop, timer, LOOK_NS, look);
}

bool offload_useless(void)
{
    for (uint32_t p = 0; p < all.pool_count; p++) {
        if (thread_pool_useless(&all.pools[p]->threads))
            return true;
    }
    return false;
}

/* ---- Work ---- */

/* Whether another worker may run the request for as long as no thread has begun its work. The first
 * work of a handler, that is: before that it has done nothing, if it goes by the header. */
static bool may_wait(const struct job *job)
{
    return all.limits.arena != NULL && job->origin.connection != 0 &&
           job->deferred->state == DEFERRED_HANDLER && job->instance->abi_minor >= 4 &&
           all.marked < ARENA_BEGUN;
}

/* Gives the job to a pool. False when it has no room. */
static bool begin(struct job *job, uint32_t pool)
{
    if (!thread_pool_add(&all.pools[pool]->threads, job, job->deferred != NULL && may_wait(job)))
        return false;
    all.pending++;
    all.marked += job->waits;
    if (!timer_is_set(&all.look))
        timer_set(all.loop, &all.look, LOOK_NS, look);
    return true;
}

void offload_request(struct pillion_request *req, uint64_t timeout_ms, void (*work)(void *data),
                     void (*done)(pillion_request *req, void *data), void *data)
{
    uint64_t token = deferred_begin(req, timeout_ms);

    if (token == 0)
        return;
    struct deferred *deferred = req->deferred;
    struct job *job = malloc(sizeof(*job));
    if (job != NULL) {
        *job = (struct job){.deferred = deferred,
                            .token = token,
                            .method = req->method,
                            .instance = req->method->instance,
                            .origin = note_origin(),
                            .work = work,
                            .done = done,
                            .data = data};
        if (req->method->instance->abi_minor >= 5)
            job->due_ns = deferred->due_ns;
        deferred_pooled(deferred);
        if (begin(job, req->method->pool)) {
            deferred->working = true;
            deferred->waits = job->waits;
            return;
        }
    }
    free(job);
    const struct named_pool *pool = all.pools[req->method->pool];
    req = deferred_resume(deferred->all, token);
    request_fail(req, PILLION_OVERLOADED, "%u calls that block are under way, and %u wait (%s%s)",
                 pool->threads.limit, pool->threads.queue,
                 pool->name == NULL ? "pool_threads, pool_queue" : "pool ",
                 pool->name == NULL ? "" : pool->name);
}

bool offload_run(pillion_instance *self, void (*work)(void *data),
                 void (*done)(pillion_instance *self, void *data), void *data)
{
    struct job *job = all.loop == NULL ? NULL : malloc(sizeof(*job));

    if (job == NULL)
        return false;
    *job = (struct job){
        .instance = self, .origin = note_origin(), .work = work, .call = done, .data = data};
    if (begin(job, self->pool))
        return true;
    free(job);
    return false;
}

/* A job for which no thread will come, of a request that may be run by another worker. */
static bool let_go_of(struct job *job, void *context)
{
    bool (**let_go)(struct deferred * deferred) = context;

    if (!job->waits || !job->deferred->waits || !(*let_go)(job->deferred))
        return false;
    all.pending--;
    all.marked--;
    return true;
}

bool offload_withdraw(bool (*let_go)(struct deferred *deferred))
{
    uint32_t before = all.pending;

    for (uint32_t p = 0; p < all.pool_count; p++) {
        if (thread_pool_useless(&all.pools[p]->threads))
            thread_pool_withdraw(&all.pools[p]->threads, let_go_of, &let_go);
    }
    return all.pending < before;
}

uint32_t offload_pending(void)
{
    return all.pending;
}

bool offload_cancelled(void)
{
    const struct job *job = thread_job;
    return job != NULL && (all.stopping || (job->deferred != NULL && job->deferred->over));
}

/* ---- The pools ---- */

uint32_t offload_add_pool(const char *name, uint32_t threads, uint32_t queue)
{
    struct named_pool *pool = must_zalloc(sizeof(*pool));

    pool->name = name;
    pool->threads = (struct thread_pool){.limit = threads,
                                         .queue = queue,
                                         .arena = all.limits.arena,
                                         .over = hand_over,
                                         .changed = show};
    for (unsigned i = 0; i < SHOWN; i++)
        pool->cells[i] = &pool->unseen[i];
    metric_cell_add(pool->cells[SHOWS_THREADS], threads);
    thread_pool_init(&pool->threads);
    all.pools = must_realloc(all.pools, (all.pool_count + 1) * sizeof(struct named_pool *));
    all.pools[all.pool_count] = pool;
    return all.pool_count++;
}

void offload_describe_pool(const char *name, struct text *list)
{
    for (unsigned i = 0; i < SHOWN; i++)
        text_printf(list, "=" OFFLOAD_METRIC "%s %s\n", name, shown_names[i]);
}

void offload_attach(const struct board *board, struct board_row *row)
{
    for (uint32_t p = 1; p < all.pool_count; p++) {
        struct named_pool *pool = all.pools[p];
        for (unsigned i = 0; i < SHOWN; i++) {
            char name[BOARD_NAME_MAX];
            snprintf(name, sizeof(name), OFFLOAD_METRIC "%s %s", pool->name, shown_names[i]);
            uint32_t index = board_find_metric(board, bytes_of(name));
            if (index == BOARD_NO_METRIC)
                continue;
            row->metrics[index] = pool->unseen[i];
            pool->cells[i] = &row->metrics[index];
        }
    }
}

bool offload_init(struct loop *loop, const struct offload_limits *limits)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0 || !loop_watch(loop, &all.wake, fd, EPOLLIN, woken))
        return false;
    all.limits = *limits;
    offload_add_pool(NULL, limits->threads, limits->queue);
    all.loop = loop;
    offload_loop_thread = true;
    return true;
}

void offload_stop(void)
{
    all.stopping = true;
}

bool offload_finish(uint64_t limit_ms)
{
    uint64_t deadline = clock_ns() + limit_ms * NS_PER_MS;

    while (all.pending > 0 && clock_ns() < deadline) {
        woken(&all.wake, EPOLLIN);
        if (all.pending > 0)
            usleep(1000);
    }
    return all.pending == 0;
}

void offload_end(void)
{
    int fd = all.wake.fd;

    while (all.pool_count > 0) {
        struct named_pool *pool = all.pools[--all.pool_count];
        thread_pool_end(&pool->threads);
        free(pool);
    }
    free(all.pools);
    all.pools = NULL;
    timer_cancel(all.loop, &all.look);
    all.stopping = false;
    loop_unwatch(all.loop, &all.wake);
    close(fd);
    all.loop = NULL;
}
