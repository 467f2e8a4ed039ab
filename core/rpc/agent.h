/* HAProxy's agent-check (HAProxy's configuration manual, section 5.2, "agent-check"): a connection
 * to `listen … protocol=agent` is told one line, and ends.
 *
 *     up ready 100%      the server takes new work; the share of its weight that it is worth
 *     drain              it is about to end, as `GET /readyz` says: no new clients, please
 *
 * The words "down" and "maint" are never said: a server without workers accepts nothing, which
 * HAProxy's own checks see, and maintenance is the operator's to declare. No request of any module
 * runs. In a worker. */
#ifndef PILLION_RPC_AGENT_H
#define PILLION_RPC_AGENT_H

#include "rpc/dispatcher.h"

#define AGENT_LINE_MAX 32u

/* The share of its weight that the server is worth, of 1 to 100: the mean of its serving workers.
 * `room` is how many connections each of them may have. A worker is worth 100 while it has at most
 * half of them, then less and less, and nothing while it accepts none. One whose loop took more
 * than AGENT_LAG_NS to answer the master's last question (master/pulse.h) is worth less by as many
 * times as it took longer. Never 0, which HAProxy takes for "drain". */
#define AGENT_LAG_NS (50 * NS_PER_MS)
uint32_t agent_percent(const struct board *board, uint32_t room);

/* Writes the line, with its newline; returns its size. */
size_t agent_line(bool ready, uint32_t percent, char line[AGENT_LINE_MAX]);

/* Tells the connection its line, consumes all that its client has sent, and ends it: one commit. */
void agent_answer(const struct dispatcher *dispatcher, struct conn *conn);

#endif
