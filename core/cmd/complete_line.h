/* A command line as a shell has it, up to the cursor, in words: for completion. */
#ifndef PILLION_CMD_COMPLETE_LINE_H
#define PILLION_CMD_COMPLETE_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_WORDS_MAX 512u

struct complete_line {
    char *words[LINE_WORDS_MAX]; /* without their quotes; the first is the command's */
    size_t count;                /* of those before the one at the cursor */
    char *current;               /* the one at the cursor, up to there; "" when none is begun */
    bool quoted;                 /* it has quotes or backslashes */
};

/* Splits the line. Variables that are set in front of the command are put into the environment, as
 * the shell would. False when there are too many words, or an open quote before the last. */
bool complete_line_split(struct complete_line *line, const char *text);

void complete_line_free(struct complete_line *line);

/* True when the word means itself in a shell, so that it may be put on a command line as it is:
 * names may come from a server that is not trusted. */
bool complete_line_takes(const char *word);

#endif
