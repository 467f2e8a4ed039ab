/* Messages between the processes of a server: typed structures over socket pairs.
 *
 * Each pair is AF_UNIX SOCK_SEQPACKET: a message arrives whole or not at all, descriptors travel
 * with it (SCM_RIGHTS, unix(7)), and the end of the other process is an end of file. */
#ifndef PILLION_PROCESS_CHANNEL_H
#define PILLION_PROCESS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CHANNEL_FDS_MAX  253u /* SCM_MAX_FD */
#define CHANNEL_TEXT_MAX 8192u

/* Why a worker is of no use any more. */
enum relief {
    RELIEF_THREADS, /* too many of its threads are stuck */
    RELIEF_FILES,   /* its limit on open files was lowered, for good */
    RELIEF_WORN,    /* it has had as many requests, or has as much memory, as it may */
};

enum message_type {
    /* master to worker */
    MESSAGE_SERVE = 1, /* begin to accept; keep room for `number` connections that are still to be
                          taken over. Sent again when that number changes */
    MESSAGE_LEAVE, /* finish the batch and the requests under way, then end: other workers take the
                      connections over; `number`: drain timeout in ms */
    MESSAGE_QUIT,  /* finish the requests under way, then end; `number`: drain timeout in ms */
    MESSAGE_STOP,  /* end at once */
    MESSAGE_LOG, /* open files anew, and answer REOPENED with `serial`; 1 descriptor: the log, if it
                    is a file */
    MESSAGE_VAULT, /* 1 descriptor: the channel to a new vault, which holds nothing yet;
                      `serial` names it, `number` is its seat */
    MESSAGE_ADOPT, /* 1 descriptor: an arena; `adopt` says which of its connections to take, and
                      `ids`, if there are any, the request that the worker died of */
    /* worker or probe to master */
    MESSAGE_STAGE,    /* `text`: "ping.so\nloading", the step that begins */
    MESSAGE_READY,    /* everything is loaded and started; from a probe: all checks are good */
    MESSAGE_FAILED,   /* `text`: the reason */
    MESSAGE_RELEASED, /* connections may be taken over, but for `number` that wait for an answer.
                         This worker changes the others in the arena no more, and they are in the
                         vaults that `ids` name by seat (0: the first vault that it knew there).
                         `serial` is the first id, for masters of earlier versions */
    MESSAGE_ADOPTED,  /* `serial` of the source; `number` connections were taken */
    /* master to vault */
    MESSAGE_WORKER, /* 1 descriptor: the channel of the worker `serial` */
    MESSAGE_DEAD,   /* the worker `serial` is gone or has let go: its sockets may be handed out */
    MESSAGE_RETIRE, /* no more sockets of `serial` will be asked for: close the rest */
    /* worker to vault */
    MESSAGE_HOLD, /* `count` ids in `ids`, and as many descriptors; `number` not 0: ignore sockets
                     that the vault holds already */
    MESSAGE_DROP, /* `count` ids */
    MESSAGE_TAKE, /* `count` ids: hand their sockets out */
    /* vault to worker */
    MESSAGE_GIVE, /* `count` ids and descriptors; `number` other ids are not here */
    /* Append only: after an upgrade, processes of two versions talk to each other and must agree on
     * the numbers. */
    /* worker to master */
    MESSAGE_REOPENED, /* `serial` of the LOG; `text`: the files that could not be opened, or "" */
    /* master to worker */
    MESSAGE_TAKEN, /* all RELEASED connections have been taken over: end */
    /* probe to master */
    MESSAGE_METRICS, /* `text`: names of its modules' metrics, as metrics_declare takes them */
    /* worker to master */
    MESSAGE_STUCK,   /* a thread is stuck in work of the method `number` */
    MESSAGE_RELIEVE, /* another worker is to take this one's place: `number` is an enum relief */
    /* master to vault */
    MESSAGE_SURPLUS, /* `number` 1: end as soon as no socket is held; 0: do not */
    /* vault to worker, and to master */
    MESSAGE_HELD,    /* to a worker: `number` descriptors have been received from it in all; one id:
                        for how many more the vault has room. `serial` is 0, so that workers of
                        earlier versions ignore it. To the master: `number` sockets are held; one
                        id: how many were refused so far */
    MESSAGE_REFUSED, /* `count` ids that the vault has no room for; `serial` is 0, as in HELD */
    /* worker to master */
    MESSAGE_UNHELD, /* `number` of its connections are in no vault, because no vault had room */
    MESSAGE_FULL, /* `serial` of the source; `number` connections were taken, and this worker has no
                     descriptors or records for more: other workers are to take the rest */
    /* vault to master */
    MESSAGE_UNREACHED, /* the vault has no channel to the worker `serial`: it had no descriptor left
                          for one, or, when `number` is not 0, failed with that errno */
    /* master to worker or vault */
    MESSAGE_BEAT, /* a question; the loop answers at the end of its batch with ALIVE and the same
                     `serial`, several questions by the last one's */
    /* worker or vault to master */
    MESSAGE_ALIVE,
    /* vault to master */
    MESSAGE_CUT, /* the channel of the worker `serial` is closed, and the master has not said DEAD
                  */
    /* worker or probe to master */
    MESSAGE_SANDBOXED, /* it dies of a system call that the sandbox refuses: `serial` is its number,
                          `number` the architecture (seccomp(2)) */
    /* master to worker */
    MESSAGE_UNREADY, /* the server is to quit before long: probes of readiness fail */
    /* worker to master */
    MESSAGE_WANTS, /* `text`: the name of a service that a module of it has opened */
    /* probe to master */
    MESSAGE_METHODS, /* `text`: the next part of what the server block `number` offers, as a
                        registry's record has it (rpc/offer.h); `serial` 1 begins it anew */
    /* master to registry process */
    MESSAGE_WATCH,  /* `text`: a service to watch (net/directory.h), or, when `number` is 0, not any
                       more */
    MESSAGE_OFFER,  /* `number`: an enum offer */
    MESSAGE_REVOKE, /* take all addresses back, and end the lease; answered by REVOKED within about
                       `number` ms */
    /* registry process to master */
    MESSAGE_REVOKED, /* `number` 1: it is done; 0: nobody has answered, and the lease ends by itself
                      */
    MESSAGE_LEASE,   /* `serial`: the lease that holds the addresses; `number` 1: in place of a lost
                        one */
    MESSAGE_CONTACT, /* `number`: an enum contact; `text`: the reason */
    MESSAGE_FIGURES, /* `ids`, by enum registry_figure (rpc/registry_figure.h) */
    MESSAGE_SERVICE, /* `text`: a service; `number` of its servers; `serial` 1: they are known */
    MESSAGE_FORGOTTEN, /* the addresses of former configurations are registered no more */
    /* worker to master */
    MESSAGE_OFFLINE, /* it is locked down, and has no need of the network: the registry process asks
                        nobody in its name. Sent before any code of a module runs, and for good */
    MESSAGE_TYPES
};

/* How much of the server's addresses is to be in the registry. */
enum offer {
    OFFER_NONE,
    OFFER_LITTLE, /* with the least weight: the server is full */
    OFFER_WHOLE
};

/* How the registry process stands with its registry. */
enum contact {
    CONTACT_LOST,
    CONTACT_THERE,
    CONTACT_REFUSED /* something that was asked; it is asked again */
};

/* Which of a dead worker's connections a slot takes: record r of the worker that had slot `slot` of
 * `slots` goes to slot (r * slots + slot) % `parts`. With as many parts as slots that is the same
 * slot; with other numbers they spread evenly. */
struct adopt_rule {
    uint32_t slot, slots;
    uint32_t part, parts;
    uint32_t partial; /* the worker lives, and keeps the connections whose record says `staying` */
    uint32_t hung;    /* 1: the watchdog ended the worker: its request is answered `timeout`; 2:
                         likewise, because it gave no sign of life */
};

/* The ids of ADOPT name the guilty request. Without ids it is the request that a handler was
 * running, if there was one. */
enum { ADOPT_CONNECTION, ADOPT_PLACE, ADOPT_IDS };

struct message {
    uint32_t type;  /* enum message_type */
    uint32_t count; /* of `ids`, at most CHANNEL_FDS_MAX; 0: there is a text or nothing */
    uint64_t serial;
    uint64_t number;
    struct adopt_rule adopt;
    union {
        char text[CHANNEL_TEXT_MAX]; /* NUL-terminated */
        uint64_t ids[CHANNEL_FDS_MAX];
    };
};

/* Makes a socket pair, close-on-exec and non-blocking. */
bool channel_pair(int fds[2], struct error *error);

/* Sends `message`, its ids when `ids`, its text otherwise, with `fd_count` descriptors (which stay
 * the caller's). False with errno: EAGAIN when the other side does not read, ETOOMANYREFS when too
 * many descriptors are under way, EPIPE when the other side is gone. Without descriptors, a kernel
 * that lacks memory is asked again for some milliseconds. */
bool channel_send(int channel, const struct message *message, bool ids, const int *fds,
                  uint32_t fd_count);

/* True for an errno of channel_send that passes by itself: the other side does not read, or the
 * kernel has no memory for now. */
bool channel_error_passes(int number);

/* Sends a message that is only a type and two numbers. */
bool channel_tell(int channel, enum message_type type, uint64_t serial, uint64_t number);

/* Sends a message without descriptors, and waits until there is room: for a child's message to
 * the master that must not get lost. */
void channel_insist(int channel, const struct message *message, bool ids);

/* The same with only a type and a text, cut to fit. */
void channel_say(int channel, enum message_type type, const char *text);

enum channel_status { CHANNEL_MESSAGE, CHANNEL_EMPTY, CHANNEL_CLOSED };

/* Receives one message. `fds` has room for CHANNEL_FDS_MAX and takes close-on-exec descriptors that
 * the caller owns; `fd_count` says how many came, which is fewer than were sent when this process
 * is out of descriptors (MSG_CTRUNC). Malformed messages are skipped. */
enum channel_status channel_receive(int channel, struct message *message, int *fds,
                                    uint32_t *fd_count);

/* Receives all messages that are there: `hear` gets each, and owns its descriptors. Returns
 * CHANNEL_EMPTY, or CHANNEL_CLOSED behind the last one. */
enum channel_status channel_hear(int channel, void (*hear)(const struct message *message,
                                                           const int *fds, uint32_t fd_count));

#endif
