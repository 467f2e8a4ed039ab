/* Threads and their queue. See thread_pool.h. */
#include "rpc/thread_pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "rpc/note.h"

_Thread_local const struct job *thread_job;

void jobs_init(struct jobs *jobs)
{
    *jobs = (struct jobs){.end = &jobs->first};
}

void jobs_add(struct jobs *jobs, struct job *job)
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

void thread_pool_init(struct thread_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_there, NULL);
    jobs_init(&pool->waiting);
    pool->all = must_zalloc(pool->limit * sizeof(*pool->all));
    for (uint32_t i = 0; i < pool->limit; i++)
        pool->all[i].pool = pool;
}

/* Under the lock. */
static void count(struct thread_pool *pool, int busy, int queued)
{
    pool->busy += (uint32_t)busy;
    pool->waiting_count += (uint32_t)queued;
    if (pool->changed != NULL)
        pool->changed(pool, busy, queued);
}

/* ---- Threads ---- */

static void work_is_over(struct pool_thread *self)
{
    struct thread_pool *pool = self->pool;
    struct job *job = self->job;

    pthread_mutex_lock(&pool->lock);
    self->job = NULL;
    count(pool, -1, 0);
    pthread_mutex_unlock(&pool->lock);
    pool->over(job);
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

    thread_job = job;
    struct note before = note_enter(DUTY_WORK, job->instance, &job->origin);
    pthread_cleanup_push(thread_ends, self);
    job->work(job->data);
    pthread_cleanup_pop(0);
    note_leave(&before);
    thread_job = NULL;
    work_is_over(self);
}

/* Under the lock: the next job whose work is to be done. The others go back to the loop. */
static struct job *take_job(struct thread_pool *pool)
{
    struct job *job;

    while ((job = jobs_take(&pool->waiting)) != NULL) {
        count(pool, 0, -1);
        if (job->due_ns == 0 || clock_ns() < job->due_ns)
            break;
        job->late = true;
        pool->over(job);
    }
    return job;
}

static void *thread_main(void *argument)
{
    struct pool_thread *self = argument;
    struct thread_pool *pool = self->pool;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job *job;
        pool->idle++;
        while ((job = take_job(pool)) == NULL && !pool->ending)
            pthread_cond_wait(&pool->work_there, &pool->lock);
        pool->idle--;
        if (job == NULL)
            break;
        self->job = job;
        count(pool, 1, 0);
        if (job->waits)
            arena_work_begins(pool->arena, job->origin.connection, job->origin.place);
        pthread_mutex_unlock(&pool->lock);
        if (job->deferred != NULL)
            deferred_taken(job->deferred);
        run_work(self);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* One more, when there is work for it. False when there is none at all. */
static bool thread_start(struct thread_pool *pool)
{
    struct pool_thread *thread = pool->all;

    while (thread < pool->all + pool->threads && !thread->ended)
        thread++;
    /* It blocks no signals: programs that `work` starts would inherit that, and could not be ended
     * by SIGTERM. The kernel offers signals of the process to the loop's thread first. */
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    if (error == 0) {
        pool->ended -= thread->ended;
        pool->threads += !thread->ended;
        thread->ended = false;
    } else if (pool->threads == pool->ended) {
        log_seldom(LOG_ERROR_LEVEL, NULL, "cannot start a thread for pillion_offload: errno %d",
                   error);
    }
    return pool->threads > pool->ended;
}

/* Nothing waits for the thread itself: destructors of the module's keys (pthread_key_create(3)) may
 * take long. */
void thread_pool_replace(struct pool_thread *thread)
{
    pthread_detach(thread->id);
    thread->ended = true;
    thread->pool->ended++;
    thread_start(thread->pool);
}

/* ---- The queue ---- */

bool thread_pool_add(struct thread_pool *pool, struct job *job, bool may_wait)
{
    pthread_mutex_lock(&pool->lock);
    bool thread_needed = pool->idle <= pool->waiting_count;
    pthread_mutex_unlock(&pool->lock);
    bool more = thread_needed && pool->threads - pool->ended < pool->limit;
    if (more && !thread_start(pool))
        return false;
    job->pool = pool;
    job->waits = thread_needed && !more && may_wait;
    bool room = pool->pending < pool->queue + pool->limit;
    if (!room)
        return false;
    pool->pending++;
    pthread_mutex_lock(&pool->lock);
    jobs_add(&pool->waiting, job);
    count(pool, 0, 1);
    pthread_cond_signal(&pool->work_there);
    pthread_mutex_unlock(&pool->lock);
    return true;
}

struct job *thread_pool_job(struct thread_pool *pool, uint32_t thread)
{
    pthread_mutex_lock(&pool->lock);
    struct job *job = pool->all[thread].job;
    pthread_mutex_unlock(&pool->lock);
    return job;
}

void thread_pool_withdraw(struct thread_pool *pool, bool (*take)(struct job *job, void *context),
                          void *context)
{
    pthread_mutex_lock(&pool->lock);
    struct job *job = pool->waiting.first;
    jobs_init(&pool->waiting);
    while (job != NULL) {
        struct job *next = job->next;
        if (take(job, context)) {
            count(pool, 0, -1);
            pool->pending--;
            free(job);
        } else {
            jobs_add(&pool->waiting, job);
        }
        job = next;
    }
    pthread_mutex_unlock(&pool->lock);
}

void thread_pool_end(struct thread_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work_there);
    pthread_mutex_unlock(&pool->lock);
    while (pool->threads > 0) {
        const struct pool_thread *thread = &pool->all[--pool->threads];
        if (!thread->ended)
            pthread_join(thread->id, NULL);
    }
    pthread_cond_destroy(&pool->work_there);
    pthread_mutex_destroy(&pool->lock);
    free(pool->all);
}
