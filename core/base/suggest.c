/* Edit distance for "did you mean". See suggest.h.
 *
 * The distance is the optimal string alignment distance: insertions, deletions, substitutions and
 * swaps of neighbours cost one each. Case costs nothing, so "ON" finds "on". */
#include "base/suggest.h"

#include <stdint.h>
#include <string.h>

/* Longer words are never suggested: nothing that is configured or called has such a name. */
#define SUGGEST_MAX 64

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance_between(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][SUGGEST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_size; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = last[j - 1] + (x == y ? 0 : 1);
            row[j] = least(row[j], least(row[j - 1], last[j]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_size];
}

struct suggest suggest_start(const char *word)
{
    return (struct suggest){.word = word, .distance = SIZE_MAX};
}

void suggest_offer(struct suggest *suggest, const char *known)
{
    size_t word_size = strnlen(suggest->word, SUGGEST_MAX + 1);
    size_t known_size = strnlen(known, SUGGEST_MAX + 1);
    size_t longer = word_size > known_size ? word_size : known_size;

    if (word_size == 0 || longer > SUGGEST_MAX)
        return;
    size_t distance = distance_between(suggest->word, word_size, known, known_size);
    if (distance * 3 > longer || distance >= suggest->distance)
        return;
    suggest->nearest = known;
    suggest->distance = distance;
}
