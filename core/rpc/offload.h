/* Threads for work that would block the worker's loop, and the way back from any thread.
 *
 * A thread cannot be ended, so a thread that is stuck in its work is noticed; when too many of its
 * pool are, the worker has to be replaced. A thread runs the job's work and nothing else; the job's
 * `done` runs on the loop. Requests whose work has begun keep their
 * memory until it is done, even when their client is gone. */
#ifndef PILLION_RPC_OFFLOAD_H
#define PILLION_RPC_OFFLOAD_H

#include "rpc/board.h"
#include "rpc/deferred.h"

struct offload_limits {
    uint32_t threads;
    uint32_t queue;            /* jobs that wait for a thread */
    struct board_row *row;     /* where the pool's state is shown, or NULL */
    const struct arena *arena; /* where it is noted that work begins which had to wait, or NULL */

    /* On the loop; may be NULL. A thread is stuck: its work goes on though its request has been
     * over for as long as a handler of its method may take. Once for each such job. */
    void (*stuck)(const struct method *method);
    /* At least half of the threads are: said again and again while it is so. */
    void (*useless)(void);
};

/* How the names of pools begin on the board. No module has such a name. */
#define OFFLOAD_METRIC "pool:"

/* Before modules start. False with errno: the loop cannot be woken from threads. */
bool offload_init(struct loop *loop, const struct offload_limits *limits);

/* Another pool besides the worker's own, which is number 0. Returns its number. The name is
 * borrowed. */
uint32_t offload_add_pool(const char *name, uint32_t threads, uint32_t queue);

/* Appends the names under which a pool shows its state to a list of metrics (rpc/metric.h); and has
 * the named pools show it in the row. */
void offload_describe_pool(const char *name, struct text *list);
void offload_attach(const struct board *board, struct board_row *row);

/* What pillion_work_cancelled does. */
bool offload_cancelled(void);

/* The process is to end: all work that runs is told so by the function above. */
void offload_stop(void);

/* Waits until no work runs, for `limit_ms` at most. False when some still does: then nothing may be
 * torn down, and the process has to end as it is. */
bool offload_finish(uint64_t limit_ms);

/* After that, where the process goes on: the loop is not used any more. */
void offload_end(void);

/* What pillion_offload does. */
void offload_request(struct pillion_request *req, uint64_t timeout_ms, void (*work)(void *data),
                     void (*done)(pillion_request *req, void *data), void *data);

/* What pillion_run does. */
bool offload_run(pillion_instance *self, void (*work)(void *data),
                 void (*done)(pillion_instance *self, void *data), void *data);

/* What pillion_post does. Any thread may call it. False without memory, or before offload_init. */
bool offload_post(pillion_instance *self, void (*call)(pillion_instance *self, void *data),
                  void *data);

/* True while at least half of the threads of a pool are stuck. */
bool offload_useless(void);

/* Gives up the jobs for which no thread will come: `let_go` is told of each whose request may as
 * well be run by another worker. True from it when it has taken the request out of this one's
 * hands. False when it has taken none. */
bool offload_withdraw(bool (*let_go)(struct deferred *deferred));

/* Jobs that run or wait. */
uint32_t offload_pending(void);

/* True on the loop's thread. */
bool offload_is_loop(void);

/* The same, for functions that must not be called elsewhere: there it logs that `function` was
 * called from a thread, with the method's name where one of the pool's threads called it. True
 * where there is no loop: in the probe. */
bool offload_on_loop(const char *function);

/* The calling thread is the loop's. For functions that every request calls. */
extern _Thread_local bool offload_loop_thread;

#endif
