/* What is in an arena: the header, the records of connections, their marks, what balancers have
 * told of their clients, and the blocks.
 *
 * Records refer to blocks by number, never by address. Each has two copies of its cursors; what
 * changes is written to the copy that is not current, and then one store makes it current. So "this
 * frame is consumed" and "its reply is queued" become true together, and a process that dies at any
 * instruction leaves a record that is whole. Only death of the process is defended against, not of
 * the machine, so ordering the compiler's stores is enough. */
#ifndef PILLION_NET_ARENA_FORMAT_H
#define PILLION_NET_ARENA_FORMAT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/blocks.h"

#define ARENA_MAGIC 0x414c4c49u /* "ILLA" */
/* Raised whenever a structure here changes; net/arena_layout.c then keeps reading the former ones.
 * The tests build a server with another layout, to upgrade to it and back. */
#ifdef PILLION_TEST_LAYOUT
#define ARENA_LAYOUT 1000
#else
#define ARENA_LAYOUT 4
#endif

/* Flags of a connection. */
enum {
    CONN_EOF = 1,     /* the client has sent its last byte (it may still read) */
    CONN_ENDING = 2,  /* send what is queued, then close; run no more requests */
    CONN_DISCARD = 4, /* with ENDING: read and drop input, so that closing does not reset the
                         connection before the client has read its last reply; or with STREAM */
    CONN_HEADER = 8,  /* a PROXY header has to come before the first request */
    CONN_TOLD = 16,   /* one has come: who the client is stands in the table of clients */
    CONN_STREAM = 32, /* its last reply has no end: the layer above goes on with it; no request is
                         read any more. A binary that does not know the flag closes the connection,
                         and a reader of such a stream opens another one */
};

/* Where a connection stands in its two streams. Offsets are bytes within the block. */
struct conn_cursors {
    uint64_t received;            /* bytes ever read from the socket */
    uint64_t sent;                /* bytes ever written to the socket */
    uint32_t in_block, out_block; /* BLOCK_NONE when there are no bytes to keep */
    uint32_t in_start, in_end;    /* received, not yet consumed */
    uint32_t out_start, out_end;  /* queued, not yet sent */
    uint8_t in_order, out_order;
    uint8_t flags;
    uint8_t begun;    /* frames from in_start on that have begun and are not consumed: those of
                         deferred requests, and answered ones behind them */
    uint8_t first;    /* the number of the first of them: where its mark is */
    uint8_t answered; /* 1 + how many of them are before the one that was answered last; 0: each
                         answered frame has its mark (rpc/begun.h) */
    uint8_t protocol; /* the layer above knows; 0 in layouts before 4 */
    uint8_t told;     /* 1: the client of the partial frame at the start was told to go on */
};
static_assert(sizeof(struct conn_cursors) == 48, "two of them and the rest make 128 bytes");

/* A connection. 0 in `id` is a free record. */
struct conn_record {
    _Atomic uint64_t id;      /* unique in the life of a master; see conn_id in net/conn.h */
    _Atomic uint64_t running; /* the request that a handler has in hand; see running_mark */
    _Atomic uint32_t commits; /* its lowest bit says which cursors are current */
    uint32_t listener;        /* id of the listener that accepted it */
    _Atomic uint32_t taken;   /* 1: another worker has adopted it; hands off */
    _Atomic uint32_t staying; /* 1: its worker has left, but still answers it; hands off for now */
#ifdef PILLION_TEST_LAYOUT
    uint64_t not_there_before[8];
#endif
    struct conn_cursors cursors[2];
};
#if ARENA_LAYOUT == 4
static_assert(sizeof(struct conn_record) == 128, "a record is two cache lines");
#endif

/* The marks of a connection's frames that have begun: a byte for each frame's number. A number
 * comes again after 256 frames, and at most 255 frames have begun at once. The table of marks lies
 * behind the records. Its pages are only written for connections with deferred requests; the others
 * cost no memory. */
struct conn_marks {
    _Atomic uint8_t of[256];
};
enum {
    MARK_WAITING = 1,  /* nothing was done for its request yet */
    MARK_RETRIED = 2,  /* it had begun before, in a worker that died */
    MARK_ANSWERED = 4, /* its reply is queued, and that of an earlier frame is not */
    MARK_BATCH = 8,    /* it is a batch, in whose bytes its calls are marked (rpc/batch.h) */
};

/* Who the client of a connection is, as its balancer has told (net/conn_header.h): strings, "" for
 * what was not told. They are written once, before the commit that sets CONN_TOLD. The table of
 * clients lies behind that of marks, with an entry for each record; its pages, too, are only
 * written for connections that have it. */
struct conn_client {
    char address[115]; /* as conn_peer gives it; a path of a Unix socket has at most 108 bytes */
    char tls; /* 1: the client speaks TLS with its balancer, or with the gate. Earlier binaries of
        this layout have written 0 */
    char alpn[32];
    char common_name[108];
    char authority[256];
};
static_assert(sizeof(struct conn_client) == 512, "the client's layout is part of ARENA_LAYOUT");

struct arena_header {
    uint32_t magic, layout;
    uint32_t record_size, record_count;
    uint32_t block_count;           /* units of BLOCK_SIZE */
    uint32_t worker;                /* serial number of the worker process that it was made for */
    uint64_t records_at, blocks_at; /* offsets in the file */
    _Atomic uint32_t record_high;   /* records from here on were never used */
    _Atomic uint32_t in_call;       /* 1 + the record whose socket is being read or written: the one
                                       that may be behind when the worker dies */
};
static_assert(sizeof(struct arena_header) == 48, "the header's layout is part of ARENA_LAYOUT");

/* Behind the header, in its block: the requests whose work a thread of the pool has begun, while
 * their frames are still marked as waiting (rpc/begun.h). Threads cannot change marks: the loop may
 * give a number to another frame meanwhile. The oldest entry is overwritten, so no more requests
 * than there are entries may wait at once. Zeros in arenas of binaries without it. */
#define ARENA_BEGUN_AT 64u
#define ARENA_BEGUN    1000u
struct arena_begun {
    _Atomic uint32_t next;
    _Atomic uint32_t keys[ARENA_BEGUN];
};

/* And behind that: 1 + the first block with answers that are kept (net/kept.h); 0 for none, and in
 * arenas of binaries without it. */
#define ARENA_KEPT_AT (ARENA_BEGUN_AT + sizeof(struct arena_begun))
static_assert(ARENA_BEGUN_AT >= sizeof(struct arena_header) &&
                  ARENA_KEPT_AT + sizeof(uint32_t) <= BLOCK_SIZE,
              "the header's block has room for all");

/* An arena as one process sees it. */
struct arena {
    struct arena_header *header;
    struct conn_record *records; /* NULL in an arena of another layout */
    struct conn_marks *marks;    /* one for each record; NULL in layouts that had none */
    struct conn_client *clients; /* likewise */
    char *data;
    size_t size; /* of the mapping */
    uint32_t layout;
    uint32_t record_count, block_count;
};

static inline char *arena_block(const struct arena *arena, uint32_t block)
{
    return arena->data + (size_t)block * BLOCK_SIZE;
}

/* The current cursors. */
static inline const struct conn_cursors *record_cursors(const struct conn_record *record)
{
    uint32_t commits = atomic_load_explicit(&record->commits, memory_order_relaxed);
    return &record->cursors[commits & 1];
}

/* Starts a change: the other copy, filled from the current one. */
static inline struct conn_cursors *record_edit(struct conn_record *record)
{
    uint32_t commits = atomic_load_explicit(&record->commits, memory_order_relaxed);
    struct conn_cursors *edit = &record->cursors[~commits & 1];
    *edit = record->cursors[commits & 1];
    return edit;
}

/* Makes the change true, all of it at once. */
static inline void record_commit(struct conn_record *record)
{
    uint32_t commits = atomic_load_explicit(&record->commits, memory_order_relaxed);
    atomic_store_explicit(&record->commits, commits + 1, memory_order_release);
}

/* How far into its input stream the connection has consumed. */
static inline uint64_t cursors_consumed(const struct conn_cursors *cursors)
{
    return cursors->received - (cursors->in_end - cursors->in_start);
}

/* The place that a mark names: the lower 48 bits. */
static inline uint64_t running_place(uint64_t mark)
{
    return mark & 0xffffffffffffu;
}

/* A mark for `running`: the method, and the frame by its place in the input stream. Consuming the
 * frame moves that place, so committing a reply ends the mark without a store of its own. */
static inline uint64_t running_mark(uint32_t method, uint64_t consumed)
{
    return (uint64_t)(method + 1) << 48 | running_place(consumed);
}

/* The method that had the frame at this place of the input stream in hand when the record was last
 * written, or UINT32_MAX. */
static inline uint32_t record_running(const struct conn_record *record, uint64_t place)
{
    uint64_t mark = atomic_load_explicit(&record->running, memory_order_relaxed);
    if (mark == 0 || running_place(mark) != running_place(place))
        return UINT32_MAX;
    return (uint32_t)(mark >> 48) - 1;
}

#endif
