/* The state that belongs to the master process as a whole. All other state has its own file in this
 * folder.
 *
 * The master runs no module and reads no byte that a client sent. */
#ifndef PILLION_MASTER_MASTER_H
#define PILLION_MASTER_MASTER_H

#include <sys/types.h>

#include "event/loop.h"
#include "net/listener.h"
#include "process/serve_options.h"

enum master_mode { MASTER_RUNNING, MASTER_QUITTING, MASTER_STOPPING };

struct master {
    const struct serve_options *options;
    pid_t pid;
    struct loop loop;
    struct board *board;
    bool board_anew; /* since an upgrade: the former binary's workers write to its own board */
    struct listeners listeners;
    enum master_mode mode;
    int status; /* exit status */
};

/* There is one master in a process. Callbacks of timers and watches find it here. */
extern struct master master;

#endif
