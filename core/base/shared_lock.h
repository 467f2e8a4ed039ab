/* A lock between processes, in memory that any of them may damage.
 *
 * It is one word: the process that has the lock, and whether other processes wait. It holds no
 * pointer, unlike a pthread_mutex_t: after a wild store it names, at worst, a process that does not
 * have the lock. A waiting process checks now and then whether the owner lives, and takes the lock
 * over from an owner that has died or never existed. */
#ifndef PILLION_BASE_SHARED_LOCK_H
#define PILLION_BASE_SHARED_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shared_lock {
    _Atomic uint32_t word; /* 0: free */
};

/* Sets the test that an owner must pass for its lock to be respected: `is_ours` gets its process
 * id. NULL, the initial state: any live process may hold the lock. */
void shared_lock_owners(bool (*is_ours)(int32_t pid));

/* Waits for the lock. Only one thread of a process may call this at a time, and not while it has
 * the lock. */
void shared_lock_take(struct shared_lock *lock);

/* Gives the lock up. */
void shared_lock_give(struct shared_lock *lock);

#endif
