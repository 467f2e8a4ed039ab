/* A pool of threads, and posting to the loop. See offload.h. */
#include "rpc/offload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/metric.h"
#include "rpc/note.h"

/* Work for a thread, or a call that was posted: what a thread hands to the loop. */
struct job {
    struct deferred *deferred; /* NULL: posted */
    uint64_t token;
    const struct method *method;
    struct origin origin; /* whom it is put down to */
    void (*work)(void *data);
    void (*done)(pillion_request *req, void *data);
    pillion_instance *instance;
    void (*call)(pillion_instance *self, void *data);
    void *data;
    struct job *next;
};

struct jobs {
    struct job *first, **end;
};

/* The one pool of this process. What threads touch is under `lock`. */
static struct {
    struct offload_limits limits;
    struct loop *loop;
    struct watch wake; /* eventfd(2) */
    pthread_t *ids;    /* of the threads; the loop's */
    uint32_t threads;  /* likewise */
    uint32_t pending;  /* likewise: jobs that are not done */

    pthread_mutex_t lock;
    pthread_cond_t work_there;
    struct jobs waiting, finished;
    uint32_t waiting_count, idle;
    bool ending;
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .work_there = PTHREAD_COND_INITIALIZER,
    .waiting.end = &pool.waiting.first,
    .finished.end = &pool.finished.first,
};

static _Thread_local bool on_loop;
static _Thread_local const struct method *working_for;

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
    return on_loop;
}

bool offload_on_loop(const char *function)
{
    if (on_loop || pool.loop == NULL)
        return true;
    if (working_for != NULL)
        log_error("module %s: \"%s\" called %s in a thread of the pool; threads may only post and "
                  "log",
                  working_for->instance->name, working_for->own_name, function);
    else
        log_error("a module called %s in a thread; threads may only post and log", function);
    return false;
}

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

static void finish_work(struct job *job)
{
    struct deferred *deferred = job->deferred;
    bool waits = deferred->serial == (uint32_t)job->token && deferred->state == DEFERRED_WAITING;

    pool.pending--;
    struct note before = note_enter(DUTY_DONE, job->method->instance, &job->origin);
    if (waits)
        deferred->working = false; /* before `done`, which may have more work done for it */
    job->done(waits ? deferred_resume(deferred->all, job->token) : NULL, job->data);
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
    metric_settle_cjson(self); /* what a thread of the module's own has made so far */
    hand_over(job);
    return true;
}

/* ---- Threads ---- */

static void *thread_main(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct job *job;
        pool.idle++;
        while ((job = jobs_take(&pool.waiting)) == NULL && !pool.ending)
            pthread_cond_wait(&pool.work_there, &pool.lock);
        pool.idle--;
        if (job == NULL)
            break;
        pool.waiting_count--;
        pthread_mutex_unlock(&pool.lock);
        working_for = job->method;
        struct note before = note_enter(DUTY_WORK, job->method->instance, &job->origin);
        job->work(job->data);
        note_leave(&before);
        working_for = NULL;
        hand_over(job);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* One more, when there is work for it. False when there is none at all. */
static bool thread_start(void)
{
    pthread_t thread;

    /* It blocks no signals: programs that `work` starts would inherit that, and could not be ended
     * by SIGTERM. The kernel gives what is meant for the process to the loop's thread first. */
    int error = pthread_create(&thread, NULL, thread_main, NULL);
    if (error == 0)
        pool.ids[pool.threads++] = thread;
    else if (pool.threads == 0)
        log_error("cannot start a thread for pillion_offload: errno %d", error);
    return pool.threads > 0;
}

/* Gives the job to a thread. False when the queue is full. */
static bool enqueue(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    bool thread_needed = pool.idle <= pool.waiting_count;
    pthread_mutex_unlock(&pool.lock);
    if (thread_needed && pool.threads < pool.limits.threads && !thread_start())
        return false;
    pthread_mutex_lock(&pool.lock);
    bool room = pool.pending < pool.limits.queue + pool.limits.threads;
    if (room) {
        jobs_add(&pool.waiting, job);
        pool.waiting_count++;
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
        if (enqueue(job)) {
            deferred->working = true;
            pool.pending++;
            return;
        }
    }
    free(job);
    req = deferred_resume(deferred->all, token);
    request_fail(req, PILLION_OVERLOADED,
                 "%u calls that block are under way, and %u wait (pool_threads, pool_queue)",
                 pool.limits.threads, pool.limits.queue);
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
    pool.ids = must_alloc(limits->threads * sizeof(*pool.ids));
    pool.loop = loop;
    on_loop = true;
    return true;
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
    while (pool.threads > 0)
        pthread_join(pool.ids[--pool.threads], NULL);
    free(pool.ids);
    pool.ids = NULL;
    pool.ending = false;
    loop_unwatch(pool.loop, &pool.wake);
    close(fd);
    pool.loop = NULL;
}
