/* The journal: the last events of the server that an operator wants to know of. It is a part of the
 * board, so every process can read it, and it outlives reloads and upgrades.
 *
 * The master alone writes it (master/report.h). A row is a whole event or none: its first word, the
 * event's number, is cleared before the others change and stored after them, and a reader looks at
 * it before and after it has copied the row. Readers believe no text and no kind unchecked. An
 * event holds names of the configuration and words of the server's own, and no text of a client. */
#ifndef PILLION_RPC_JOURNAL_H
#define PILLION_RPC_JOURNAL_H

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"

#define JOURNAL_KEPT       256u /* events */
#define JOURNAL_METHOD_MAX 256u /* bytes of a method's name, with its NUL */
#define JOURNAL_MODULE_MAX 48u  /* of a module's */
#define JOURNAL_TEXT_MAX   684u /* of the words; longer ones are cut */

/* Append only: a newer binary writes for the former one's workers, too. */
enum journal_kind {
    JOURNAL_STARTED,
    JOURNAL_RELOAD,
    JOURNAL_RELOAD_FAILED,
    JOURNAL_UPGRADE,
    JOURNAL_UPGRADE_FAILED,
    JOURNAL_CRASH,
    JOURNAL_HANG,
    JOURNAL_DISORDER, /* a worker that was told to end has not done so in order */
    JOURNAL_QUARANTINE,
    JOURNAL_WORKER_WORN, /* another one takes its place; no client notices */
    JOURNAL_WORKER_CRIPPLED,
    JOURNAL_NOT_REPLACED, /* a worker that died, whose slot is empty for now */
    JOURNAL_CORRECTION,   /* of the bytes that a dead worker had counted for its connections */
    JOURNAL_VAULT_RESTARTED,
    JOURNAL_STOPPING,
    JOURNAL_GATE_ENDED,       /* and its clients with it */
    JOURNAL_REGISTRY_ENDED,   /* the process that speaks to it; another goes on with its lease */
    JOURNAL_REGISTRY_LOST,    /* it does not answer */
    JOURNAL_REGISTRY_BACK,    /* it answers again */
    JOURNAL_REGISTRY_LEASE,   /* the server's lease was lost: it has another */
    JOURNAL_REGISTRY_REFUSED, /* it refuses what it is asked, as a wrong password */
    JOURNAL_KINDS
};

struct journal_event {
    uint64_t id;    /* ascending; also from one start of the server to the next */
    uint64_t at_ms; /* the wall clock's */
    uint64_t generation;
    int32_t pid;   /* of the process that the event is about; 0: none */
    uint32_t kind; /* enum journal_kind */
    char method[JOURNAL_METHOD_MAX], module[JOURNAL_MODULE_MAX]; /* "": none, or not known */
    char text[JOURNAL_TEXT_MAX];                                 /* one line for people */
};

#define JOURNAL_WORDS (sizeof(struct journal_event) / sizeof(counter))
static_assert(JOURNAL_WORDS * sizeof(counter) == sizeof(struct journal_event), "whole words");

struct journal {
    counter last;                              /* the id of the latest event; 0: there was none */
    counter rows[JOURNAL_KEPT][JOURNAL_WORDS]; /* an event's row is its id modulo JOURNAL_KEPT */
};

/* "reload_failed" and the like; "event" for a kind that only a newer version knows. */
const char *journal_kind_name(uint32_t kind);

/* How bad it is: LOG_ERROR_LEVEL, LOG_WARN_LEVEL or LOG_NOTICE_LEVEL. */
enum log_level journal_kind_level(uint32_t kind);

/* Adds the event, with the next id and the time that it is now. Master only. */
void journal_add(struct journal *journal, struct journal_event *event);

/* The id of the latest event; 0: there was none. */
uint64_t journal_last(const struct journal *journal);

/* Copies the event after `id` (0: the oldest one that is kept) that comes first. False when there
 * is none. Its texts are ended by a NUL, and may stand on a terminal (base/printable.h). An `id`
 * that is ahead of the journal is another server's: the oldest event follows it. */
bool journal_next(const struct journal *journal, uint64_t id, struct journal_event *event);

/* Appends the event as a JSON object on one line:
 * {"id":7,"at_ms":1764402630123,"kind":"crash","level":"error","method":"pay","module":null,
 * "pid":4711,"generation":2,"text":"…"}. */
void journal_append(const struct journal_event *event, struct text *out);

/* All events as an array for the binary that takes this one's place, and back into an empty
 * journal, should that binary begin another board. */
cJSON *journal_write(const struct journal *journal);
void journal_read(struct journal *journal, const cJSON *list);

#endif
