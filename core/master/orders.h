/* What an operator orders, by a signal or the control socket: each order does what the table in
 * orders.c says for what is under way already. Master only. */
#ifndef PILLION_MASTER_ORDERS_H
#define PILLION_MASTER_ORDERS_H

#include "master/control.h"
#include "master/master.h"

/* Carries an order out, as far as the stage of what is under way allows it. `client` (or NULL) is
 * answered when it is done. */
void master_order(enum order order, struct control_client *client);

/* Begins to end, or ends harder: what was to come next is abandoned, workers are told, listeners
 * are closed. */
void master_end(enum master_mode mode);

/* Ends the server: its first generation could not be started. */
void master_fail(const char *why);

/* Called when processes are gone: ends the loop if the server is ending and has none left. */
void master_check_end(void);

#endif
