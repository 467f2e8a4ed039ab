/* A queue of messages that a channel cannot take now, because its buffer is full, the kernel is out
 * of memory, or the user has too many descriptors under way (unix(7), ETOOMANYREFS).
 *
 * For a process that must not wait, and messages that must neither get lost nor change their
 * order. */
#ifndef PILLION_PROCESS_OUTBOX_H
#define PILLION_PROCESS_OUTBOX_H

#include "event/loop.h"
#include "process/channel.h"

struct parcel;

/* An outbox. One with only `loop` and `channel` set, and the rest zero, is empty. */
struct outbox {
    struct loop *loop;
    int channel;
    struct timer retry;
    struct parcel *first, *last;
};

/* Sends `message` with its ids, when there are any, or its text, and with `fd` (which stays the
 * caller's) unless that is -1; now or as soon as the channel takes it. False with errno when it
 * never will. */
bool outbox_send(struct outbox *outbox, const struct message *message, int fd);

/* Sends a message that is only a type and two numbers. */
bool outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial, uint64_t number);

/* Waits for at most `ns` until the outbox is empty. False when it is not. */
bool outbox_finish(struct outbox *outbox, uint64_t ns);

/* Drops the queued messages: the other side is gone. */
void outbox_clear(struct outbox *outbox);

#endif
