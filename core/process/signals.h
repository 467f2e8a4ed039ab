/* The orders that a running server takes: one table for signals, the control socket and the command
 * line's `-s`. Also every signal's disposition in the server, and the dispositions that another
 * binary inherits in an upgrade. */
#ifndef PILLION_PROCESS_SIGNALS_H
#define PILLION_PROCESS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum order {
    ORDER_NONE,
    ORDER_STOP,
    ORDER_QUIT,
    ORDER_RELOAD,
    ORDER_REOPEN,
    ORDER_UPGRADE,
    ORDERS
};

struct signal_row {
    int number;
    const char *verb; /* for -s */
    enum order order;
    const char *summary;
};

/* Ends with number 0. The first row of a verb is the signal to send for it. */
extern const struct signal_row signal_table[];

/* Ignores SIGPIPE and SIGXFSZ: a write to a closed pipe or beyond RLIMIT_FSIZE fails with errno and
 * does not end the process. `pillion -t` calls it, too. */
void signals_by_errno(void);

/* Sets every signal's disposition, whatever the starter has left. Orders and SIGCHLD are blocked,
 * for a signalfd(2) to receive them, even those that come before there is one. Signals that the
 * starter ignores are reset: with SIGCHLD ignored, the kernel would not report a child's end
 * (waitpid(2)). A server calls this first; its children call child_begin. */
bool signals_begin(struct error *error);

/* True when the starter ignores SIGHUP, as nohup(1) does: then the server does not end with its
 * terminal. */
bool signals_hangup_ignored(void);

/* Before another binary takes this process over: ignores SIGHUP again if the starter did, for the
 * new binary's signals_begin to find. */
void signals_end(void);

/* Unblocks all signals: for the process that only waits for a daemon. */
void signals_unblock(void);

/* The signals that signals_begin has blocked. */
void signals_blocked(sigset_t *set);

/* The row of a verb or of a number, or NULL. */
const struct signal_row *signal_by_verb(const char *verb);
const struct signal_row *signal_by_number(int number);

#endif
