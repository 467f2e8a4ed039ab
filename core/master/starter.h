/* The person or process that starts the server, and waits until it serves or is told why it does
 * not. Master only.
 *
 * A daemon reports by a pipe to the process that was started; a server in the foreground says it on
 * standard error. */
#ifndef PILLION_MASTER_STARTER_H
#define PILLION_MASTER_STARTER_H

/* What comes from the pipe once the server serves; otherwise, the reason comes. */
#define STARTER_SERVING '\1'

/* `pipe_end` leads to the process that waits, or is -1 in the foreground. */
void starter_begin(int pipe_end);

/* The first generation serves. */
void starter_serves(void);

/* The server cannot be started: says why, in the log too unless that is the same place. */
void starter_fails(const char *why);

#endif
