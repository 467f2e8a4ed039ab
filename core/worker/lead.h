/* Which worker leads: does what one worker of the server is to do alone (pillion_server_timer).
 *
 * It is the serving worker of the present configuration that has the lowest slot, as the board
 * tells it. Nobody elects it, and nothing has to be given back: when it dies or leaves, another one
 * is the lowest. */
#ifndef PILLION_WORKER_LEAD_H
#define PILLION_WORKER_LEAD_H

#include "rpc/board.h"
#include "rpc/callback.h"

/* From now on this worker, whose row that is among the board's, knows whether it leads. */
void lead_begin(const struct board *board, const struct board_row *row);

#endif
