/* An operator's orders, given by a signal or the control socket. The table in orders.c says what
 * each order does beside those that are under way already. Master only. */
#ifndef PILLION_MASTER_ORDERS_H
#define PILLION_MASTER_ORDERS_H

#include "master/control.h"
#include "master/master.h"

/* Carries an order out, as the table says. `client` (or NULL) is answered when it is done. */
void master_order(enum order order, struct control_client *client);

/* Has the server reload with the configuration that is in use, for what was found elsewhere. False
 * when it is not the time: a reload or an upgrade is under way, or the server is ending. */
bool master_reload_again(void);

/* Begins to end the server, or ends it harder: abandons reload and upgrade, tells the workers to
 * end, closes the listeners. */
void master_end(enum master_mode mode);

/* The order that SIGTERM is now (`sigterm`). */
enum order sigterm_order(void);

/* True from the order to quit until the server begins to (`quit_delay`). */
bool master_is_to_quit(void);

/* Ends the server: its first generation could not be started. */
void master_fail(const char *why);

/* Call this when processes are gone: stops the loop if the server is ending and no worker is
 * left. */
void master_check_end(void);

#endif
