/* A pool of threads, and posting to the loop. See offload.h. */
#include "rpc/offload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "net/arena.h"
#include "rpc/metric.h"
#include "rpc/note.h"

/* Work for a thread, or a call that a thread has posted to the loop. */
struct job {
    struct deferred *deferred; /* NULL: posted */
    uint64_t token;
    const struct method *method;
    struct origin origin; /* the module and request to which the job's work is charged */
    void (*work)(void *data);
    void (*done)(pillion_request *req, void *data);
    pillion_instance *instance;
    void (*call)(pillion_instance *self, void *data);
    void *data;
    uint64_t due_ns;  /* from when on the work is not begun any more; 0: always */
    uint64_t over_ns; /* when the loop first saw that its request was over; 0: it is not */
    bool stuck;
    bool late;                 /* the thread that took it did not begin it */
    bool waits;                /* it had to, and its frame says so */
    struct pool_thread *ended; /* the thread that it has ended, or NULL */
    struct job *next;
};

/* A thread of the pool. */
struct pool_thread {
    pthread_t id;
    struct job *job; /* the one that it runs, or NULL */
    bool ended;      /* the loop's: `work` has called pthread_exit(3) */
};

#define LOOK_NS (100 * NS_PER_MS) /* between two looks for stuck threads */

struct jobs {
    struct job *first, **end;
};

/* The one pool of this process. Members that threads touch are under `lock`. */
static struct {
    struct offload_limits limits;
    struct loop *loop;
    struct watch wake; /* eventfd(2) */
    struct timer look; /* set while there are jobs */
    uint32_t threads;  /* the loop's: the first ones in `all`, */
    uint32_t ended;    /* of which so many have ended */
    uint32_t pending;  /* likewise: jobs that are not done */
    uint32_t stuck;    /* likewise: threads */
    uint32_t marked;   /* likewise: jobs that are `waits` and not done */

    pthread_mutex_t lock;
    pthread_cond_t work_there;
    struct jobs waiting, finished;
    struct pool_thread *all; /* `limits.threads` of them; the ids are the loop's */
    uint32_t waiting_count, idle, busy;
    bool ending;
    _Atomic bool stopping; /* the process is to end: work is to be given up */
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .work_there = PTHREAD_COND_INITIALIZER,
    .waiting.end = &pool.waiting.first,
    .finished.end = &pool.finished.first,
};

_Thread_local bool offload_loop_thread;
static _Thread_local const struct job *working; /* the one that this thread runs, or NULL */

static void jobs_add(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

static struct job *jobs_take(struct jobs *jobs)
{
    struct job *job = jobs->first;

    if (job != NULL && (jobs->first = job->next) == NULL)
        jobs->end = &jobs->first;
    return job;
}

bool offload_is_loop(void)
{
    return offload_loop_thread;
}

bool offload_on_loop(const char *function)
{
    if (offload_loop_thread || pool.loop == NULL)
        return true;
    if (working != NULL)
        log_seldom(LOG_ERROR_LEVEL, function,
                   "module %s: \"%s\" called %s in a thread of the pool, which did nothing; see "
                   "pillion_offload for the calls that threads may make",
                   working->method->instance->name, working->method->own_name, function);
    else
        log_seldom(LOG_ERROR_LEVEL, function,
                   "a module called %s in a thread, which did nothing; see pillion_offload for "
                   "the calls that threads may make",
                   function);
    return false;
}

/* Under the lock. */
static void show(void)
{
    struct board_row *row = pool.limits.row;

    if (row == NULL)
        return;
    atomic_store_explicit(&row->pool_busy, pool.busy, memory_order_relaxed);
    atomic_store_explicit(&row->pool_queued, pool.waiting_count, memory_order_relaxed);
}

static void show_stuck(int more)
{
    pool.stuck += (uint32_t)more;
    if (pool.limits.row != NULL)
        atomic_store_explicit(&pool.limits.row->pool_stuck, pool.stuck, memory_order_relaxed);
}

static void *thread_main(void *argument);

/* ---- From threads to the loop ---- */

static void hand_over(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    bool first = pool.finished.first == NULL;
    jobs_add(&pool.finished, job);
    pthread_mutex_unlock(&pool.lock);
    if (first)
        eventfd_write(pool.wake.fd, 1);
}

/* One more, when there is work for it. False when there is none at all. */
static bool thread_start(void)
{
    struct pool_thread *thread = pool.all;

    while (thread < pool.all + pool.threads && !thread->ended)
        thread++;
    /* It blocks no signals: programs that `work` starts would inherit that, and could not be ended
     * by SIGTERM. The kernel offers signals of the process to the loop's thread first. */
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    if (error == 0) {
        pool.ended -= thread->ended;
        pool.threads += !thread->ended;
        thread->ended = false;
    } else if (pool.threads == pool.ended) {
        log_seldom(LOG_ERROR_LEVEL, NULL, "cannot start a thread for pillion_offload: errno %d",
                   error);
    }
    return pool.threads > pool.ended;
}

/* Nothing waits for the thread itself: destructors of the module's keys (pthread_key_create(3)) may
 * take long. */
static void replace_thread(struct pool_thread *thread, const struct method *method)
{
    log_seldom(LOG_ERROR_LEVEL, method,
               "module %s: the work of \"%s\" has ended its thread (pthread_exit); its request is "
               "answered with an error, and a new thread takes the place",
               method->instance->name, method->name.data);
    pthread_detach(thread->id);
    thread->ended = true;
    pool.ended++;
    thread_start();
}

static struct pillion_request *resume_work(struct job *job)
{
    struct pillion_request *req = deferred_resume(job->deferred->all, job->token);

    if (job->ended == NULL)
        return req;
    request_fail(req, PILLION_INTERNAL_ERROR, "the work of \"%s\" has ended its thread",
                 job->method->name.data);
    return NULL;
}

static void finish_work(struct job *job)
{
    struct deferred *deferred = job->deferred;
    bool waits = deferred->serial == (uint32_t)job->token && deferred->state == DEFERRED_WAITING;

    pool.pending--;
    if (job->waits)
        pool.marked--;
    if (waits)
        deferred_waits(deferred, false);
    if (job->ended != NULL)
        replace_thread(job->ended, job->method);
    if (job->stuck) {
        show_stuck(-1);
        log_warn("module %s: the work of \"%s\" has ended after all; its thread is free again",
                 job->method->instance->name, job->method->name.data);
    }
    if (job->late && waits)
        deferred_exceed(deferred);
    struct note before = note_enter(DUTY_DONE, job->method->instance, &job->origin);
    if (waits)
        deferred->working = false; /* before `done`, which may have more work done for it */
    job->done(waits && !job->late ? resume_work(job) : NULL, job->data);
    note_leave(&before);
    if (!waits)
        deferred_work_done(deferred);
}

static void woken(struct watch *watch, uint32_t events)
{
    eventfd_t count;

    (void)events;
    eventfd_read(watch->fd, &count);
    pthread_mutex_lock(&pool.lock);
    struct job *job = pool.finished.first;
    pool.finished.first = NULL;
    pool.finished.end = &pool.finished.first;
    pthread_mutex_unlock(&pool.lock);
    while (job != NULL) {
        struct job *next = job->next;
        if (job->deferred != NULL) {
            finish_work(job);
        } else {
            struct note before = note_enter(DUTY_POSTED, job->instance, &job->origin);
            job->call(job->instance, job->data);
            note_leave(&before);
        }
        free(job);
        job = next;
    }
}

bool offload_post(pillion_instance *self, void (*call)(pillion_instance *self, void *data),
                  void *data)
{
    struct job *job = pool.loop == NULL ? NULL : malloc(sizeof(*job));

    if (job == NULL)
        return false;
    *job = (struct job){.instance = self, .origin = note_origin(), .call = call, .data = data};
    metric_settle_cjson(self); /* the memory that a thread of the module's own has made so far */
    hand_over(job);
    return true;
}

/* ---- Threads ---- */

static void work_is_over(struct pool_thread *self)
{
    struct job *job = self->job;

    pthread_mutex_lock(&pool.lock);
    self->job = NULL;
    pool.busy--;
    show();
    pthread_mutex_unlock(&pool.lock);
    hand_over(job);
}

/* `work` has called pthread_exit(3), or was cancelled. */
static void thread_ends(void *thread)
{
    static const struct note nothing;
    struct pool_thread *self = thread;

    note_leave(&nothing);
    self->job->ended = self;
    work_is_over(self);
}

static void run_work(struct pool_thread *self)
{
    struct job *job = self->job;

    working = job;
    struct note before = note_enter(DUTY_WORK, job->method->instance, &job->origin);
    pthread_cleanup_push(thread_ends, self);
    job->work(job->data);
    pthread_cleanup_pop(0);
    note_leave(&before);
    working = NULL;
    work_is_over(self);
}

/* Under the lock: the next job whose work is to be done. The others go back to the loop. */
static struct job *take_job(void)
{
    struct job *job;

    while ((job = jobs_take(&pool.waiting)) != NULL) {
        pool.waiting_count--;
        if (job->due_ns == 0 || clock_ns() < job->due_ns)
            break;
        job->late = true;
        jobs_add(&pool.finished, job);
        eventfd_write(pool.wake.fd, 1);
    }
    return job;
}

static void *thread_main(void *argument)
{
    struct pool_thread *self = argument;

    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct job *job;
        pool.idle++;
        while ((job = take_job()) == NULL && !pool.ending)
            pthread_cond_wait(&pool.work_there, &pool.lock);
        pool.idle--;
        if (job == NULL)
            break;
        pool.busy++;
        self->job = job;
        show();
        if (job->waits)
            arena_work_begins(pool.limits.arena, job->origin.connection, job->origin.place);
        pthread_mutex_unlock(&pool.lock);
        run_work(self);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* ---- Threads that are stuck ---- */

/* The thread's job is stuck: its request is answered, or its client gone, for as long as handlers
 * of its method may take. The result is of no use any more, and no thread can be ended. */
static bool is_stuck(struct job *job, uint64_t now)
{
    const struct deferred *deferred = job->deferred;
    bool waited_for = deferred->serial == (uint32_t)job->token &&
                      (deferred->state == DEFERRED_WAITING || deferred->state == DEFERRED_HANDLER);

    if (waited_for || job->stuck || job->method->timeout_ns == 0)
        return false;
    if (job->over_ns == 0)
        job->over_ns = now;
    return now - job->over_ns >= job->method->timeout_ns;
}

static void tell_stuck(struct job *job, uint64_t now)
{
    const struct method *method = job->method;

    job->stuck = true;
    show_stuck(1);
    log_error("module %s: the work of \"%s\" still runs %llu ms after its request was over; one of "
              "the %u threads of the pool is stuck (handler_timeout, pool_threads)",
              method->instance->name, method->name.data,
              (unsigned long long)((now - job->over_ns) / NS_PER_MS), pool.limits.threads);
    if (pool.limits.stuck != NULL)
        pool.limits.stuck(method);
}

static void look(struct timer *timer)
{
    uint64_t now = clock_ns();

    for (uint32_t i = 0; i < pool.threads; i++) {
        pthread_mutex_lock(&pool.lock); /* only this thread frees a job that was handed over */
        struct job *job = pool.all[i].job;
        pthread_mutex_unlock(&pool.lock);
        if (job != NULL && is_stuck(job, now))
            tell_stuck(job, now);
    }
    if (offload_useless() && pool.limits.useless != NULL)
        pool.limits.useless();
    if (pool.pending > 0)
        timer_set(pool.loop, timer, LOOK_NS, look);
}

/* Whether another worker may run the request for as long as no thread has begun its work. The first
 * work of a handler, that is: before that it has done nothing, if it goes by the header. */
static bool may_wait(const struct job *job)
{
    return pool.limits.arena != NULL && job->origin.connection != 0 &&
           job->deferred->state == DEFERRED_HANDLER && job->method->instance->abi_minor >= 4 &&
           pool.marked < ARENA_BEGUN;
}

/* Gives the job to a thread. False when the queue is full. */
static bool enqueue(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    bool thread_needed = pool.idle <= pool.waiting_count;
    pthread_mutex_unlock(&pool.lock);
    bool more = thread_needed && pool.threads - pool.ended < pool.limits.threads;
    if (more && !thread_start())
        return false;
    job->waits = thread_needed && !more && may_wait(job);
    pthread_mutex_lock(&pool.lock);
    bool room = pool.pending < pool.limits.queue + pool.limits.threads;
    if (room) {
        jobs_add(&pool.waiting, job);
        pool.waiting_count++;
        show();
        pthread_cond_signal(&pool.work_there);
    }
    pthread_mutex_unlock(&pool.lock);
    return room;
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
                            .origin = note_origin(),
                            .work = work,
                            .done = done,
                            .data = data};
        if (req->method->instance->abi_minor >= 5)
            job->due_ns = deferred->due_ns;
        if (enqueue(job)) {
            deferred->working = true;
            deferred->waits = job->waits;
            pool.marked += job->waits;
            pool.pending++;
            if (!timer_is_set(&pool.look))
                timer_set(pool.loop, &pool.look, LOOK_NS, look);
            return;
        }
    }
    free(job);
    req = deferred_resume(deferred->all, token);
    request_fail(req, PILLION_OVERLOADED,
                 "%u calls that block are under way, and %u wait (pool_threads, pool_queue)",
                 pool.limits.threads, pool.limits.queue);
}

bool offload_useless(void)
{
    return pool.stuck > 0 && pool.stuck * 2 >= pool.limits.threads;
}

void offload_withdraw(bool (*let_go)(struct deferred *deferred))
{
    pthread_mutex_lock(&pool.lock);
    struct job *job = pool.waiting.first;
    pool.waiting.first = NULL;
    pool.waiting.end = &pool.waiting.first;
    while (job != NULL) {
        struct job *next = job->next;
        if (job->waits && job->deferred->waits && let_go(job->deferred)) {
            pool.waiting_count--;
            pool.pending--;
            pool.marked--;
            free(job);
        } else {
            jobs_add(&pool.waiting, job);
        }
        job = next;
    }
    show();
    pthread_mutex_unlock(&pool.lock);
}

uint32_t offload_pending(void)
{
    return pool.pending;
}

bool offload_init(struct loop *loop, const struct offload_limits *limits)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0 || !loop_watch(loop, &pool.wake, fd, EPOLLIN, woken))
        return false;
    pool.limits = *limits;
    pool.all = must_zalloc(limits->threads * sizeof(*pool.all));
    pool.loop = loop;
    offload_loop_thread = true;
    return true;
}

bool offload_cancelled(void)
{
    return working != NULL && (pool.stopping || working->deferred->over);
}

void offload_stop(void)
{
    pool.stopping = true;
}

bool offload_finish(uint64_t limit_ms)
{
    uint64_t deadline = clock_ns() + limit_ms * NS_PER_MS;

    while (pool.pending > 0 && clock_ns() < deadline) {
        woken(&pool.wake, EPOLLIN);
        if (pool.pending > 0)
            usleep(1000);
    }
    return pool.pending == 0;
}

void offload_end(void)
{
    int fd = pool.wake.fd;

    pthread_mutex_lock(&pool.lock);
    pool.ending = true;
    pthread_cond_broadcast(&pool.work_there);
    pthread_mutex_unlock(&pool.lock);
    while (pool.threads > 0) {
        const struct pool_thread *thread = &pool.all[--pool.threads];
        if (!thread->ended)
            pthread_join(thread->id, NULL);
    }
    pool.ended = 0;
    free(pool.all);
    pool.all = NULL;
    timer_cancel(pool.loop, &pool.look);
    pool.stopping = false;
    pool.ending = false;
    loop_unwatch(pool.loop, &pool.wake);
    close(fd);
    pool.loop = NULL;
}
