/* Messages that a channel does not take at once, kept until it does: its buffer is full, the kernel
 * is out of memory, or the user has too many descriptors under way (unix(7), ETOOMANYREFS).
 *
 * For what must not get lost and must stay in order, sent by a process that must not wait. */
#ifndef PILLION_PROCESS_OUTBOX_H
#define PILLION_PROCESS_OUTBOX_H

#include "event/loop.h"
#include "process/channel.h"

struct parcel;

/* Zeroed, but for `loop` and `channel`, is empty. */
struct outbox {
    struct loop *loop;
    int channel;
    struct timer retry;
    struct parcel *first, *last;
};

/* Sends `message` with its ids, when there are any, or its text; and with `fd` (which stays the
 * caller's) unless that is -1, now or as soon as it goes. False with errno when it never will. */
bool outbox_send(struct outbox *outbox, const struct message *message, int fd);

/* The plain form: a type and numbers. */
bool outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial, uint64_t number);

/* Waits for at most `ns` until it is empty. False when it is not. */
bool outbox_finish(struct outbox *outbox, uint64_t ns);

/* Drops what is in it: the other side is gone. */
void outbox_clear(struct outbox *outbox);

#endif
