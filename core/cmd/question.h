/* Asking the running server to show something, over its control socket, without waiting for it: for
 * commands that watch a server, go on while it is away, and have a terminal to look after.
 *
 * Nothing here prints. */
#ifndef PILLION_CMD_QUESTION_H
#define PILLION_CMD_QUESTION_H

#include "base/bytes.h"
#include "base/error.h"

enum question_state {
    QUESTION_OPEN,     /* wait until `fd` is readable, and look again */
    QUESTION_ANSWERED, /* the whole answer is there */
    QUESTION_REFUSED,  /* the server is of a version that does not know the word */
    QUESTION_LOST      /* no server answers there, or it went away before it had answered */
};

/* Starts as `{.fd = -1}`. */
struct question {
    int fd; /* -1: nothing is asked */
    struct text answer;
};

/* Sends `word` of master/control.h to the server whose control socket is at `path`. False, with the
 * reason in `error`, when none can be reached there. Waits for seconds at most, and only for a
 * server that has many clients and accepts none. */
bool question_begin(struct question *question, const char *path, const char *word,
                    struct error *error);

/* Takes what has come of the answer. Unless the question is open still, it is over then: `answer`,
 * without the line that says "ok", stays until the next question. */
enum question_state question_look(struct question *question);

/* Waits for the end of the answer, however long that takes. Never QUESTION_OPEN. */
enum question_state question_wait(struct question *question);

/* Gives the question up, and frees the answer. */
void question_end(struct question *question);

#endif
