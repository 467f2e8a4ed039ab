/* Threads, and the jobs that they do: the part of rpc/offload.h that knows nothing of requests.
 *
 * There is the pool of the worker, and there are those that the configuration names, so that one
 * module's work does not wait for another's. A pool is started by its first job. */
#ifndef PILLION_RPC_THREAD_POOL_H
#define PILLION_RPC_THREAD_POOL_H

#include <pthread.h>

#include "net/arena.h"
#include "rpc/deferred.h"

/* Work for a thread, or a call that a thread has posted to the loop. */
struct job {
    struct deferred *deferred; /* NULL: of no request */
    uint64_t token;
    const struct method *method; /* NULL: of no request */
    pillion_instance *instance;
    struct origin origin;     /* the module and request to which the job's work is charged */
    void (*work)(void *data); /* NULL: posted */
    void (*done)(pillion_request *req, void *data);   /* of a request */
    void (*call)(pillion_instance *self, void *data); /* otherwise; or NULL */
    void *data;
    uint64_t due_ns;  /* from when on the work is not begun any more; 0: always */
    uint64_t over_ns; /* when the loop first saw that its request was over; 0: it is not */
    bool stuck;
    bool late;  /* the thread that took it did not begin it */
    bool waits; /* it had to, and its frame says so */
    struct thread_pool *pool;
    struct pool_thread *ended; /* the thread that it has ended, or NULL */
    struct job *next;
};

struct jobs {
    struct job *first, **end;
};

/* A thread of a pool. */
struct pool_thread {
    struct thread_pool *pool;
    pthread_t id;
    struct job *job; /* the one that it runs, or NULL */
    bool ended;      /* the loop's: `work` has called pthread_exit(3) */
};

/* Members that threads touch are under `lock`; `pending`, `stuck`, `threads` and `ended` are the
 * loop's. */
struct thread_pool {
    uint32_t limit, queue;     /* threads, and jobs that wait for one */
    const struct arena *arena; /* where it is noted that work begins which had to wait, or NULL */
    void (*over)(struct job *job); /* in the thread: the job is to go back to the loop */
    void (*changed)(const struct thread_pool *pool, int busy, int queued); /* under the lock */

    uint32_t threads; /* the first ones in `all`, */
    uint32_t ended;   /* of which so many have ended */
    uint32_t pending; /* jobs that are not done */
    uint32_t stuck;   /* threads */

    pthread_mutex_t lock;
    pthread_cond_t work_there;
    struct jobs waiting;
    struct pool_thread *all; /* `limit` of them; the ids are the loop's */
    uint32_t waiting_count, idle, busy;
    bool ending;
};

void jobs_init(struct jobs *jobs);
void jobs_add(struct jobs *jobs, struct job *job);

/* The members above `threads` are set already. */
void thread_pool_init(struct thread_pool *pool);

/* The job that the calling thread does, or NULL. */
extern _Thread_local const struct job *thread_job;

/* Gives the job to a thread. False when the queue is full, or no thread can be had. `may_wait`: it
 * may be marked as one that waits, should it have to (job->waits). */
bool thread_pool_add(struct thread_pool *pool, struct job *job, bool may_wait);

/* A job has ended its thread: another one takes the place. */
void thread_pool_replace(struct pool_thread *thread);

/* The job that a thread does, or NULL. It stays as long as the loop does not free it. */
struct job *thread_pool_job(struct thread_pool *pool, uint32_t thread);

/* Takes the waiting jobs for which `take` is true from the queue, and frees them. */
void thread_pool_withdraw(struct thread_pool *pool, bool (*take)(struct job *job, void *context),
                          void *context);

/* Ends the threads, which do nothing any more, and waits for them. */
void thread_pool_end(struct thread_pool *pool);

/* True while at least half of the threads are stuck. */
static inline bool thread_pool_useless(const struct thread_pool *pool)
{
    return pool->stuck > 0 && pool->stuck * 2 >= pool->limit;
}

#endif
