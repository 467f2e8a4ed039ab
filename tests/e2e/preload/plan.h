/* What test_calls and the library that it preloads share: a file, mapped by the test and by every
 * process of the server. It says which call fails next, and collects which calls there are.
 *
 * A call is known by its *site*: the role of the process, and the place in the binary that it is
 * made from. An allocation is known by its number: the n-th of a process of a role, be it made by
 * the core, by libc or by the dynamic loader. */
#ifndef PILLION_TESTS_PLAN_H
#define PILLION_TESTS_PLAN_H

#include <stdatomic.h>
#include <stdint.h>

#define PLAN_VARIABLE "PILLION_TEST_PLAN"
#define PLAN_SITES    4096u

enum role { ROLE_MASTER, ROLE_CHILD, ROLE_PROBE, ROLE_WORKER, ROLE_VAULT, ROLES };

struct plan_site {
    atomic_uint key; /* 0: free; role and place otherwise, see plan_key */
    atomic_uint times;
    uint16_t call; /* row of CALLS */
};

struct plan {
    atomic_bool recording; /* calls are added to `sites` */
    atomic_bool armed;     /* a call of `key` fails, and ends this */
    atomic_uint key;
    atomic_int before; /* so many of them do not fail yet */
    atomic_uint fired; /* calls that have failed */
    /* Allocations: those of the first process of the role `allocating` (-1: of none) that was
     * forked since `round` began. The one numbered `failing` fails, and ends this. */
    atomic_int allocating, owner, round;
    atomic_uint allocations, failing;
    struct plan_site sites[PLAN_SITES];
};

/* The binary is smaller than 256 MiB. */
static inline uint32_t plan_key(enum role role, uint32_t place)
{
    return ((uint32_t)role + 1) << 28 | place;
}

#endif
