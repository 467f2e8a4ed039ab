/* The control socket, at which `pillion -s` asks and waits for the outcome, and its clients. Master
 * only. */
#ifndef PILLION_MASTER_CONTROL_H
#define PILLION_MASTER_CONTROL_H

#include "base/place.h"
#include "event/loop.h"
#include "process/signals.h"

/* Somebody who asked by the control socket, and waits for the answer. */
struct control_client {
    struct watch watch;
    char line[64];
    size_t size;
    enum order order; /* ORDER_NONE until the line is whole */
    bool joined_next; /* a reload that came while another was under way */
    struct control_client *next;
};

/* Listens at `path`, and no more at a former one. On failure all stays as it was. */
bool control_open(const char *path, struct error *error);

/* Listens anew if the socket's file was removed, or another one is there. */
bool control_keep(struct error *error);

/* Gives its place up, and then tells those who wait for the end: another server may come at once.
 */
void control_close(void);

/* Takes up the control socket of the binary that this one replaces, and its clients: those who wait
 * for the upgrade's outcome (`said` is NULL), and the others with what they have said. */
void control_resume(int fd, const char *path, struct place_id file);
void control_resume_client(int fd, const char *said);

/* Answers everybody who waits for `order` (of those that `joined_next`, only when `all`). */
void control_answer(enum order order, bool all, bool good, const char *text);

#endif
