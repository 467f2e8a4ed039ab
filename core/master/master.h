/* What is the master process's own. Everything else has an owner of its own in this folder.
 *
 * The master runs no module and reads no byte that a client sent. */
#ifndef PILLION_MASTER_MASTER_H
#define PILLION_MASTER_MASTER_H

#include <sys/types.h>

#include "event/loop.h"
#include "master/reload.h"
#include "master/workers.h"
#include "net/listener.h"
#include "process/serve_options.h"

enum master_mode { MASTER_RUNNING, MASTER_QUITTING, MASTER_STOPPING };

struct master {
    const struct serve_options *options;
    pid_t pid;
    struct loop loop;
    struct board *board;
    struct listeners listeners;
    enum master_mode mode;
    int status; /* of the exit */

    enum reload_phase phase;
    bool reload_again;  /* asked for while one was under way */
    bool upgrade_again; /* likewise, an upgrade */
    uint64_t reload_since_ns;
    uint64_t ready_since_ns; /* everybody has given a sign of life */
    struct timer reload_wait;
    uint64_t confirm; /* what heartbeat_ask gave */
    struct timer confirm_late;

    struct worker *workers; /* all processes but the vaults */
    uint32_t last_serial;
    struct slot slots[WORKER_PROCESSES_MAX];

    struct timer watchdog;
};

/* There is one master in a process; timers and watches find it here. */
extern struct master master;

#endif
