/* A client of etcd, version 3, over the JSON that its members answer on their client port: a lease
 * with the keys that it holds, and prefixes that are watched. For the registry process.
 *
 * It speaks to one member at a time. One that dies, hangs, refuses or is cut off from the others is
 * left for the next, after a pause that grows and that chance changes a little when all have
 * failed. A lost lease is taken anew with all its keys; a watch goes on behind the last revision
 * that was seen, on whatever member, and reads the whole range again where etcd has forgotten that
 * revision or is another etcd. Tokens are renewed. None of that concerns the caller, and the wall
 * clock none of it.
 *
 * Nothing waits. Events come from the loop, never from within a call of this file, but etcd_close
 * ends them at once. Within an event any function but etcd_close may be called. Texts of errors are
 * sentences without a full stop, without secrets. */
#ifndef PILLION_REGISTRY_ETCD_H
#define PILLION_REGISTRY_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "event/loop.h"
#include "registry/etcd_events.h"
#include "registry/http.h"

#define ETCD_URLS_MAX   16u
#define ETCD_PREFIX_MAX 1024u /* bytes of a prefix or of a key that is held */

struct etcd_settings {
    const char *const *urls; /* of members: http://10.0.0.9:2379; copied, as all of it is */
    size_t url_count;        /* 1 to ETCD_URLS_MAX */
    const char *user;        /* NULL: none */
    const char *password;    /* the password itself; NULL: none */
    /* For URLs with https: files of PEM, read by etcd_open. NULL: the system's authorities; no
     * certificate of one's own. */
    const char *ca, *cert, *key;
    bool unverified;     /* any certificate will do */
    uint32_t ttl_s;      /* of the lease; etcd makes small ones larger */
    uint32_t timeout_ms; /* for an answer; 0: 2500. Never more than a quarter of `ttl_s` */
    size_t answer_max;   /* bytes of one answer or event; 0: 64 MiB */
};

/* For metrics, status and tests. */
struct etcd_figures {
    uint64_t requests, failures; /* failed: no answer, or an error */
    uint64_t moves;              /* from one member to another */
    uint64_t leases;             /* that were granted */
    uint64_t snapshots, events;  /* that watches have brought */
    uint64_t sent, received;     /* bytes of bodies */
    const char *member;          /* the URL that is spoken to */
    const char *why;             /* of the last failure of a member; "": there was none */
    int64_t lease;               /* 0: none */
    bool there;                  /* as contact has told */
    size_t keys, held;           /* to be held; that are */
};

struct etcd;

/* NULL with the reason: a URL, a file of TLS that cannot be read, memory. Nothing is asked before
 * the first watch, hold or resume. `events` is copied. */
struct etcd *etcd_open(struct loop *loop, const struct http_table *http,
                       const struct etcd_settings *settings, const struct etcd_events *events,
                       void *context, struct error *error);

/* Ends all of it at once. The lease stays until its time is over, or etcd_resume goes on with it.
 */
void etcd_close(struct etcd *etcd);

/* Watches all keys that begin with `prefix`, which is copied; once is enough. */
bool etcd_watch(struct etcd *etcd, const char *prefix, struct error *error);
void etcd_unwatch(struct etcd *etcd, const char *prefix);

/* Goes on with a lease of a former process, before the first etcd_hold. When it is lost,
 * etcd_hold's keys get a new one. Keys that are there already with the same value are left as they
 * are, so that nobody who watches hears of it. */
void etcd_resume(struct etcd *etcd, int64_t lease);

/* Keeps the key there under the lease, with this value; both are copied. Again with another value:
 * it is replaced. */
bool etcd_hold(struct etcd *etcd, const char *key, struct bytes value, struct error *error);

/* Deletes the key; `etcd_figures.held` tells when that is done. One that is not held is left. */
void etcd_unhold(struct etcd *etcd, const char *key);

/* Holds nothing any more, and ends the lease, so that its keys are gone at once. `done` is called
 * when etcd has said so, or when `timeout_ms` is over (then with false, and the lease ends by
 * itself). Watches go on. */
void etcd_revoke(struct etcd *etcd, uint32_t timeout_ms, void (*done)(void *context, bool ended),
                 void *context);

void etcd_figures(const struct etcd *etcd, struct etcd_figures *figures);

#endif
