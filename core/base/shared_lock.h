/* A lock between processes, in memory that any of them may damage.
 *
 * It is one word: the process that has the lock, and whether others wait. Nothing in it is a
 * pointer, unlike in a pthread_mutex_t: what a wild store leaves there is at worst a process that
 * does not have the lock. Who waits looks now and then whether that process lives, so a lock whose
 * owner died, or never was, is taken over. */
#ifndef PILLION_BASE_SHARED_LOCK_H
#define PILLION_BASE_SHARED_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shared_lock {
    _Atomic uint32_t word; /* 0: free */
};

/* Has a process of this server looked at before its lock is respected: `is_ours` is told a process
 * id. NULL, as at first: any process that lives. */
void shared_lock_owners(bool (*is_ours)(int32_t pid));

/* Waits for the lock. Not for two threads of a process at a time, nor twice for one. */
void shared_lock_take(struct shared_lock *lock);

/* Gives it up. */
void shared_lock_give(struct shared_lock *lock);

#endif
