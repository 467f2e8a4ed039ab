/* One word and futex(2). See shared_lock.h. */
#include "base/shared_lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITED_FOR 0x80000000u /* beyond all process ids (pid_max of proc(5)) */
#define LOOK_NS    10000000    /* a waiting process looks at the owner every ten milliseconds */
#define SPINS      100u        /* the owner usually holds the lock for less than a microsecond */

static bool (*owner_is_ours)(int32_t pid);

void shared_lock_owners(bool (*is_ours)(int32_t pid))
{
    owner_is_ours = is_ours;
}

/* getpid(2) without its system call: a child of fork(2) asks anew. */
static _Atomic int32_t own_pid;

static void forget(void)
{
    atomic_store(&own_pid, 0);
}

static void learn(void)
{
    pthread_atfork(NULL, NULL, forget);
}

static uint32_t self(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int32_t pid = atomic_load_explicit(&own_pid, memory_order_relaxed);

    if (pid == 0) {
        pthread_once(&once, learn);
        pid = getpid();
        atomic_store(&own_pid, pid);
    }
    return (uint32_t)pid;
}

static bool owner_lives(uint32_t word)
{
    pid_t pid = (pid_t)(word & ~WAITED_FOR);

    if (pid == 0 || (owner_is_ours != NULL && !owner_is_ours(pid)))
        return false;
    return kill(pid, 0) == 0 || errno == EPERM;
}

static bool take_from(struct shared_lock *lock, uint32_t seen, uint32_t mine)
{
    return atomic_compare_exchange_strong_explicit(&lock->word, &seen, mine, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Waits until the word changes. False when it has not within LOOK_NS. */
static bool wait_for_change(struct shared_lock *lock, uint32_t word)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};

    return syscall(SYS_futex, &lock->word, FUTEX_WAIT, word, &look, NULL, 0) == 0 ||
           errno != ETIMEDOUT;
}

void shared_lock_take(struct shared_lock *lock)
{
    uint32_t me = self();

    for (unsigned i = 0; i < SPINS; i++) {
        if (take_from(lock, 0, me))
            return;
    }
    for (;;) {
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (word == 0 || word == WAITED_FOR) {
            /* Other processes may wait too. */
            if (take_from(lock, word, me | WAITED_FOR))
                return;
        } else if ((word & WAITED_FOR) == 0) {
            take_from(lock, word, word | WAITED_FOR);
        } else if (!wait_for_change(lock, word) && !owner_lives(word)) {
            if (take_from(lock, word, me | WAITED_FOR))
                return;
        }
    }
}

void shared_lock_give(struct shared_lock *lock)
{
    if ((atomic_exchange_explicit(&lock->word, 0, memory_order_release) & WAITED_FOR) != 0)
        syscall(SYS_futex, &lock->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
