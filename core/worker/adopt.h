/* Adoption: how a worker takes over the connections of one that is gone.
 *
 * The only way in, for reloads and crashes alike. The master names the arena; the worker reads its
 * records, asks the vaults for their sockets in batches, and takes each record as it stands: first
 * corrected from the kernel's counts, then its guilty request answered if it has one, then what is
 * half sent is sent, then the frames that are already there are handled, then the socket is
 * polled. Nothing in the arena is trusted. */
#ifndef PILLION_WORKER_ADOPT_H
#define PILLION_WORKER_ADOPT_H

#include "process/channel.h"
#include "rpc/dispatch.h"
#include "vault/vault_bank.h"

struct adoption {
    struct dispatcher *dispatcher;
    struct vault_bank *bank;

    /* The server of a listener, or of its heir, which `listener` becomes; or NULL when this
     * generation has neither. */
    const struct conn_policy *(*policy_of)(void *context, uint32_t *listener);
    const struct conn_policy *parting; /* of connections without server */
    /* All that could be taken over of `serial` was: `count` connections. */
    void (*done)(void *context, uint64_t serial, uint32_t count);
    /* `count` were, and for the next one this worker has no room. */
    void (*full)(void *context, uint64_t serial, uint32_t count);
    void *context;
    uint32_t most; /* connections that it has descriptors and records for */

    enum {
        ADOPT_IDLE,
        ADOPT_ASKING, /* a vault is to be asked, which was not to be reached yet */
        ADOPT_ASKED,  /* its answer is under way */
        ADOPT_PLACING /* it is being taken over, or waits for room */
    } state;
    struct arena from_arena;
    uint64_t serial;
    struct adopt_rule rule;
    struct death death;
    uint64_t since_ns;
    uint32_t next;   /* record to look at next */
    uint32_t count;  /* taken over so far */
    uint32_t parted; /* of them, those without server */
    uint64_t ids[CHANNEL_FDS_MAX];
    uint32_t records[CHANNEL_FDS_MAX];
    int fds[CHANNEL_FDS_MAX];      /* of the ids that were given, -1 for the others */
    uint8_t from[CHANNEL_FDS_MAX]; /* which seat has given them */
    bool again[CHANNEL_FDS_MAX];   /* its vault is gone since: the next one must hear of them */
    uint32_t batch, placed;        /* in the five above; `placed` are dealt with */
    uint32_t seats;                /* that may have them: as many rounds as these, if need be */
    uint32_t round, seat; /* whom to ask: in round 0 each id's own seat, then the others in turn */
    bool truncated;       /* there was no descriptor for some that were given: they are asked for
                             again */
    uint32_t tries;       /* of placing the next one */
    struct timer wait;    /* until the next try, of asking or of placing */
};

/* Starts to adopt what `message`, a MESSAGE_ADOPT, names; `fd` is the arena, and is closed. */
void adopt_start(struct adoption *adoption, const struct message *message, int fd);

/* The answer of the vault in `seat`. Owns the descriptors. */
void adopt_given(struct adoption *adoption, uint32_t seat, const struct message *message,
                 const int *fds, uint32_t fd_count);

/* That vault is gone: what was asked of it is asked of the next one. */
void adopt_again(struct adoption *adoption, uint32_t seat);

/* Gives up: others take over what is left. What was asked for and comes still is closed here, which
 * hurts nobody: the vault keeps its own. */
void adopt_stop(struct adoption *adoption);

#endif
