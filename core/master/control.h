/* The control socket, to which `pillion -s` sends an order and waits for the outcome, and its
 * clients. Master only. */
#ifndef PILLION_MASTER_CONTROL_H
#define PILLION_MASTER_CONTROL_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/bytes.h"
#include "base/error.h"
#include "conf/settings.h"
#include "process/signals.h"

/* A process that is connected to the control socket and waits for its order's outcome. */
struct control_client;

/* What a client may ask to be shown, beside the orders. */
#define CONTROL_STATS   "stats"   /* the counters, as rpc.stats has them */
#define CONTROL_METRICS "metrics" /* as GET /metrics has them */
#define CONTROL_EVENTS                                                         \
    "events" /* the journal, a JSON object on each line; with " ID" behind it, \
                the events after that one, as soon as there are any */

enum control_shown {
    CONTROL_UNKNOWN, /* the word is none of the above */
    CONTROL_SHOWN,
    CONTROL_LATER /* nothing yet: the client waits for control_news */
};

/* `obey` carries out a client's order; `show` appends what one of the words above is for. Call this
 * before anything else here. */
void control_begin(void (*obey)(enum order order, struct control_client *client),
                   enum control_shown (*show)(const char *word, struct text *out));

/* There is an event in the journal: clients that wait for one are shown it, in the loop's next
 * turn, or at the latest by control_close. */
void control_news(void);

/* Listens where the settings have it instead of at the former path, if there was one, or gives the
 * socket that is there already their rights. On failure all stays as it was. */
bool control_open(const struct settings *settings, struct error *error);

/* Listens anew if the socket's file was removed or replaced. */
bool control_keep(struct error *error);

/* The socket's path; NULL: there is no socket. */
const char *control_path(void);

/* Stops listening, and then answers the clients that wait for the server's end: as soon as they are
 * answered, another server may start at the same path. */
void control_close(void);

/* Notes that `client` (NULL: nobody) waits for the reload under way, or (`for_next`) for the next
 * one. */
void control_wait(struct control_client *client, bool for_next);

/* A reload begins: clients that waited for the next reload now wait for the one under way. */
void control_advance(void);

/* Answers every client that waits for `order`; clients that wait for the next reload only if
 * `all`. */
void control_answer(enum order order, bool all, bool good, const char *text);

/* For an upgrade: socket and clients as JSON and back, and whether they stay open over exec.
 * Clients that wait for the upgrade wait, in the new binary, for the reload that ends it. */
void control_write(cJSON *state);
void control_read(const cJSON *state);
void control_keep_open(bool keep);

/* Takes up a client, connected by `fd`, that has sent `said`; NULL: it waits for the reload under
 * way. */
void control_resume_client(int fd, const char *said);

#endif
