/* Cancel requests: PostgreSQL takes each on a connection of its own, and ends the statement that
 * another connection runs. libpq's PQcancel sends one, and blocks until that is done. So each pool
 * has a thread for it, which is made when it is first needed. */
#include "cancel.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX     256
#define NO_MEMORY_US 10000u /* pause before the next try */

struct job {
    struct canceller *canceller;
    struct connection *connection;
    unsigned serial; /* the connection's, when the job was made */
    PGcancel *cancel;
    bool good;
    char text[TEXT_MAX];
    struct job *next;
};

struct canceller {
    pillion_instance *self;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *first, **end; /* jobs to do; under the lock */
    bool closing;             /* likewise */
    size_t owed;              /* jobs whose end the loop has not heard of; only the loop uses it */
};

/* ---- In the thread ---- */

static void told(pillion_instance *self, void *data);

static struct job *job_wait(struct canceller *canceller)
{
    struct job *job;

    pthread_mutex_lock(&canceller->lock);
    while (canceller->first == NULL && !canceller->closing)
        pthread_cond_wait(&canceller->wake, &canceller->lock);
    job = canceller->closing ? NULL : canceller->first;
    if (job != NULL) {
        canceller->first = job->next;
        if (canceller->first == NULL)
            canceller->end = &canceller->first;
    }
    pthread_mutex_unlock(&canceller->lock);
    return job;
}

static void *canceller_run(void *data)
{
    struct canceller *canceller = data;
    struct job *job;

    while ((job = job_wait(canceller)) != NULL) {
        job->good = PQcancel(job->cancel, job->text, sizeof(job->text)) == 1;
        PQfreeCancel(job->cancel);
        job->cancel = NULL;
        while (!pillion_post(canceller->self, told, job))
            usleep(NO_MEMORY_US);
    }
    return NULL;
}

/* ---- In the loop ---- */

static void told(pillion_instance *self, void *data)
{
    struct job *job = data;
    struct canceller *canceller = job->canceller;
    struct connection *connection = job->connection;

    canceller->owed--;
    if (!job->good)
        pillion_log(self, PILLION_LOG_WARN, "a statement cannot be cancelled: %s", job->text);
    /* Once `closing` is set, the connection may have been freed. */
    if (!canceller->closing && connection->serial == job->serial && connection->cancelling)
        connection->pool->events->cancelled(connection);
    free(job);
}

static struct canceller *canceller_new(struct pool *pool)
{
    struct canceller *canceller = calloc(1, sizeof(*canceller));
    sigset_t every, before;

    if (canceller == NULL)
        return NULL;
    canceller->self = pool->self;
    canceller->end = &canceller->first;
    pthread_mutex_init(&canceller->lock, NULL);
    pthread_cond_init(&canceller->wake, NULL);
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    int error = pthread_create(&canceller->thread, NULL, canceller_run, canceller);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return canceller;
    free(canceller);
    return NULL;
}

bool cancel_start(struct connection *connection)
{
    struct pool *pool = connection->pool;
    struct job *job = calloc(1, sizeof(*job));

    if (pool->canceller == NULL)
        pool->canceller = canceller_new(pool);
    PGcancel *cancel = job == NULL || pool->canceller == NULL ? NULL : PQgetCancel(connection->pg);
    if (cancel == NULL) {
        free(job);
        return false;
    }
    *job = (struct job){.canceller = pool->canceller,
                        .connection = connection,
                        .serial = connection->serial,
                        .cancel = cancel};
    pool->canceller->owed++;
    pthread_mutex_lock(&pool->canceller->lock);
    *pool->canceller->end = job;
    pool->canceller->end = &job->next;
    pthread_cond_signal(&pool->canceller->wake);
    pthread_mutex_unlock(&pool->canceller->lock);
    return true;
}

void cancel_stop(struct pool *pool)
{
    struct canceller *canceller = pool->canceller;

    if (canceller == NULL)
        return;
    pool->canceller = NULL;
    pthread_mutex_lock(&canceller->lock);
    canceller->closing = true;
    struct job *job = canceller->first;
    pthread_cond_signal(&canceller->wake);
    pthread_mutex_unlock(&canceller->lock);
    for (struct job *next; job != NULL; job = next) {
        next = job->next;
        PQfreeCancel(job->cancel);
        free(job);
        canceller->owed--;
    }
    /* PQcancel may take minutes: do not wait for the thread, the process ends soon. */
    if (canceller->owed > 0) {
        pthread_detach(canceller->thread);
        return;
    }
    pthread_join(canceller->thread, NULL);
    pthread_mutex_destroy(&canceller->lock);
    pthread_cond_destroy(&canceller->wake);
    free(canceller);
}
