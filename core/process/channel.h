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

enum message_type {
    /* master to worker */
    MESSAGE_SERVE = 1, /* begin to accept; `number` connections are still to be taken over, and
                          room for them is to be kept. Said again when that number changes */
    MESSAGE_LEAVE,     /* finish the batch, and what is under way, then end: others take the
                          connections over; `number`: drain timeout in ms */
    MESSAGE_QUIT,      /* finish what is begun, then end; `number`: drain timeout in ms */
    MESSAGE_STOP,      /* end at once */
    MESSAGE_LOG,       /* files are to be opened anew, and that is answered with `serial`; 1
                          descriptor: the log, if it is a file */
    MESSAGE_VAULT,     /* 1 descriptor: the channel to a new vault, which holds nothing yet;
                          `serial` names it, `number` is its seat */
    MESSAGE_ADOPT,     /* 1 descriptor: an arena; `adopt` says which of its connections to take, and
                          `ids`, if there are any, which request the worker died of */
    /* worker or probe to master */
    MESSAGE_STAGE,    /* `text`: "ping.so\nloading", what is about to run */
    MESSAGE_READY,    /* everything is loaded and started; of a probe: all is well */
    MESSAGE_FAILED,   /* `text`: why not */
    MESSAGE_RELEASED, /* connections may be taken over, but for `number` that wait for an answer;
                         nothing of the others changes in the arena any more, and the vaults have
                         them: those that `ids` name by seat, 0 for the first that it knew there.
                         `serial` is the first id, for masters of earlier versions */
    MESSAGE_ADOPTED,  /* `serial` of the source; `number` connections were taken */
    /* master to vault */
    MESSAGE_WORKER, /* 1 descriptor: the channel of the worker `serial` */
    MESSAGE_DEAD,   /* the worker `serial` is gone: what it held may be handed out */
    MESSAGE_RETIRE, /* all that was to be handed out of `serial` was: close the rest */
    /* worker to vault */
    MESSAGE_HOLD, /* `count` ids in `ids`, and as many descriptors; `number` not 0: only those that
                     nobody has handed over yet */
    MESSAGE_DROP, /* `count` ids */
    MESSAGE_TAKE, /* `count` ids: hand these out */
    /* vault to worker */
    MESSAGE_GIVE, /* `count` ids and descriptors; `number` ids that were asked for are not here */
    /* Later ones are last, because over an upgrade the numbers are another version's too. */
    /* worker to master */
    MESSAGE_REOPENED, /* `serial` of the LOG; `text`: what could not be opened, or "" */
    /* master to worker */
    MESSAGE_TAKEN, /* what was RELEASED has been taken over: end */
    /* probe to master */
    MESSAGE_METRICS, /* `text`: names of its modules' metrics, as metrics_declare takes them */
    /* worker to master */
    MESSAGE_STUCK,   /* a thread is, in work of the method `number` */
    MESSAGE_RELIEVE, /* too many are: another worker is to take this one's place */
    /* master to vault */
    MESSAGE_SURPLUS, /* `number` 1: end as soon as nothing is held; 0: do not */
    /* vault to worker, and to master */
    MESSAGE_HELD,    /* to a worker: `number` descriptors have been received of it in all; one id:
                        for how many more the vault has room. `serial` is 0: workers of earlier
                        versions take it for a GIVE that answers nobody. To the master: `number`
                        sockets are held; one id: how many were refused so far */
    MESSAGE_REFUSED, /* `count` ids for which the vault has no room; `serial` is 0 likewise */
    /* worker to master */
    MESSAGE_UNHELD, /* `number` of its connections are in no vault, because none had room */
    MESSAGE_FULL,   /* `serial` of the source; `number` connections were taken, and for more this
                       worker has no descriptors or records: others are to take the rest */
    /* vault to master */
    MESSAGE_UNREACHED, /* the channel of the worker `serial` did not arrive: no descriptor is left
                        */
    /* master to worker or vault */
    MESSAGE_BEAT, /* its loop runs? It answers ALIVE, with the same `serial` */
    /* worker or vault to master */
    MESSAGE_ALIVE,
    MESSAGE_TYPES
};

/* Which of a dead worker's connections a slot takes: record r of the worker that had slot `slot` of
 * `slots` goes to slot (r * slots + slot) % `parts`. With as many parts as slots that is the same
 * slot; with other numbers they spread evenly. */
struct adopt_rule {
    uint32_t slot, slots;
    uint32_t part, parts;
    uint32_t partial; /* the worker lives, and keeps those whose record says `staying` */
    uint32_t hung;    /* the watchdog ended the worker: its request is answered `timeout` */
};

/* The ids of ADOPT. Without them it died of the request that a handler had in hand, if of any. */
enum { ADOPT_CONNECTION, ADOPT_PLACE, ADOPT_IDS };

struct message {
    uint32_t type;  /* enum message_type */
    uint32_t count; /* of `ids`, never more than CHANNEL_FDS_MAX; 0 without */
    uint64_t serial;
    uint64_t number;
    struct adopt_rule adopt;
    union {
        char text[CHANNEL_TEXT_MAX]; /* NUL-terminated */
        uint64_t ids[CHANNEL_FDS_MAX];
    };
};

/* Makes a pair, close-on-exec and non-blocking. */
bool channel_pair(int fds[2], struct error *error);

/* Sends `message`, its ids when `ids`, its text otherwise, with `fd_count` descriptors (which stay
 * the caller's). False with errno: EAGAIN when the other side does not read, ETOOMANYREFS when too
 * many descriptors are under way, EPIPE when it is gone. */
bool channel_send(int channel, const struct message *message, bool ids, const int *fds,
                  uint32_t fd_count);

/* The plain form: a type and numbers. */
bool channel_tell(int channel, enum message_type type, uint64_t serial, uint64_t number);

/* As channel_tell with a text, cut to fit, and waiting until the other side reads: for a child that
 * tells its master before it goes on or ends. */
void channel_say(int channel, enum message_type type, const char *text);

enum channel_status { CHANNEL_MESSAGE, CHANNEL_EMPTY, CHANNEL_CLOSED };

/* Receives one message. `fds` has room for CHANNEL_FDS_MAX and takes close-on-exec descriptors that
 * the caller owns; `fd_count` says how many came, which is fewer than were sent when this process
 * is out of descriptors (MSG_CTRUNC). Malformed messages are skipped. */
enum channel_status channel_receive(int channel, struct message *message, int *fds,
                                    uint32_t *fd_count);

#endif
