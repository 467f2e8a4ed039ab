/* See group.h. */
#include "group.h"

#define REDRAWS    3u
#define RING_STEPS 1024u /* points that are looked at before all servers are */

struct choice {
    const struct member *last; /* which has been asked before */
    struct member *member;
    struct link *link; /* the member's, or NULL while there is none */
    bool held_up;
    bool outliers; /* outliers will do, because nothing else does */
    bool full;
    const char *reason;
};

/* True when the choice is such that no other server is looked for. */
static bool choice_is_good(const struct choice *choice)
{
    return choice->link != NULL && choice->member != choice->last && !choice->held_up &&
           link_state(choice->link) == LINK_READY;
}

/* True when this link, of `member`, is better than what is chosen. */
static bool choice_improves(const struct choice *choice, const struct member *member,
                            const struct link *link, bool held_up)
{
    const struct member *chosen = choice->member;

    if (choice->link == NULL)
        return true;
    if ((chosen == choice->last) != (member == choice->last))
        return chosen == choice->last;
    if (held_up != choice->held_up)
        return choice->held_up;
    if (link_state(link) != link_state(choice->link))
        return link_state(link) == LINK_READY;
    return choose_lighter(member->upstream->owner.pending, member->weight,
                          chosen->upstream->owner.pending, chosen->weight);
}

static void consider(struct choice *choice, struct member *member)
{
    struct upstream *upstream = member->upstream;

    if ((member->out & OUT_OUTLIER) != 0 && !choice->outliers)
        return;
    struct link *link = upstream_link(upstream, &choice->full);
    if (link == NULL) {
        choice->reason = upstream->health.reason[0] == '\0' ? "it is being tried again"
                                                            : upstream->health.reason;
        return;
    }
    bool held_up = link_held_up(link);
    if (!choice_improves(choice, member, link, held_up))
        return;
    choice->member = member;
    choice->link = link;
    choice->held_up = held_up;
}

/* From a random one on, so that those behind one that is gone do not get all of its requests. */
static void consider_all(struct choice *choice, struct group *group)
{
    size_t from = dice_below(&group->proxy->dice, (uint32_t)group->count);

    for (size_t i = 0; i < group->count; i++)
        consider(choice, group->members[(from + i) % group->count]);
}

/* ---- By chance ---- */

/* False, more or less often, for a server that is new. */
static bool is_accepted(struct group *group, const struct member *member, uint64_t now)
{
    uint64_t slow_ms = group->proxy->settings->slow_start_ms;

    return member->new_ms == 0 ||
           dice_below(&group->proxy->dice, 1024) < choose_part(now - member->new_ms, slow_ms);
}

static void draw_two(struct group *group, size_t *a, size_t *b)
{
    struct dice *dice = &group->proxy->dice;
    uint64_t now;

    choose_two(dice, group->sums, group->count, a, b);
    if (group->slow_ms == 0)
        return;
    now = now_ms();
    for (unsigned i = 0; i < REDRAWS && !is_accepted(group, group->members[*a], now); i++)
        *a = choose_draw(dice, group->sums, group->count);
    for (unsigned i = 0; i < REDRAWS && !is_accepted(group, group->members[*b], now); i++)
        *b = choose_draw(dice, group->sums, group->count);
}

static void consider_two(struct choice *choice, struct group *group)
{
    size_t a, b;

    draw_two(group, &a, &b);
    consider(choice, group->members[a]);
    if (b != a)
        consider(choice, group->members[b]);
}

/* ---- By a param ---- */

/* Looks for the server that the hash belongs to, and then along the ring. One that is connecting
 * will do: the request waits for it, rather than go where what it needs is not at hand. */
static void consider_ring(struct choice *choice, const struct group *group, uint64_t hash)
{
    const struct ring *ring = &group->ring;
    uint32_t weights = group->sums[group->count - 1], before = NOWHERE;
    size_t place = ring_find(ring, hash);
    size_t steps = ring->count < RING_STEPS ? ring->count : RING_STEPS;

    for (; steps > 0 && choice->link == NULL; steps--, place++) {
        uint32_t index = ring_index(ring, place % ring->count);
        struct member *member = group->members[index];
        if (index != before && member != choice->last &&
            ring_has_room(member->share.pending, member->weight, group->pending, weights,
                          group->proxy->hash_load))
            consider(choice, member);
        before = index;
    }
}

/* ---- Both ---- */

struct link *group_choose(struct group *group, struct trip *trip, const char **reason, bool *full)
{
    struct choice choice = {.last = trip->last, .reason = ""};

    if (trip->hash != 0)
        consider_ring(&choice, group, trip->hash);
    if (choice.link == NULL && group->count > 1)
        consider_two(&choice, group);
    if (!choice_is_good(&choice) && (trip->hash == 0 || choice.link == NULL)) {
        consider_all(&choice, group);
        choice.outliers = choice.link == NULL;
        if (choice.outliers)
            consider_all(&choice, group);
    }
    *full = choice.full;
    *reason = choice.reason;
    if (choice.link == NULL)
        return NULL;
    trip->last = choice.member;
    if (!choice.held_up)
        return choice.link;
    struct link *more = upstream_add_link(choice.member->upstream);
    return more != NULL ? more : choice.link;
}

bool group_has_other(const struct group *group, const struct member *last)
{
    bool full, found = false;

    for (size_t i = 0; i < group->count && !found; i++) {
        struct member *member = group->members[i];
        const struct link *link =
            member == last || member->out != 0 ? NULL : upstream_link(member->upstream, &full);
        found = link != NULL && link_state(link) == LINK_READY;
    }
    return found;
}
