/* Arenas of other layouts, left by a binary of another version: read record by record.
 *
 * After an upgrade, the new binary's workers take connections over from arenas that the old one's
 * have filled. The header's members up to `blocks_at` are the same in every layout; a record is
 * not, and is read through the table in arena_layout.c, into the form that this binary uses. A
 * layout, once released, stays in that table as it was. */
#ifndef PILLION_NET_ARENA_LAYOUT_H
#define PILLION_NET_ARENA_LAYOUT_H

#include "net/arena_format.h"

/* The size of a record in this layout, or 0 when this binary does not know it. */
uint32_t arena_layout_record_size(uint32_t layout);

/* The size of a record's marks in this layout; 0 when it has no table of marks. */
uint32_t arena_layout_marks_size(uint32_t layout);

/* The size of what is told of a record's client in this layout; 0 when it has no table of that. */
uint32_t arena_layout_clients_size(uint32_t layout);

/* Copies record `index` as it stands, whatever the arena's layout. */
void arena_record_read(const struct arena *arena, uint32_t index, struct conn_record *record);

/* Copies the marks of the frames of record `index` that have begun. `input` is the adopter's copy
 * of its input, which began at `in_start` of the block; `cursors` describe that copy. Layouts
 * without a table had the marks in the frames themselves: they are removed from `input`. */
void arena_marks_read(const struct arena *arena, uint32_t index, uint32_t in_start, char *input,
                      const struct conn_cursors *cursors, struct conn_marks *marks);

/* Copies what was told of the client of record `index`, for which CONN_TOLD is set: strings, and
 * never without an address, whatever stands there. */
void arena_client_read(const struct arena *arena, uint32_t index, struct conn_client *client);

/* Marks record `index` as taken over: later looks at this arena pass it by. */
void arena_record_take(const struct arena *arena, uint32_t index);

#endif
