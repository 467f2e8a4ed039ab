/* Answers that cannot be queued yet, kept in the arena: those of a batch's calls until its last one
 * is answered, and those that wait for the answers of earlier requests. So a worker that takes the
 * connection over has them, and runs nothing for them again.
 *
 * They are kept for a frame, by its connection and its place in the input stream, and have numbers.
 * Each frame that has some has a block. The blocks are a list, whose start is in the arena's first
 * block, behind arena_begun. A list of one more or one less block becomes true by one store, as an
 * answer does. That an answer is kept is best effort: where the arena has no room to spare, it is
 * in the worker's memory alone, as it always is too. */
#ifndef PILLION_NET_KEPT_H
#define PILLION_NET_KEPT_H

#include "net/conn.h"

/* The answers that are kept for a frame. All zero: there are none. */
struct kept {
    struct conns *conns; /* NULL: there are none */
    struct kept *next, *previous;
    uint32_t block;
    uint8_t order;
};

/* Keeps one more answer for the frame at this place of the connection with this id. */
void kept_add(struct kept *kept, struct conns *conns, uint64_t connection, uint64_t place,
              uint32_t number, struct bytes answer);

/* They are not needed any more. */
void kept_drop(struct kept *kept);

/* ---- What a former worker has kept ---- */

struct kept_frame {
    uint64_t connection, place;
    uint32_t block, size;
};

struct kept_index {
    const struct arena *from;
    struct kept_frame *frames; /* in order */
    size_t count;
};

/* Finds the frames for which answers are kept in `from`, which outlives the index. Nothing there is
 * trusted. */
void kept_index_read(struct kept_index *index, const struct arena *from);
void kept_index_free(struct kept_index *index);

/* Before an adopter takes the connection over: keeps in its own arena what the former worker has
 * kept for it, until kept_settle. So whenever the adopter dies, the next one has it. NULL when
 * there is nothing. */
struct kept *kept_inherit(struct conns *conns, const struct kept_index *index, uint64_t connection);
void kept_settle(struct kept *inherited);

/* The next answer that is kept for this frame. `at` starts as 0. False after the last. */
bool kept_next(const struct kept_index *index, uint64_t connection, uint64_t place, uint32_t *at,
               uint32_t *number, struct bytes *answer);

#endif
