/* What can be asked of a running server: one table, for signal handling, for the control socket and
 * for the command line's `-s`. */
#ifndef PILLION_PROCESS_SIGNALS_H
#define PILLION_PROCESS_SIGNALS_H

#include <signal.h>
#include <stddef.h>

enum order { ORDER_NONE, ORDER_STOP, ORDER_QUIT, ORDER_RELOAD, ORDER_REOPEN, ORDER_UPGRADE };

struct signal_row {
    int number;
    const char *verb; /* for -s */
    enum order order;
    const char *summary;
};

/* Ends with number 0. The first row of a verb is the signal to send for it. */
extern const struct signal_row signal_table[];

/* The row of a verb or of a number, or NULL. */
const struct signal_row *signal_by_verb(const char *verb);
const struct signal_row *signal_by_number(int number);

#endif
