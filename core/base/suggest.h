/* "Did you mean …?": finds the known word that is nearest to an unknown one. */
#ifndef PILLION_BASE_SUGGEST_H
#define PILLION_BASE_SUGGEST_H

#include <stddef.h>

struct suggest {
    const char *word;    /* the unknown one */
    const char *nearest; /* NULL while nothing is near enough */
    size_t distance;
};

/* Starts a search for the known word nearest to `word`. */
struct suggest suggest_start(const char *word);

/* Offers a known word; it is kept when it is nearer than those before it and near enough to be
 * useful (at most a third of its letters differ, counting swapped neighbours as one). */
void suggest_offer(struct suggest *suggest, const char *known);

#endif
