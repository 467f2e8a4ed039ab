/* The life of a connection: opening, adopting, ending. See conn.h. */
#include "net/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/arena_layout.h"
#include "net/conn_private.h"
#include "net/socket_age.h"
#include "wire/protocol.h"

/* ---- Lists ---- */

void conn_mark_dirty(struct conns *conns, struct conn *conn)
{
    if (conn->listed)
        return;
    conn->listed = 1;
    conn->next = conns->dirty;
    conns->dirty = conn;
}

static struct conn *conn_take(struct conns *conns)
{
    struct conn *conn = conns->free;

    if (conn != NULL) {
        conns->free = conn->next;
    } else {
        uint32_t index =
            atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
        if (index >= conns->arena.record_count)
            return NULL;
        atomic_store_explicit(&conns->arena.header->record_high, index + 1, memory_order_relaxed);
        conn = &conns->conns[index];
    }
    *conn = (struct conn){.watch.fd = -1};
    conn_pace_begin(conns, conn);
    if (conns->requests[conn_index(conns, conn)] != 0)
        conns->requests[conn_index(conns, conn)] = 0;
    return conn;
}

void conn_look_again(struct conns *conns, struct conn *conn)
{
    conn->again = CONN_AGAIN_NOW;
    conn_mark_dirty(conns, conn);
}

void conn_give(struct conns *conns, struct conn *conn)
{
    conn->policy = NULL;
    /* While the connection is in the list to be flushed, the flush gives it back. */
    if (conn->listed)
        return;
    conn->next = conns->free;
    conns->free = conn;
}

/* ---- Addresses ---- */

/* SO_PEERNAME gives the address for as many bytes as it has, and refuses to give fewer. */
bool conn_peer_of(int fd, struct sockaddr_storage *peer, socklen_t *size)
{
    static const socklen_t sizes[] = {sizeof(struct sockaddr_in6), sizeof(struct sockaddr_in)};

    *size = sizeof(*peer);
    if (getpeername(fd, (struct sockaddr *)peer, size) == 0)
        return true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        *size = sizes[i];
        if (getsockopt(fd, SOL_SOCKET, SO_PEERNAME, peer, size) == 0)
            return true;
    }
    return false;
}

const char *conn_here(int fd, char text[ADDRESS_TEXT_SIZE])
{
    struct sockaddr_storage own;
    socklen_t size = sizeof(own);

    text[0] = '?', text[1] = '\0';
    if (getsockname(fd, (struct sockaddr *)&own, &size) == 0)
        address_format((const struct sockaddr *)&own, size, text);
    return text;
}

static const struct conn_client *client_of(const struct conn *conn)
{
    if (conn->policy == NULL)
        return NULL;
    const struct conns *conns = conn->policy->conns;
    bool told = conn_cursors(conns, conn)->flags & CONN_TOLD;
    return told ? &conns->arena.clients[conn_index(conns, conn)] : NULL;
}

void conn_peer(const struct conn *conn, char text[ADDRESS_TEXT_SIZE])
{
    const struct conn_client *client = client_of(conn);
    struct sockaddr_storage peer;
    socklen_t size;

    if (client != NULL)
        memcpy(text, client->address, sizeof(client->address));
    else if (conn_peer_of(conn->watch.fd, &peer, &size))
        address_format((struct sockaddr *)&peer, size, text);
    else
        memcpy(text, "unknown", sizeof("unknown"));
}

const char *conn_told(const struct conn *conn, const char *what)
{
    const struct conn_client *client = client_of(conn);
    const char *value = "";

    if (client != NULL && strcmp(what, "sni") == 0)
        value = client->authority;
    else if (client != NULL && strcmp(what, "alpn") == 0)
        value = client->alpn;
    else if (client != NULL && strcmp(what, "cn") == 0)
        value = client->common_name;
    else if (client != NULL && strcmp(what, "tls") == 0)
        value = client->tls ? "on" : "";
    return value[0] == '\0' ? NULL : value;
}

/* An adopted connection counts by its client's address. */
static void count_adopted(struct conns *conns, const struct conn *conn)
{
    const struct conn_client *client = client_of(conn);
    struct sockaddr_storage peer;
    struct address told;
    struct error error;
    socklen_t size;
    uint64_t key = 0;

    if (client == NULL && conn_peer_of(conn->watch.fd, &peer, &size))
        key = crowd_key(&conns->crowd, &conn->policy->crowd, (struct sockaddr *)&peer);
    else if (client != NULL && address_parse(client->address, NULL, false, &told, &error))
        key = crowd_key(&conns->crowd, &conn->policy->crowd, (struct sockaddr *)&told.socket);
    if (key == 0)
        return;
    crowd_count(&conns->crowd, key);
    conn_counted(conns, conn, key);
}

/* ---- Opening ---- */

/* Of `conns` and, behind it, of the arrays with what few connections need: their pages are only
 * written when clients are counted by their address, messages come in pieces, clients do not read,
 * and connections have an age or a number of requests. */
static size_t memory_size(const struct conns *conns)
{
    return conns->arena.record_count *
           (sizeof(struct conn) + 2 * sizeof(struct conn_pace) + sizeof(*conns->crowd_keys) +
            sizeof(*conns->requests) + sizeof(*conns->born));
}

bool conns_init(struct conns *conns, struct loop *loop, int fd, uint32_t worker, uint32_t limit,
                counter *counters, struct error *error)
{
    *conns = (struct conns){
        .loop = loop, .worker = worker, .limit = limit, .counters = counters, .next_id = 1};
    if (!arena_map(fd, &conns->arena, error))
        return false;
    if (!room_init(&conns->room, &conns->arena))
        return error_errno(error, "no memory for the bookkeeping of the arena");
    void *memory = mmap(NULL, memory_size(conns), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "no memory for %u connections", conns->arena.record_count);
    conns->conns = memory;
    conns->crowd_keys = (uint64_t *)(void *)&conns->conns[conns->arena.record_count];
    conns->arrivals = (struct conn_pace *)(void *)&conns->crowd_keys[conns->arena.record_count];
    conns->sendings = &conns->arrivals[conns->arena.record_count];
    conns->requests = (uint32_t *)(void *)&conns->sendings[conns->arena.record_count];
    conns->born = &conns->requests[conns->arena.record_count];
    return true;
}

void conns_free(struct conns *conns)
{
    timer_cancel(conns->loop, &conns->sweep);
    timer_cancel(conns->loop, &conns->rewatch);
    timer_cancel(conns->loop, &conns->soon);
    munmap(conns->conns, memory_size(conns));
    room_free(&conns->room);
    arena_unmap(&conns->arena);
}

/* Bytes that the kernel takes for a client beyond those that are on their way to it, or about as
 * many (tcp(7)): replies that a client does not read wait in the arena, which has a limit, and not
 * by megabytes in the kernel, whose memory all sockets of the machine share. */
#define KERNEL_UNSENT 131072

static void set_options(int fd, const struct conn_policy *policy)
{
    const int on = 1, unsent = KERNEL_UNSENT;

    /* On Unix sockets these fail, which does not matter. */
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    if (policy->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (policy->keepalive)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

bool conns_have_record(const struct conns *conns)
{
    return conns->free != NULL ||
           atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed) <
               conns->arena.record_count;
}

bool conn_speaks_first(const struct conns *conns, const struct conn *conn)
{
    uint8_t protocol = conn_cursors(conns, conn)->protocol;

    return protocol < PROTOCOLS && protocols[protocol].speaks_first;
}

struct conn *conn_open(struct conns *conns, int fd, uint32_t listener, uint8_t protocol,
                       const struct conn_policy *policy)
{
    struct conn *conn = conn_take(conns);

    if (conn == NULL)
        return NULL;
    set_options(fd, policy);
    loop_own(conns->loop, fd); /* also while it waits for a vault, and is not watched yet */
    conn->watch.fd = fd;
    conn->policy = policy;
    conn->active = conn_time(conns->loop->now);

    struct conn_record *record = conn_record_of(conns, conn);
    record->listener = listener;
    atomic_store_explicit(&record->running, 0, memory_order_relaxed);
    atomic_store_explicit(&record->taken, 0, memory_order_relaxed);
    atomic_store_explicit(&record->staying, 0, memory_order_relaxed);
    *record_edit(record) =
        (struct conn_cursors){.in_block = BLOCK_NONE,
                              .out_block = BLOCK_NONE,
                              .flags = policy->after_header != NULL ? CONN_HEADER : 0,
                              .protocol = protocol};
    record_commit(record);
    uint64_t id = (uint64_t)conns->seat << CONN_ID_SEAT_SHIFT |
                  (uint64_t)(conns->worker & CONN_ID_WORKER_MAX) << 32 | conns->next_id++;
    atomic_store_explicit(&record->id, id, memory_order_release);
    if (policy->max_age_ns != 0) {
        socket_age_begin(fd, id, conns->loop->now);
        conns->born[conn_index(conns, conn)] = conn->active;
    }
    conns->open++;
    return conn;
}

/* Copies a span of another arena into a block of this one. */
static bool adopt_bytes(struct conns *conns, const struct arena *from, struct room_reserve *reserve,
                        uint32_t *block, uint8_t *order, uint32_t *start, uint32_t *end)
{
    uint32_t size = *end - *start;
    const char *bytes = size == 0 ? NULL : arena_block(from, *block) + *start;

    *start = 0;
    *end = size;
    *block = BLOCK_NONE;
    if (size == 0)
        return true;
    *order = (uint8_t)block_order(size);
    *block = room_take_any(&conns->room, reserve, order);
    if (*block == BLOCK_NONE)
        return false;
    memcpy(arena_block(&conns->arena, *block), bytes, size);
    return true;
}

struct conn *conn_adopt(struct conns *conns, int fd, const struct arena *from, uint32_t index,
                        const struct conn_record *record, const struct conn_cursors *cursors,
                        const struct conn_policy *policy)
{
    struct conn *conn = conn_take(conns);
    struct conn_cursors copy = *cursors;

    if (conn == NULL)
        return NULL;
    if (!adopt_bytes(conns, from, &conns->room.input, &copy.in_block, &copy.in_order,
                     &copy.in_start, &copy.in_end)) {
        conn_give(conns, conn);
        return NULL;
    }
    if (!adopt_bytes(conns, from, &conns->room.output, &copy.out_block, &copy.out_order,
                     &copy.out_start, &copy.out_end)) {
        room_give(&conns->room, copy.in_block, copy.in_order);
        conn_give(conns, conn);
        return NULL;
    }
    loop_own(conns->loop, fd);
    conn->watch.fd = fd;
    conn->policy = policy;
    if ((copy.flags & CONN_HEADER) && policy->until_header != NULL)
        conn->policy = policy->until_header;
    conn->active = conn_time(conns->loop->now);

    struct conn_record *mine = conn_record_of(conns, conn);
    mine->listener = record->listener;
    atomic_store_explicit(&mine->taken, 0, memory_order_relaxed);
    atomic_store_explicit(&mine->staying, 0, memory_order_relaxed);
    atomic_store_explicit(&mine->running, record->running, memory_order_relaxed);
    if (copy.begun > 0 && copy.in_block != BLOCK_NONE)
        arena_marks_read(from, index, cursors->in_start, arena_block(&conns->arena, copy.in_block),
                         &copy, conn_marks_of(conns, conn));
    if (copy.flags & CONN_TOLD)
        arena_client_read(from, index, &conns->arena.clients[conn_index(conns, conn)]);
    *record_edit(mine) = copy;
    record_commit(mine);
    atomic_store_explicit(&mine->id, record->id, memory_order_release);
    if (policy->max_age_ns != 0)
        conns->born[conn_index(conns, conn)] =
            conn_time(socket_age_since(fd, record->id, conns->loop->now));
    if (conn->policy->crowd.most != 0)
        count_adopted(conns, conn);
    conns->open++;
    if (conns->expected > 0)
        conns->expected--;
    return conn;
}

/* ---- Ending ---- */

/* Its client counts no more by its address. */
static void leave_crowd(struct conns *conns, const struct conn *conn)
{
    uint64_t *key = &conns->crowd_keys[conn_index(conns, conn)];

    if (*key == 0)
        return;
    crowd_leave(&conns->crowd, *key);
    *key = 0;
}

void conn_close(struct conns *conns, struct conn *conn)
{
    struct conn_record *record = conn_record_of(conns, conn);
    const struct conn_cursors *cursors = record_cursors(record);

    conns->open--;
    leave_crowd(conns, conn);
    conns->on_close(conns, conn);
    loop_unwatch(conns->loop, &conn->watch);
    loop_disown(conns->loop, conn->watch.fd);
    /* The record is freed before its blocks: no adopter may read a block that is in use again. */
    atomic_store_explicit(&record->id, 0, memory_order_release);
    /* Counted at once: without a record, no later process can count this end. */
    counter_add(&conns->counters[COUNT_CLOSED], 1);
    room_give(&conns->room, cursors->in_block, cursors->in_order);
    room_give(&conns->room, cursors->out_block, cursors->out_order);
    /* Another process holds a duplicate, so that close() alone would not end the connection. */
    shutdown(conn->watch.fd, SHUT_RDWR);
    close(conn->watch.fd);
    if (conn->waiting)
        room_wait_ends(&conns->room);
    conn_give(conns, conn);
}

void conn_cut(struct conns *conns, struct conn *conn)
{
    const struct linger now = {.l_onoff = 1};

    /* Holds for the last descriptor that is closed, a vault's (socket(7)). */
    setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    conn_close(conns, conn);
}

void conn_set_flags(struct conns *conns, struct conn *conn, uint8_t flags)
{
    struct conn_record *record = conn_record_of(conns, conn);
    struct conn_cursors *edit = record_edit(record);
    edit->flags |= flags;
    record_commit(record);
}

void conn_speaks(struct conns *conns, struct conn *conn, uint8_t protocol)
{
    struct conn_record *record = conn_record_of(conns, conn);

    record_edit(record)->protocol = protocol;
    record_commit(record);
}

void conn_end(struct conns *conns, struct conn *conn, bool discard)
{
    conn_set_flags(conns, conn, discard ? CONN_ENDING | CONN_DISCARD : CONN_ENDING);
    conn_mark_dirty(conns, conn);
}

void conns_release(struct conns *conns)
{
    conns->leaving = true;
}

void conn_stay(struct conns *conns, struct conn *conn)
{
    atomic_store_explicit(&conn_record_of(conns, conn)->staying, 1, memory_order_release);
}

void conn_let_go(struct conns *conns, struct conn *conn)
{
    loop_unwatch(conns->loop, &conn->watch);
    loop_own(conns->loop, conn->watch.fd);
    if (conn->waiting)
        room_wait_ends(&conns->room);
    conns->open--;
    leave_crowd(conns, conn); /* the worker that takes it over counts it */
    conn->policy = NULL;      /* its record and its blocks stay taken: others read them now */
    atomic_store_explicit(&conn_record_of(conns, conn)->staying, 0, memory_order_release);
}

void conns_drain(struct conns *conns)
{
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    conns->draining = true;
    for (uint32_t i = 0; i < high; i++) {
        if (conns->conns[i].policy != NULL)
            conn_mark_dirty(conns, &conns->conns[i]);
    }
}
