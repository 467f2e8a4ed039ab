/* How far a process that loads modules has come, and the message for the case that it ends before
 * it is READY.
 *
 * A probe or worker announces each step (MESSAGE_STAGE), so that a crash, an exit or a hang within
 * a module can be reported with the module's name. For the master and for `pillion -t`. */
#ifndef PILLION_PROCESS_STARTUP_H
#define PILLION_PROCESS_STARTUP_H

#include "process/channel.h"

/* Starts as `{0}`. */
struct startup {
    char label[256], doing[256]; /* of the last MESSAGE_STAGE: "ping.so", "loading"; `label` is ""
                                    between the steps of modules */
    char culprit[128];           /* the thread that the process died of, where it is not the loop's:
                                    "a thread of module redis" */
    bool failed;                 /* it has sent the reason itself: `failure` */
    char failure[CHANNEL_TEXT_MAX];
    char refused[256]; /* the system call that the sandbox has refused, in words; "" */
};

/* Takes note of a MESSAGE_STAGE, MESSAGE_FAILED or MESSAGE_SANDBOXED. */
void startup_note(struct startup *startup, const struct message *message);

/* Describes why the process ended with `status` (waitpid(2)) before it was READY: a line, or the
 * lines that it has sent. `late`: it was killed because it took longer than `limit_ms`.
 * `process_name`, "the probe" say, stands for the module's name where no step of a module is under
 * way, and where the process was killed: which module it ran is then no reason. */
void startup_describe(const struct startup *startup, const char *process_name, int status,
                      bool late, uint64_t limit_ms, char *text, size_t size);

#define STATUS_WORDS_MAX 352u

/* How the process ended: describe_status, with the call that the sandbox has refused. */
void startup_status(const struct startup *startup, int status, char text[STATUS_WORDS_MAX]);

/* "SIGSEGV, core dumped", "exit status 3". */
void describe_status(int status, char *text, size_t size);

#endif
