/* What can be asked of a running server: one table, for signal handling, for the control socket and
 * for the command line's `-s`. */
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

/* Writes that a closed pipe or RLIMIT_FSIZE keeps from being made fail with errno, as they do for
 * whoever tests a configuration, and end nobody. */
void signals_by_errno(void);

/* Sets what this process does with every signal, whatever its starter has left: orders and SIGCHLD
 * are blocked, for a signalfd(2) to receive, also those that come before there is one. What the
 * starter ignores is not inherited: with SIGCHLD ignored the kernel tells of no child's end
 * (waitpid(2)). First of all in a server; children go on with child_begin. */
bool signals_begin(struct error *error);

/* True when the starter ignores SIGHUP, as nohup(1) does: the terminal's end is not to be the
 * server's. */
bool signals_hangup_ignored(void);

/* Before another binary takes this process over: what signals_begin is to find again. */
void signals_end(void);

/* Blocks nothing: for the process that only waits for a daemon. */
void signals_unblock(void);

/* The signals that signals_begin has blocked. */
void signals_blocked(sigset_t *set);

/* The row of a verb or of a number, or NULL. */
const struct signal_row *signal_by_verb(const char *verb);
const struct signal_row *signal_by_number(int number);

#endif
