/* What the files of net/conn*.c share, and nobody else: conn.c (the life of a connection),
 * conn_io.c (moving bytes), conn_buffer.c (blocks of the arena), conn_header.c (PROXY headers),
 * conn_finish.c (clients that send no more), conn_sweep.c (what ends by time) and conn_pace.c
 * (slow clients).
 *
 * Bytes never move within a block: moving them and saying so could not become true together. They
 * are copied to another block, the record is committed, and only then the old block is free. */
#ifndef PILLION_NET_CONN_PRIVATE_H
#define PILLION_NET_CONN_PRIVATE_H

#include "net/conn.h"

/* ---- conn.c, conn_sweep.c ---- */

/* Puts the connection on the list of connections to flush at the end of the batch. */
void conn_mark_dirty(struct conns *conns, struct conn *conn);

/* The conn is free for another connection; at the batch's end when it is on the list. */
void conn_give(struct conns *conns, struct conn *conn);

/* Sets flags in the record. */
void conn_set_flags(struct conns *conns, struct conn *conn, uint8_t flags);

/* Makes the connection `parting` if it is too old: from its next flush on it ends as soon as it has
 * nothing under way. True when it can still become too old. */
bool conn_may_age(const struct conns *conns, struct conn *conn);

/* Forgets the messages that were on their way on a connection before this one. */
static inline void conn_pace_begin(struct conns *conns, const struct conn *conn)
{
    struct conn_pace *arrival = &conns->arrivals[conn_index(conns, conn)];
    struct conn_pace *sending = &conns->sendings[conn_index(conns, conn)];

    if (arrival->left != 0) /* their pages are not written to without need */
        arrival->left = 0;
    if (sending->left != 0)
        sending->left = 0;
}

/* Begins to look for idle, old, slow and lingering connections once a second, while there are any.
 */
void conns_sweep(struct conns *conns);

/* The arena is full: looks soon, for clients that keep others waiting. */
void conns_sweep_soon(struct conns *conns);

/* The address of a socket's other end, also after a reset: then getpeername(2) fails, but the
 * socket still has the address, in every process that holds it. */
bool conn_peer_of(int fd, struct sockaddr_storage *peer, socklen_t *size);

/* Writes a socket's own address. */
const char *conn_here(int fd, char text[ADDRESS_TEXT_SIZE]);

/* Closes with a reset: what the client has left unread is given up, in the kernel too. */
void conn_cut(struct conns *conns, struct conn *conn);

/* True when the server has the first word, so that on_input is called without input. */
bool conn_speaks_first(const struct conns *conns, const struct conn *conn);

/* ---- conn_pace.c ---- */

/* A part of the message at `place` is there: gives it its time, unless it has one. False when that
 * is over. */
bool conn_pace_expect(struct conns *conns, const struct conn *conn, uint64_t place);

/* Of a sweep, `elapsed` after the one before: whether the client sends its message, or reads its
 * replies, fast enough. True when the sweep has to look again. A message that is late is handed to
 * on_input, which asks conn_arrives; a client that does not read is cut off: its policy is NULL
 * then. */
bool conn_pace_arrival(struct conns *conns, struct conn *conn, uint32_t elapsed);
bool conn_pace_sending(struct conns *conns, struct conn *conn, uint32_t elapsed);

/* ---- conn_finish.c ---- */

/* True when its client sends no more. */
bool conn_has_finished(const struct conns *conns, const struct conn *conn);

/* Of a connection with deferred requests: true when that means that its client is gone, and nothing
 * but requests that wait for modules keeps the connection. */
bool conn_is_left(const struct conns *conns, const struct conn *conn);

/* The same: has the kernel find out whether a client that has finished sending is still there. */
void conn_probe(const struct conns *conns, struct conn *conn);

/* ---- conn_header.c ---- */

/* There is input, and CONN_HEADER is set. True when the header was consumed and on_input is to be
 * called: for what follows it, or because the server has the first word. */
bool conn_header_input(struct conns *conns, struct conn *conn, struct bytes input);

/* ---- conn_buffer.c ---- */

#define READ_ORDER  2u /* 16 KiB: what an ordinary read has room for */
#define WRITE_ORDER 2u

/* Sees to it that there is room to receive into. False when the arena is full. */
bool input_prepare(struct conns *conns, struct conn *conn);

/* How much may be received into it. Into the reserve no more than makes its frame whole, so that
 * it is free for another one then. */
size_t input_room(const struct conns *conns, const struct conn *conn);

/* Moves the few bytes of a partial frame out of a large block, so that a client that sends a little
 * and then waits holds little. */
void input_shrink(struct conns *conns, struct conn *conn);

#endif
