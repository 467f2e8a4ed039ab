/* Reports to the person or process that has started the server and waits until it serves, or learns
 * why it does not. Master only.
 *
 * A daemon reports by a pipe to the process that was started; a server in the foreground reports on
 * standard error. */
#ifndef PILLION_MASTER_STARTER_H
#define PILLION_MASTER_STARTER_H

/* What the pipe carries once the server serves; otherwise it carries the reason. */
#define STARTER_SERVING '\1'

/* `pipe_end` leads to the process that waits, or is -1 in the foreground. */
void starter_begin(int pipe_end);

/* The first generation serves. */
void starter_serves(void);

/* The server cannot be started: reports why, and logs it too unless the log is the same place. */
void starter_fails(const char *why);

#endif
