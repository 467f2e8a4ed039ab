/* Which of etcd's members is spoken to: pure decisions, at times that the caller gives.
 *
 * One member at a time. After a failure the next one in turn is, unless it has failed a moment ago:
 * each failure of a member doubles the time in which it is left alone, and chance makes it a little
 * shorter, so that many servers do not come back to a member at the same instant. The first member
 * is chosen by chance, too, so that they are spread over all. */
#ifndef PILLION_REGISTRY_ETCD_MEMBERS_H
#define PILLION_REGISTRY_ETCD_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define MEMBERS_MAX     16u
#define MEMBER_PAUSE_NS (100 * NS_PER_MS) /* after its first failure */
#define MEMBER_PAUSES   6u                /* doublings, so that it is 6.4 s at most */

struct etcd_members {
    struct {
        char *url;
        uint32_t failures; /* since it has answered */
        uint64_t not_before;
    } items[MEMBERS_MAX];
    size_t count, at;
    uint32_t failed; /* members, since any has answered */
    uint64_t random; /* never 0 */
};

/* Between half of `ns` and all of it. */
uint64_t etcd_members_chance(struct etcd_members *members, uint64_t ns);

/* Chooses the first one. `seed` is any number. */
void etcd_members_begin(struct etcd_members *members, uint64_t seed);

/* True when `at` is a member that may be asked at `now`; `when` is otherwise the time at which one
 * may be. */
bool etcd_members_ready(struct etcd_members *members, uint64_t now, uint64_t *when);

/* The member that is spoken to has failed; has answered. */
void etcd_members_failed(struct etcd_members *members, uint64_t now);
void etcd_members_answered(struct etcd_members *members);

/* All have failed, one after the other. */
static inline bool etcd_members_all_failed(const struct etcd_members *members)
{
    return members->failed >= members->count;
}

#endif
