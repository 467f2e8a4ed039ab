/* Connections: moving bytes between sockets and the arena.
 *
 * A connection *is* its record in the arena. Watches, lists and timers are here, private to the
 * worker, and could be made anew from the records. Nothing here knows the meaning of the bytes: the
 * layer above is told that there is input, consumes some and queues output, and commits both
 * together.
 *
 * Reading stops while a client does not read its replies (`max_output`) and while the arena is
 * full; neither closes a connection. Everything runs in the worker's one thread. */
#ifndef PILLION_NET_CONN_H
#define PILLION_NET_CONN_H

#include <stdalign.h>

#include "base/access.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/network.h"
#include "event/loop.h"
#include "net/address.h"
#include "net/arena.h"
#include "net/counters.h"
#include "net/crowd.h"
#include "net/room.h"
#include "net/slice.h"

struct conns;

/* An id is, from its highest bit on: 8 bits for the seat of the vault that it was given to, 24 for
 * the worker's serial number, 32 that count. */
#define CONN_ID_SEAT_SHIFT 56
#define CONN_ID_WORKER_MAX 0xffffffu

/* The worker that has accepted the connection. */
static inline uint32_t conn_worker_of(uint64_t id)
{
    return (uint32_t)(id >> 32) & CONN_ID_WORKER_MAX;
}

/* What the layer above fixes for all connections of a listener. */
struct conn_policy {
    struct conns *conns;
    uint64_t max_output; /* unsent bytes at which input is left alone */
    uint64_t idle_timeout_ns;
    uint64_t receive_timeout_ns; /* for a message that has begun to arrive (conn_arrives) */
    uint64_t send_timeout_ns;    /* for output that the client leaves unread; 0: no limit */
    uint32_t least_rate;         /* bytes that give a second more of either; 0: any byte does */
    uint32_t max_requests;       /* then the connection ends; 0: no limit */
    uint64_t max_age_ns;         /* each up to a tenth less or more; 0: no limit */
    bool keepalive, nodelay;
    bool parting;        /* nobody serves its connections any more: each ends, with what is queued
                            sent, as soon as it has nothing under way */
    uint8_t transport;   /* how their bytes move (net/transport.h) */
    uint64_t max_input;  /* bytes that a frame may have at most */
    uint32_t eof_is_end; /* bits by protocol: a client that has finished sending is gone */

    const struct access_rule *access; /* which clients may connect */
    size_t access_count;
    struct crowd_limit crowd; /* and how many of an address */

    /* Where listeners have `proxy_protocol`, a connection has one policy until its PROXY header is
     * consumed and another one after that. Each names the other; NULL in the other's place. */
    const struct conn_policy *until_header, *after_header;
    uint64_t header_timeout_ns;    /* in which the header has to come, in all */
    const struct network *trusted; /* where it may come from, except Unix sockets */
    size_t trusted_count;
};

/* Times of connections, in units of which 32 bits last for longer than idle_timeout may be. */
#define CONN_TIME_NS (10 * NS_PER_MS)
static inline uint32_t conn_time(uint64_t ns)
{
    return (uint32_t)(ns / CONN_TIME_NS);
}

/* When on_input is called without new input. */
enum conn_again {
    CONN_AGAIN_NEVER,
    CONN_AGAIN_NOW,   /* at the end of this batch */
    CONN_AGAIN_LATER, /* at the end of the next batch, which handles the ready sockets first */
};

struct conn {
    alignas(64) struct watch watch;   /* its fd is the socket */
    const struct conn_policy *policy; /* NULL: the conn is free */
    union {
        struct conn *next;          /* in the list of free conns, or of conns to flush */
        struct slice_waiter waiter; /* while it is queued for a time slice */
    };
    uint32_t expects;      /* bytes that the frame at the start of the input has in all,
                              0 when not known */
    uint32_t active;       /* when bytes last moved: conn_time of the loop's clock */
    uint8_t listed;        /* to be flushed, or queued for a time slice */
    uint8_t waiting;       /* for room in the arena */
    uint8_t blocked;       /* the last send was short: wait for EPOLLOUT */
    uint8_t paused : 1;    /* its requests wait because it does not read replies */
    uint8_t unwatched : 1; /* the kernel had no memory for watching it: `rewatch` tries again */
    uint8_t parting : 1;   /* it is too old, and ends as those of a policy that parts */
    uint8_t finished : 1;  /* its client has finished sending, though not all of it is read */
    uint8_t owing : 1;     /* the layer above is told when some of its output is sent */
    uint8_t probed : 1;    /* and the kernel probes whether it is still there */
    uint8_t left : 1;      /* its requests were left alone, because of replies that are unsent */
    uint8_t lingering;     /* shut down for sending; all further input is dropped */
    uint8_t stalled;       /* its next request waits for one that is under way */
    uint8_t again;         /* its requests may go on: enum conn_again */
    uint8_t deferred;      /* some of its requests are under way: the layer above knows */
};
static_assert(sizeof(struct conn) == 64, "a cache line; idle connections are many");

/* The time that a client has left to send a message that has begun to arrive, or to take output
 * that waits for it (conn_pace.c). */
struct conn_pace {
    uint32_t left;    /* as conn_time; 0: there is nothing that is waited for */
    uint32_t counted; /* bytes that it was given time for */
    uint32_t place;   /* of the message in the input stream: the lower 32 bits */
};

struct conns {
    struct loop *loop;
    struct arena arena;
    struct room room;
    struct conn *conns;   /* one for each record, by index */
    uint64_t *crowd_keys; /* likewise: of its client's address, if it is counted; otherwise 0 */
    uint32_t *requests;   /* likewise: how many it has had, if their number has a limit */
    uint32_t *born; /* likewise: conn_time of its client's arrival, if its policy has an age */
    struct conn_pace *arrivals; /* likewise, once its message comes in pieces */
    struct conn_pace *sendings; /* likewise, once it leaves output unread */
    counter *counters;          /* WORKER_COUNTERS of them */
    struct crowd crowd;
    uint32_t worker; /* serial number, part of every id made here */
    uint32_t seat;   /* of the vault that new connections go to, likewise */
    uint32_t next_id;
    uint32_t open;        /* connections at present */
    uint32_t limit;       /* of connections, for accepting */
    uint32_t expected;    /* connections that are still to be taken over: room is kept */
    struct conn *free;    /* the first conn that was used before */
    struct conn *dirty;   /* the first conn to flush at the end of the batch */
    struct kept *kept;    /* the first frame with answers that are kept (net/kept.h) */
    struct slice slice;   /* for requests that overtake a deferred one */
    struct timer sweep;   /* idle timeouts, slow clients, lingering ends */
    uint32_t swept;       /* conn_time of the last sweep, or since when the next one is awaited */
    bool hurried;         /* the next one comes soon */
    struct timer rewatch; /* another try to watch sockets for which the kernel had no memory */
    struct timer soon;    /* set so that the loop does not wait: see conns_go_on_soon */
    bool leaving;         /* no connection is read from any more */
    bool draining;        /* connections end when they have nothing under way */

    /* There is input at the start of conn_input() that was not there before, or room for output
     * that was not there before. May consume, queue, end or close. */
    void (*on_input)(struct conns *conns, struct conn *conn);
    /* The connection is being closed, and not counted as open any more. */
    void (*on_close)(struct conns *conns, struct conn *conn);
    /* Some of the output of a connection that is `owing` has been sent. */
    void (*on_sent)(struct conns *conns, struct conn *conn);
    /* True when the requests under way have no reply that could go out before others do. May be
     * NULL. */
    bool (*only_waits)(const struct conns *conns, const struct conn *conn);
    void *context; /* of the four */
};

/* Maps the arena behind `fd` (which stays the caller's) for a worker with this serial number. */
bool conns_init(struct conns *conns, struct loop *loop, int fd, uint32_t worker, uint32_t limit,
                counter *counters, struct error *error);

/* Frees what conns_init has made; connections must be closed before. For tests: a worker's end is
 * its process's end. */
void conns_free(struct conns *conns);

/* The index of a connection's record, its record, and its id. */
static inline uint32_t conn_index(const struct conns *conns, const struct conn *conn)
{
    return (uint32_t)(conn - conns->conns);
}

static inline struct conn_record *conn_record_of(const struct conns *conns, const struct conn *conn)
{
    return &conns->arena.records[conn_index(conns, conn)];
}

static inline uint64_t conn_id(const struct conns *conns, const struct conn *conn)
{
    return atomic_load_explicit(&conn_record_of(conns, conn)->id, memory_order_relaxed);
}

static inline const struct conn_cursors *conn_cursors(const struct conns *conns,
                                                      const struct conn *conn)
{
    return record_cursors(conn_record_of(conns, conn));
}

/* Whether the client at this address, of the socket `fd`, may connect, with a line in the log when
 * not. `key`, for conn_counted, is that by which it is counted; 0: it is not. */
enum conn_entry { CONN_MAY_COME, CONN_DENIED, CONN_ONE_TOO_MANY };
enum conn_entry conns_admit(struct conns *conns, const struct conn_policy *policy, int fd,
                            const struct sockaddr *client, socklen_t size, uint64_t *key);

/* A record for the socket `fd`, which becomes the connection's. It says that the client speaks
 * `protocol`, which is for the layer above. Nothing is read before conn_start. NULL when all
 * records are in use; then `fd` stays the caller's. */
struct conn *conn_open(struct conns *conns, int fd, uint32_t listener, uint8_t protocol,
                       const struct conn_policy *policy);

/* Its client was counted by this key (conns_admit). */
static inline void conn_counted(struct conns *conns, const struct conn *conn, uint64_t key)
{
    if (key != 0) /* the page is not written to without need */
        conns->crowd_keys[conn_index(conns, conn)] = key;
}

/* True when conn_open finds a record. A record whose connection was closed in this batch may be
 * free at its end only. */
bool conns_have_record(const struct conns *conns);

/* Takes a connection over from record `index` of `from`, another worker's arena. `record` is a copy
 * of it, of the listener that the connection belongs to from now on, and `cursors` are its cursors,
 * checked and corrected. `fd` becomes the connection's. NULL when there is no room for it here. */
struct conn *conn_adopt(struct conns *conns, int fd, const struct arena *from, uint32_t index,
                        const struct conn_record *record, const struct conn_cursors *cursors,
                        const struct conn_policy *policy);

/* Begins to watch the socket, and handles what is already there. */
void conn_start(struct conns *conns, struct conn *conn);

/* Received bytes that are not consumed. Valid until the connection is next changed. */
struct bytes conn_input(const struct conns *conns, const struct conn *conn);

/* How many bytes of replies may be unsent before the connection's requests wait: max_output, or 16
 * KiB while room is short. */
uint64_t conn_output_limit(const struct conns *conns, const struct conn *conn);

/* True while the client has so much unread that its requests wait. */
bool conn_output_full(const struct conns *conns, const struct conn *conn);

/* From on_input: requests are left alone because of that limit, which may be another one when the
 * batch ends. on_input is called when some output was sent and there is room for more. */
static inline void conn_leave(struct conn *conn)
{
    conn->left = 1;
}

/* Where the queued output ends, in the output stream. */
static inline uint64_t conn_output_end(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    return cursors->sent + (cursors->out_end - cursors->out_start);
}

/* Room for `size` bytes after the queued output, or NULL when the arena is full: the frame is then
 * not consumed before its reply has room (conn_wait_for_room). Nothing is queued until
 * conn_advance. Input spans stay valid. */
char *conn_output_reserve(struct conns *conns, struct conn *conn, size_t size);

/* The same for bytes that are still being written, of which `used` are written already where this
 * has said before: they are copied when they move. `size` becomes all that there is room for, a
 * multiple of what is asked for where the arena has it. NULL when there is none: then the bytes
 * stay where they are. Once their number is known conn_output_trim gives back what is too much. */
char *conn_output_extend(struct conns *conns, struct conn *conn, size_t used, size_t *size);
void conn_output_trim(struct conns *conns, struct conn *conn, size_t size);

/* What one commit changes: `consumed` bytes of input are done with, `produced` bytes are queued
 * that were written where conn_output_reserve said; the rest as in conn_cursors. */
struct conn_step {
    size_t consumed, produced;
    uint8_t begun, first, answered;
    uint8_t flags; /* added to those there are */
    bool told;     /* as in conn_cursors; it stays until bytes are consumed */
};
void conn_commit(struct conns *conns, struct conn *conn, const struct conn_step *step);

/* The same for a connection that has nothing under way. */
void conn_advance(struct conns *conns, struct conn *conn, size_t consumed, size_t produced);

/* Queues bytes, all or none of them, on a connection that is a stream (CONN_STREAM) and has nothing
 * unsent. The client's silence begins now. False when the arena has no room. */
bool conn_feed(struct conns *conns, struct conn *conn, struct bytes bytes);

/* A connection whose frames are being handled, one after the other. It has its own copy of the
 * record's cursors, so that committing a frame is three stores. While a turn lasts, the connection
 * changes through it only; after any other change conn_turn_begin starts it anew. */
struct conn_turn {
    struct conn_record *record;
    uint32_t commits;
    uint32_t in_start, out_end; /* as the record has them */
    const char *in;             /* input that is not consumed */
    uint32_t in_size;
    char *out; /* room after the queued output; NULL when there is no block yet */
    uint32_t out_room;
    uint64_t consumed;  /* the place of `in` in the input stream */
    uint32_t out_start; /* of what is not sent */
    uint8_t protocol;
};

/* Both copies of the cursors are the same after this, so that a commit has to write only what it
 * changes. */
static inline void conn_turn_begin(const struct conns *conns, const struct conn *conn,
                                   struct conn_turn *turn)
{
    struct conn_record *record = conn_record_of(conns, conn);
    const struct conn_cursors *cursors = record_edit(record);

    turn->record = record;
    turn->commits = atomic_load_explicit(&record->commits, memory_order_relaxed);
    turn->in_start = cursors->in_start;
    turn->in_size = cursors->in_end - cursors->in_start;
    turn->in = cursors->in_block == BLOCK_NONE
                   ? ""
                   : arena_block(&conns->arena, cursors->in_block) + cursors->in_start;
    turn->out_start = cursors->out_start;
    turn->out_end = cursors->out_end;
    turn->out = cursors->out_block == BLOCK_NONE
                    ? NULL
                    : arena_block(&conns->arena, cursors->out_block) + cursors->out_end;
    turn->out_room =
        turn->out == NULL ? 0 : (uint32_t)BLOCK_BYTES(cursors->out_order) - cursors->out_end;
    turn->consumed = cursors_consumed(cursors);
    turn->protocol = cursors->protocol;
}

/* As conn_advance, with `produced` bytes written to `out`. False, with nothing done, for the last
 * bytes of the input: their block is to be given back, which is conn_advance's. */
static inline bool conn_turn_advance(struct conn_turn *turn, uint32_t consumed, uint32_t produced)
{
    if (consumed == turn->in_size)
        return false;
    struct conn_cursors *edit = &turn->record->cursors[~turn->commits & 1];
    edit->in_start = turn->in_start += consumed;
    edit->out_end = turn->out_end += produced;
    atomic_store_explicit(&turn->record->commits, ++turn->commits, memory_order_release);
    turn->in += consumed;
    turn->in_size -= consumed;
    turn->consumed += consumed;
    turn->out += produced;
    turn->out_room -= produced;
    return true;
}

/* The connection waits for room in the arena: on_input is called when there may be some. */
void conn_wait_for_room(struct conns *conns, struct conn *conn);

/* Puts the connection on the list of connections to flush at the end of the batch: on_input is
 * called then. */
void conn_look_again(struct conns *conns, struct conn *conn);

/* True when one more request that overtakes a deferred one may be begun in this time slice. When
 * not, the caller says conn_go_on_later. */
static inline bool conn_may_begin(struct conns *conns)
{
    return slice_may_begin(&conns->slice);
}

/* From on_input: the connection has more requests to begin, and waits for its next time slice. */
static inline void conn_go_on_later(struct conn *conn)
{
    conn->again = CONN_AGAIN_LATER;
}

/* True when the connection ends as soon as it has nothing under way, or will do so before long: in
 * a protocol that can say so, its next reply says that it is the last. */
bool conn_parts_soon(const struct conns *conns, const struct conn *conn);

/* The client has sent so many more requests. The connection parts when they are as many as it may
 * send. */
void conn_requested(struct conns *conns, struct conn *conn, uint32_t more);

/* From on_input: a part of the message at `place` of the input stream is there. False when its time
 * is over; on_input is called when that happens, too. While the server does not read, and for what
 * is unread in the socket, no time passes. */
bool conn_arrives(struct conns *conns, const struct conn *conn, uint64_t place);

/* The record says from now on that the client speaks `protocol`. */
void conn_speaks(struct conns *conns, struct conn *conn, uint8_t protocol);

/* The marks of the connection's frames that have begun, by their numbers. */
static inline struct conn_marks *conn_marks_of(const struct conns *conns, const struct conn *conn)
{
    return &conns->arena.marks[conn_index(conns, conn)];
}

/* Pins the block of the connection's input and returns it: its bytes stay as they are until it is
 * unpinned, also when the connection moves to another block or ends. BLOCK_NONE when there is no
 * input, or no memory. */
uint32_t conn_input_pin(struct conns *conns, const struct conn *conn);
void conns_unpin(struct conns *conns, uint32_t block);

/* Sends the queued replies and then closes; with `discard`, goes on reading and dropping input for
 * a while, so that the last reply is not lost to a reset (RFC 1122 section 4.2.2.13). */
void conn_end(struct conns *conns, struct conn *conn, bool discard);

/* Closes at once. */
void conn_close(struct conns *conns, struct conn *conn);

/* Writes the client's address, also that of a client that has reset the connection: the one that
 * its balancer has told, or else that of the socket's other end. */
void conn_peer(const struct conn *conn, char text[ADDRESS_TEXT_SIZE]);

/* What else its balancer has told of the client: the "sni" that it asked for, the "alpn" agreed on,
 * the "cn" of its certificate; "tls" is "on" for a client that speaks TLS with it. NULL when that
 * was not told. Valid while the connection is open. */
const char *conn_told(const struct conn *conn, const char *what);

/* Sends the replies that the batch has queued, and lets connections that waited for room go on.
 * From the loop's after_batch. */
void conns_flush(struct conns *conns);

/* There is more for the next batch's end to do: it comes at once. */
void conns_go_on_soon(struct conns *conns);

/* Stops reading, for good. From then on the arena holds all input, and another worker may adopt it
 * as soon as this process is gone. */
void conns_release(struct conns *conns);

/* After that: true while the connection has something that only this process can finish: a deferred
 * request, or a reply that has found no room yet. */
static inline bool conn_must_stay(const struct conn *conn)
{
    return conn->deferred != 0;
}

/* The record says that nobody may take it over yet; or this process lets go of it for good. */
void conn_stay(struct conns *conns, struct conn *conn);
void conn_let_go(struct conns *conns, struct conn *conn);

/* For a graceful end: connections that have nothing under way are ended, the others when they have
 * nothing under way any more. */
void conns_drain(struct conns *conns);

#endif
