/* The control socket, at which `pillion -s` asks and waits for the outcome, and its clients. Master
 * only. */
#ifndef PILLION_MASTER_CONTROL_H
#define PILLION_MASTER_CONTROL_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "process/signals.h"

/* A process that asked by the control socket, and waits for the answer. */
struct control_client;

/* `obey` carries out what a client orders. Before anything else here. */
void control_begin(void (*obey)(enum order order, struct control_client *client));

/* Listens at `path`, and no more at a former one. On failure all stays as it was. */
bool control_open(const char *path, struct error *error);

/* Listens anew if the socket's file was removed, or another one is there. */
bool control_keep(struct error *error);

/* Where it is. NULL: there is none. */
const char *control_path(void);

/* Gives its place up, and then answers the clients that wait for the end: another server may come
 * at once. */
void control_close(void);

/* Whether `client` (or NULL) waits for the outcome of the reload under way, or of the next one. */
void control_wait(struct control_client *client, bool for_next);

/* The next reload is the one under way now. */
void control_advance(void);

/* Answers every client that waits for `order`; those that wait for the next one only if `all`. */
void control_answer(enum order order, bool all, bool good, const char *text);

/* For an upgrade: socket and clients as JSON and back, and whether they stay open over exec. A
 * state without a path means the path `missing`. Clients that wait for the upgrade wait, from then
 * on, for the reload that ends it. */
void control_write(cJSON *state);
void control_read(const cJSON *state);
void control_keep_open(bool keep);

/* A client, connected by `fd`, that has said `said`; NULL: it waits for the reload under way. */
void control_resume_client(int fd, const char *said);

#endif
