/* The buffers of a connection: taking, growing and giving back blocks of the arena. Private to
 * net/conn*.c.
 *
 * Bytes never move within a block: moving them and saying so could not become true together. They
 * are copied to another block, the record is committed, and only then the old block is free. */
#ifndef PILLION_NET_CONN_BUFFER_H
#define PILLION_NET_CONN_BUFFER_H

#include "net/conn.h"

#define READ_ORDER  2u /* 16 KiB: what an ordinary read has room for */
#define WRITE_ORDER 2u

/* Sees to it that there is room to receive into. False when the arena is full. */
bool input_prepare(struct conns *conns, struct conn *conn);

/* Moves the few bytes of a partial frame out of a large block, so that a client that sends a little
 * and then waits holds little. */
void input_shrink(struct conns *conns, struct conn *conn);

/* Notes that the connection waits for room in the arena. */
void conn_wait_for_room(struct conns *conns, struct conn *conn);

/* Gives a block back that no record refers to any more. */
void block_release(struct conns *conns, uint32_t block, unsigned order);

#endif
