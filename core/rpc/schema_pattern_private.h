/* A pattern's steps: schema_pattern.c makes them, schema_pattern_match.c walks them. */
#ifndef PILLION_RPC_SCHEMA_PATTERN_PRIVATE_H
#define PILLION_RPC_SCHEMA_PATTERN_PRIVATE_H

#include "rpc/schema_pattern.h"

enum step_kind {
    STEP_SET,  /* takes a character of the set */
    STEP_FORK, /* goes on at `next` and at `other` */
    STEP_START,
    STEP_END,
    STEP_WORD,     /* \b */
    STEP_NOT_WORD, /* \B */
    STEP_MATCH,
};

struct step {
    uint8_t kind;
    uint16_t next, other;
    const struct pattern_set *set;
};

struct pattern_range {
    uint32_t first, last;
};

struct pattern_set {
    bool except; /* all characters but these */
    size_t count;
    const struct pattern_range *ranges;
};

struct pattern {
    size_t count; /* of steps; the last one is STEP_MATCH */
    const struct step *steps;
};

static inline bool pattern_set_has(const struct pattern_set *set, uint32_t c)
{
    for (size_t i = 0; i < set->count; i++) {
        if (c >= set->ranges[i].first && c <= set->ranges[i].last)
            return !set->except;
    }
    return set->except;
}

#endif
