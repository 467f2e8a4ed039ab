/* Adoption: how a worker takes over the connections of another one that is gone.
 *
 * Reloads and crashes both use it. The master names the arena; the worker reads its records and
 * asks the vaults for their sockets in batches. For each record it corrects the cursors by the
 * kernel's counts, answers the guilty request if there is one, sends the rest of the output,
 * handles the frames that have arrived, and polls the socket. Nothing in the arena is trusted. */
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
    const struct conn_policy *parting; /* for connections without a server block */
    /* The worker has taken all that it could from `serial`: `count` connections. */
    void (*done)(void *context, uint64_t serial, uint32_t count);
    /* The worker has taken `count` connections and has no room for the next one. */
    void (*full)(void *context, uint64_t serial, uint32_t count);
    void *context;
    uint32_t most; /* most connections for which it has descriptors and records */

    enum {
        ADOPT_IDLE,
        ADOPT_MAPPING, /* there was no memory to map the arena: it is tried again */
        ADOPT_ASKING,  /* a vault is to be asked as soon as it can be reached */
        ADOPT_ASKED,   /* a vault's answer is under way */
        ADOPT_TAKING   /* the batch is being taken over, or waits for room */
    } state;
    int from_fd; /* of the arena, until it is mapped */
    struct arena from_arena;
    uint64_t serial;
    struct adopt_rule rule;
    struct death death;
    struct kept_index kept;
    uint64_t since_ns;
    uint32_t next;   /* index of the next record to look at */
    uint32_t count;  /* taken over so far */
    uint32_t parted; /* those of them without a server block */
    uint64_t ids[CHANNEL_FDS_MAX];
    uint32_t records[CHANNEL_FDS_MAX];
    int fds[CHANNEL_FDS_MAX];      /* for the ids that were given; -1 for the others */
    uint8_t from[CHANNEL_FDS_MAX]; /* the seat that has given each */
    bool again[CHANNEL_FDS_MAX];   /* the vault that gave it is gone: hand it to the next one */
    uint32_t batch, taken;         /* entries in the arrays above; `taken` of them are done */
    uint32_t seats;                /* number of seats that may have them, and of passes */
    uint32_t pass, seat; /* seat to ask: in pass 0 each id's own seat, then the others in turn */
    bool truncated;      /* some that were given did not arrive: ask again */
    uint32_t tries;      /* how often the next one found no room */
    struct timer wait;   /* until the next try of asking or taking */
};

/* Starts to adopt the part that `message`, a MESSAGE_ADOPT, names; `fd` is the arena, and is
 * closed. */
void adopt_start(struct adoption *adoption, const struct message *message, int fd);

/* The vault in `seat` has answered. Owns the descriptors. */
void adopt_given(struct adoption *adoption, uint32_t seat, const struct message *message,
                 const int *fds, uint32_t fd_count);

/* The vault in `seat` is gone: the next one there is asked instead. */
void adopt_again(struct adoption *adoption, uint32_t seat);

/* Stops: other workers take over the rest. Descriptors that still come are closed here, which ends
 * no connection, since the vault keeps its duplicates. */
void adopt_stop(struct adoption *adoption);

#endif
