/* What a client of etcd tells its owner: see etcd.h. */
#ifndef PILLION_REGISTRY_ETCD_EVENTS_H
#define PILLION_REGISTRY_ETCD_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct etcd_row {
    struct bytes key, value; /* any bytes */
};

/* What happens. Any of them may be NULL. Everything that they are given is valid during the call
 * alone; `prefix` is as etcd_watch had it. */
struct etcd_events {
    /* All that is below the prefix: at first, and whenever what lies between is not known. What was
     * told before and is not among the rows is gone. Rows are in the order of their keys. */
    void (*snapshot)(void *context, const char *prefix, const struct etcd_row *rows, size_t count);
    /* A key is new, or has another value. The same may be told twice. */
    void (*put)(void *context, const char *prefix, struct bytes key, struct bytes value);
    /* A key was deleted, or its lease has ended. One that was never told may be. */
    void (*gone)(void *context, const char *prefix, struct bytes key);
    /* No more for now: what put, gone and snapshot have told belongs together. */
    void (*settled)(void *context, const char *prefix);
    /* The lease: a new one, also in place of a lost one. To be given to etcd_resume by the next
     * process. 0: there is none any more, after etcd_revoke. */
    void (*leased)(void *context, int64_t lease);
    /* A key is there now, with the value of the last etcd_hold: at first, and after a lost lease.
     */
    void (*held)(void *context, const char *key);
    /* Whether any member answers: once that is known, and each time that it changes. `why` is the
     * last member's trouble, or the URL of the member that answers. */
    void (*contact)(void *context, bool there, const char *why);
    /* An answer that no other member would give, such as "permission denied": what, where, what to
     * do. It is tried again. The same text comes once a minute at most. */
    void (*trouble)(void *context, const char *text);
};

#endif
