/* How many requests may be sent once more: a share of those of the last ten seconds, and a few each
 * second besides, so that little traffic can be sent again too. A number for each request alone
 * multiplies the load just when servers fail because they have too much of it. */
#ifndef PILLION_MODULES_BUDGET_H
#define PILLION_MODULES_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_SECONDS   10u
#define BUDGET_UNLIMITED UINT32_MAX

/* The worker's own. `percent` and `floor` are set by its owner, and the rest is zero at first. */
struct budget {
    uint32_t percent; /* BUDGET_UNLIMITED: any request may be sent again */
    uint32_t floor;   /* each second, besides */
    uint64_t second;  /* the last one that is counted */
    uint32_t calls[BUDGET_SECONDS], retries[BUDGET_SECONDS];
    uint64_t call_sum, retry_sum;
};

/* Forgets what is too long ago. Returns the place of this second's counts. */
static inline unsigned budget_turn(struct budget *budget, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;

    for (unsigned i = 0; budget->second < second && i < BUDGET_SECONDS; i++) {
        unsigned at = (unsigned)((budget->second + i + 1) % BUDGET_SECONDS);
        if (budget->second + i + 1 > second)
            break;
        budget->call_sum -= budget->calls[at];
        budget->retry_sum -= budget->retries[at];
        budget->calls[at] = budget->retries[at] = 0;
    }
    budget->second = second;
    return (unsigned)(second % BUDGET_SECONDS);
}

/* A request is sent for the first time. */
static inline void budget_call(struct budget *budget, uint64_t now_ms)
{
    budget->calls[budget_turn(budget, now_ms)]++;
    budget->call_sum++;
}

/* Takes leave to send one again. */
static inline bool budget_take(struct budget *budget, uint64_t now_ms)
{
    unsigned at = budget_turn(budget, now_ms);

    if (budget->percent != BUDGET_UNLIMITED &&
        budget->retry_sum * 100 >=
            budget->call_sum * budget->percent + (uint64_t)budget->floor * BUDGET_SECONDS * 100)
        return false;
    budget->retries[at]++;
    budget->retry_sum++;
    return true;
}

#endif
