/* See etcd_members.h. */
#include "registry/etcd_members.h"

/* xorshift64: chance enough for pauses. */
static uint64_t any_number(struct etcd_members *members)
{
    members->random ^= members->random << 13;
    members->random ^= members->random >> 7;
    members->random ^= members->random << 17;
    return members->random;
}

uint64_t etcd_members_chance(struct etcd_members *members, uint64_t ns)
{
    return ns - any_number(members) % (ns / 2 + 1);
}

void etcd_members_begin(struct etcd_members *members, uint64_t seed)
{
    members->random = seed == 0 ? 1 : seed;
    for (int i = 0; i < 8; i++)
        any_number(members);
    members->at = any_number(members) % members->count;
}

bool etcd_members_ready(struct etcd_members *members, uint64_t now, uint64_t *when)
{
    *when = UINT64_MAX;
    for (size_t i = 0; i < members->count; i++) {
        size_t at = (members->at + i) % members->count;
        if (members->items[at].not_before <= now) {
            members->at = at;
            return true;
        }
        if (members->items[at].not_before < *when)
            *when = members->items[at].not_before;
    }
    return false;
}

void etcd_members_failed(struct etcd_members *members, uint64_t now)
{
    uint32_t failures = members->items[members->at].failures++;
    uint64_t pause = MEMBER_PAUSE_NS << (failures < MEMBER_PAUSES ? failures : MEMBER_PAUSES);

    members->items[members->at].not_before = now + etcd_members_chance(members, pause);
    members->failed += members->failed < members->count;
    members->at = (members->at + 1) % members->count;
}

void etcd_members_answered(struct etcd_members *members)
{
    members->items[members->at].failures = 0;
    members->items[members->at].not_before = 0;
    members->failed = 0;
}
