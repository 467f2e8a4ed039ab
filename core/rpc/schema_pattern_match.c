/* Matching patterns. See schema_pattern.h.
 *
 * The steps at which the walk is are a list; each character makes the next list of it. A step is on
 * a list once, so that no text and no pattern takes longer than their sizes multiplied. */
#include "rpc/schema_pattern_private.h"
#include "wire/json_text.h"

struct places {
    size_t count;
    uint16_t at[PATTERN_STEPS_MAX];
};

struct walk {
    const struct pattern *pattern;
    uint32_t before, after;             /* characters around; JSON_TEXT_END: none */
    uint32_t round;                     /* of the list being made */
    uint32_t listed[PATTERN_STEPS_MAX]; /* the round in which the step was last met */
    uint16_t open[PATTERN_STEPS_MAX];   /* steps that are still to be followed */
    uint64_t *work;
};

static bool is_word(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* True when the walk may go on behind a step that takes no character. */
static bool holds(const struct walk *walk, const struct step *step)
{
    switch ((enum step_kind)step->kind) {
    case STEP_START:
        return walk->before == JSON_TEXT_END;
    case STEP_END:
        return walk->after == JSON_TEXT_END;
    case STEP_WORD:
        return is_word(walk->before) != is_word(walk->after);
    case STEP_NOT_WORD:
        return is_word(walk->before) == is_word(walk->after);
    default:
        return true;
    }
}

/* Each step is opened once a round at most, so `open` has room for them. */
static void open_step(struct walk *walk, uint16_t at, size_t *count)
{
    if (walk->listed[at] == walk->round)
        return;
    walk->listed[at] = walk->round;
    walk->open[(*count)++] = at;
}

/* Puts on the list where the walk is from `at` on, before a character is taken. True when the
 * pattern matches there. */
static bool follow(struct walk *walk, struct places *places, uint16_t at)
{
    size_t open = 0;

    open_step(walk, at, &open);
    while (open > 0) {
        at = walk->open[--open];
        const struct step *step = &walk->pattern->steps[at];
        uint64_t cost = step->kind == STEP_SET ? 1 + step->set->count / 8 : 1;
        *walk->work -= *walk->work < cost ? *walk->work : cost;
        if (step->kind == STEP_MATCH)
            return true;
        if (step->kind == STEP_SET)
            places->at[places->count++] = at;
        else if (holds(walk, step))
            open_step(walk, step->next, &open);
        if (step->kind == STEP_FORK)
            open_step(walk, step->other, &open);
    }
    return false;
}

bool pattern_matches(const struct pattern *pattern, const char *string, uint64_t *work)
{
    struct places lists[2], *here = &lists[0], *there = &lists[1];
    const char *p = string + 1;
    struct walk walk; /* its lists are not filled beforehand */

    walk.pattern = pattern;
    walk.before = JSON_TEXT_END;
    walk.round = 1;
    walk.work = work;
    memset(walk.listed, 0, pattern->count * sizeof(*walk.listed));
    here->count = 0;
    for (walk.after = json_text_next(&p);;) {
        if (follow(&walk, here, 0))
            return true;
        if (walk.after == JSON_TEXT_END || *work == 0)
            return false;
        uint32_t c = walk.after;
        walk.before = c;
        walk.after = json_text_next(&p);
        walk.round++;
        there->count = 0;
        for (size_t i = 0; i < here->count; i++) {
            const struct step *step = &pattern->steps[here->at[i]];
            if (pattern_set_has(step->set, c) && follow(&walk, there, step->next))
                return true;
        }
        struct places *former = here;
        here = there;
        there = former;
    }
}
