/* A keyword being read, and what the files that read keywords share. */
#ifndef PILLION_RPC_SCHEMA_WORD_H
#define PILLION_RPC_SCHEMA_WORD_H

#include "rpc/schema_making.h"

/* Where a keyword is, and what it says. */
struct word {
    struct making *making;
    const struct trail *trail;
    struct bytes value;
    struct schema_node *node;
};

/* Sets the error: what is wrong with the keyword. Always false. */
bool schema_word_wrong(const struct word *word, const char *what);

/* Its value is a count; a schema. False with the error set when it is none. */
bool schema_word_count(const struct word *word, uint64_t *count);
bool schema_word_use(const struct word *word, struct schema_node **node);

/* True when it has members; else the error is set. */
bool schema_word_has_members(const struct word *word);

/* Begins on a member of it. False at their end. */
bool schema_word_next(const struct word *word, size_t *at, struct bytes *name, struct word *member);

static inline struct pool *schema_word_pool(const struct word *word)
{
    return &word->making->schema->pool;
}

#endif
