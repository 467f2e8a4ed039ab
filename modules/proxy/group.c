/* See group.h. */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT       "weight="
#define WEIGHT_MOST  100
#define WEIGHT_USUAL 100u /* of a server that is given none, and of registries */

/* ---- What the configuration says ---- */

static bool is_weight(const char *word)
{
    return strncmp(word, WEIGHT, sizeof(WEIGHT) - 1) == 0;
}

/* 0 when it is no weight. */
static uint32_t weight_read(const char *word)
{
    const char *digits = word + sizeof(WEIGHT) - 1;
    char *end;
    long weight = strtol(digits, &end, 10);
    bool valid = *digits >= '1' && *digits <= '9' && *end == '\0' && weight <= WEIGHT_MOST;

    return valid ? (uint32_t)weight : 0;
}

static int weight_check(const pillion_list *servers, size_t at, pillion_error_text *error)
{
    const char *word = servers->items[at];

    if (at == 0 || is_weight(servers->items[at - 1]))
        return pillion_error(error, "\"%s\" follows no server: write 127.0.0.1:8080 %s", word,
                             word);
    if (weight_read(word) == 0)
        return pillion_error(
            error,
            "\"%s\" of %s is no weight: write a whole number from 1 to %d, such as "
            "weight=2 for a server that is to get twice as many requests",
            word, servers->items[at - 1], WEIGHT_MOST);
    return 0;
}

int servers_check(const pillion_list *servers, pillion_error_text *error)
{
    for (size_t i = 0; i < servers->count; i++) {
        const char *word = servers->items[i];
        if (is_weight(word)) {
            if (weight_check(servers, i, error) != 0)
                return -1;
            continue;
        }
        if (!upstream_is(word))
            return pillion_error(error,
                                 "\"%s\" is no address of a server: write 127.0.0.1:8080, "
                                 "[::1]:8080 or unix:PATH (at most 107 bytes)",
                                 word);
        for (size_t before = 0; before < i; before++) {
            if (strcmp(servers->items[before], word) == 0)
                return pillion_error(error, "the upstream \"%s\" appears twice", word);
        }
    }
    return 0;
}

/* ---- Choosing ---- */

struct choice {
    const struct upstream *last; /* which has been asked before */
    const struct member *member;
    struct link *link; /* the member's, or NULL while there is none */
    bool held_up;
    bool full;
    const char *reason;
};

/* True when the choice is such that no other server is looked for. */
static bool choice_is_good(const struct choice *choice)
{
    return choice->link != NULL && choice->member->upstream != choice->last && !choice->held_up &&
           link_state(choice->link) == LINK_READY;
}

/* True when this link, of `member`, is better than what is chosen. */
static bool choice_improves(const struct choice *choice, const struct member *member,
                            const struct link *link, bool held_up)
{
    const struct member *chosen = choice->member;

    if (choice->link == NULL)
        return true;
    if ((chosen->upstream == choice->last) != (member->upstream == choice->last))
        return chosen->upstream == choice->last;
    if (held_up != choice->held_up)
        return choice->held_up;
    if (link_state(link) != link_state(choice->link))
        return link_state(link) == LINK_READY;
    return choose_lighter(member->upstream->owner.pending, member->weight,
                          chosen->upstream->owner.pending, chosen->weight);
}

static void consider(struct choice *choice, const struct member *member)
{
    const struct upstream *upstream = member->upstream;
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
static void consider_all(struct choice *choice, const struct group *group)
{
    size_t from = dice_below(group->dice, (uint32_t)group->count);

    for (size_t i = 0; i < group->count; i++)
        consider(choice, &group->members[(from + i) % group->count]);
}

struct link *group_choose(struct group *group, const struct upstream *last, const char **reason,
                          bool *full)
{
    struct choice choice = {.last = last, .reason = ""};

    if (group->count > 1) {
        size_t a, b;
        choose_two(group->dice, group->sums, group->count, &a, &b);
        consider(&choice, &group->members[a]);
        consider(&choice, &group->members[b]);
    }
    if (group->count != 2 && !choice_is_good(&choice))
        consider_all(&choice, group);
    *full = choice.full;
    *reason = choice.reason;
    if (choice.link == NULL || !choice.held_up)
        return choice.link;
    struct link *more = upstream_add_link(choice.member->upstream);
    return more != NULL ? more : choice.link;
}

bool group_has_other(const struct group *group, const struct upstream *last)
{
    bool full, found = false;

    for (size_t i = 0; i < group->count && !found; i++) {
        const struct upstream *upstream = group->members[i].upstream;
        const struct link *link = upstream == last ? NULL : upstream_link(upstream, &full);
        found = link != NULL && link_state(link) == LINK_READY;
    }
    return found;
}

/* ---- Making and ending ---- */

static bool group_is(const struct group *group, const pillion_list *servers)
{
    bool same = group->servers->count == servers->count;

    for (size_t i = 0; same && i < servers->count; i++)
        same = strcmp(group->servers->items[i], servers->items[i]) == 0;
    return same;
}

/* False without memory. */
static bool group_fill(struct group *group, struct proxy *proxy)
{
    const pillion_list *servers = group->servers;
    uint32_t sum = 0;

    group->sums = pillion_malloc(proxy->self, servers->count * sizeof(*group->sums));
    if (group->sums == NULL)
        return false;
    for (size_t i = 0; i < servers->count; i++) {
        if (is_weight(servers->items[i]))
            continue;
        struct member *member = &group->members[group->count];
        bool weighs = i + 1 < servers->count && is_weight(servers->items[i + 1]);
        member->weight = weighs ? weight_read(servers->items[i + 1]) * WEIGHT_USUAL : WEIGHT_USUAL;
        member->upstream = upstream_open(proxy, servers->items[i]);
        if (member->upstream == NULL)
            return false;
        group->sums[group->count++] = sum += member->weight;
    }
    return true;
}

struct group *group_open(struct proxy *proxy, const pillion_list *servers,
                         pillion_error_text *error)
{
    if (servers_check(servers, error) != 0)
        return NULL;
    for (struct group *g = proxy->groups; g != NULL; g = g->next) {
        if (group_is(g, servers))
            return g;
    }
    struct group *group =
        pillion_malloc(proxy->self, sizeof(*group) + servers->count * sizeof(group->members[0]));
    if (group == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *group = (struct group){.next = proxy->groups, .servers = servers, .dice = &proxy->dice};
    proxy->groups = group;
    if (group_fill(group, proxy))
        return group;
    pillion_error(error, "out of memory");
    return NULL;
}

void groups_close(struct proxy *proxy)
{
    for (struct group *g = proxy->groups, *next; g != NULL; g = next) {
        next = g->next;
        pillion_free(proxy->self, g->sums);
        pillion_free(proxy->self, g);
    }
}
