/* Finding slow requests. See slow.h. */
#include "rpc/slow.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "rpc/note.h"
#include "rpc/slow_line.h"

#define FOLLOWED_MAX 256u /* replies at the same time; those beyond are not */
#define LONGS        8u   /* the last that is remembered of code that ran long */

/* Code that has kept the loop. */
struct slow_long {
    const struct method *method; /* NULL: a callback that is no request's */
    const pillion_instance *instance;
    uint64_t ns, ended_ns;
};

/* What a connection has left unbegun, though it was there: the bytes before `upto` of its input. */
struct slow_backlog {
    uint64_t since_ns; /* 0: nothing */
    uint64_t upto;
    const char *why;
};

struct followed {
    struct slow_request request;
    uint32_t conn;  /* 1 + its index; 0: free */
    uint64_t place; /* where the reply ends, in the output stream */
};

struct slow {
    struct dispatcher *dispatcher;
    struct slow_backlog *backlogs; /* by connection; touched by few */
    struct slow_long longs[LONGS];
    uint32_t next_long;
    struct slow_request found;
    struct followed followed[FOLLOWED_MAX];
};

/* The one of this process, for callbacks that know no dispatcher. */
static struct slow *own;

static struct slow_backlog *backlog_of(const struct slow *slow, const struct conn *conn)
{
    return &slow->backlogs[conn_index(slow->dispatcher->conns, conn)];
}

/* ---- Code that ran long ---- */

static void ran_long(struct slow *slow, const struct slow_long *code)
{
    slow->longs[slow->next_long++ % LONGS] = *code;
}

/* From notes_time: a callback. */
static void note_long(const struct note *note, uint64_t ns)
{
    ran_long(own,
             &(struct slow_long){.instance = note->instance, .ns = ns, .ended_ns = clock_ns()});
}

/* Names the code that ran longest between the two times. */
static void find_culprit(const struct slow *slow, struct slow_request *request, uint64_t from,
                         uint64_t to)
{
    const struct slow_long *longest = NULL;

    for (uint32_t i = 0; i < LONGS; i++) {
        const struct slow_long *code = &slow->longs[i];
        /* A tick of the coarse clock is not to hide it. */
        if (code->ns == 0 || code->ended_ns <= from || code->ended_ns > to + 10 * NS_PER_MS)
            continue;
        if (longest == NULL || code->ns > longest->ns)
            longest = code;
    }
    if (longest == NULL)
        return;
    request->behind_ns = longest->ns;
    if (longest->method != NULL)
        snprintf(request->behind, sizeof(request->behind), "%s", longest->method->name.data);
    else
        snprintf(request->behind, sizeof(request->behind), "a callback of %s",
                 longest->instance == NULL ? "a module" : longest->instance->name);
}

/* ---- When its bytes were there ---- */

/* When the last bytes of a TCP connection came; `now` where the kernel does not know. */
static uint64_t kernel_heard(const struct conn *conn, uint64_t now)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    if (getsockopt(conn->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
        size < offsetof(struct tcp_info, tcpi_last_data_recv) + sizeof(info.tcpi_last_data_recv))
        return now;
    uint64_t ago = info.tcpi_last_data_recv * NS_PER_MS;
    return ago > now ? now : now - ago;
}

/* When the request at `place`, whose handler began to run at `since`, was there. `why`: what it has
 * waited for, where that is known. */
static uint64_t arrival(const struct slow *slow, const struct conn *conn,
                        const struct pillion_request *req, uint64_t place, uint64_t since,
                        const char **why)
{
    const struct slow_backlog *backlog = backlog_of(slow, conn);
    const struct loop *loop = slow->dispatcher->conns->loop;
    uint64_t read = loop->woke_ns < since ? loop->woke_ns : since;

    *why = NULL;
    if (backlog->since_ns != 0 && place + req->body.size <= backlog->upto) {
        *why = backlog->why;
        return backlog->since_ns < read ? backlog->since_ns : read;
    }
    if (loop->behind_ns >= read || read - loop->behind_ns < SLOW_LONG_NS)
        return read;
    uint64_t now = clock_ns(), heard = kernel_heard(conn, now);
    if (heard < loop->behind_ns)
        return loop->behind_ns;
    return heard < read ? heard : read;
}

/* Why requests of the connection that are there do not begin; NULL: they do. */
static const char *blocked_by(const struct conns *conns, const struct conn *conn)
{
    if (conn_output_full(conns, conn))
        return "replies that its client does not read";
    if (conn->waiting)
        return "room in the arena";
    if (conn->stalled)
        return "requests of its connection that wait";
    if (conn->again == CONN_AGAIN_LATER)
        return "the turns of other connections";
    return NULL;
}

/* Where the first frame begins that has not begun. */
static uint64_t unbegun(const struct dispatcher *dispatcher, const struct conn *conn)
{
    uint64_t consumed = cursors_consumed(conn_cursors(dispatcher->conns, conn));
    uint64_t begun_to =
        conn->deferred ? dispatcher->lists[conn_index(dispatcher->conns, conn)].begun_to : 0;

    return begun_to > consumed ? begun_to : consumed;
}

void slow_left(const struct slow_turn *turn, const struct conn *conn)
{
    const struct dispatcher *dispatcher = turn->slow->dispatcher;
    struct slow_backlog *backlog = backlog_of(turn->slow, conn);

    if (conn->policy == NULL)
        return;
    uint64_t received = conn_cursors(dispatcher->conns, conn)->received;
    const char *why = blocked_by(dispatcher->conns, conn);
    uint64_t from = unbegun(dispatcher, conn);
    if (why == NULL || from >= received) {
        if (backlog->since_ns != 0 && from >= backlog->upto)
            backlog->since_ns = 0;
    } else if (backlog->since_ns == 0 || from >= backlog->upto) {
        *backlog = (struct slow_backlog){
            .since_ns = dispatcher->conns->loop->woke_ns, .upto = received, .why = why};
    }
}

/* ---- Requests ---- */

void slow_turn_start(struct slow_turn *turn, const struct conn *conn)
{
    const struct loop *loop = turn->slow->dispatcher->conns->loop;
    const struct slow_backlog *backlog = backlog_of(turn->slow, conn);

    turn->found = false;
    turn->seen_ns = loop->woke_ns;
    turn->behind_ns = loop->behind_ns;
    if (backlog->since_ns != 0 && backlog->since_ns < turn->behind_ns)
        turn->behind_ns = backlog->since_ns;
}

/* What an answered request says of itself. Its times are not there yet. */
static void describe(struct slow_request *to, const struct pillion_request *req)
{
    *to = (struct slow_request){
        .method = req->method,
        .id = req->id.data == NULL     ? "none"
              : req->id.data[0] == '"' ? "string"
                                       : "number",
        .protocol = protocols[req->protocol].name,
        .request_bytes = req->body.size,
        .reply_bytes = req->size,
    };
    if (req->failed)
        memcpy(to->code, req->code, sizeof(to->code));
    if (!trace_parent(req, to->trace))
        to->trace[0] = '\0';
}

void slow_look(struct slow_turn *turn, const struct conn *conn, const struct pillion_request *req,
               uint64_t place, uint64_t since_ns)
{
    struct slow *slow = turn->slow;
    struct slow_request *found = &slow->found;
    uint64_t now = clock_ns();
    const char *why;

    uint64_t arrived = arrival(slow, conn, req, place, since_ns, &why);
    turn->found = now - arrived >= req->method->slow_ns;
    if (turn->found) {
        describe(found, req);
        found->arrived_ns = arrived;
        found->answered_ns = now;
        found->queued_ns = since_ns - arrived;
        found->ran_ns = now - since_ns;
        found->reason = why;
        find_culprit(slow, found, arrived, since_ns);
    }
    if (now - since_ns >= SLOW_LONG_NS)
        ran_long(slow,
                 &(struct slow_long){.method = req->method, .ns = now - since_ns, .ended_ns = now});
}

/* `conn`: its connection, or NULL where `peer` is there already. */
static void tell(struct slow_request *request, const struct conn *conn)
{
    if (conn != NULL)
        conn_peer(conn, request->peer);
    counter_add(&own->dispatcher->row->counters[COUNT_SLOW], 1);
    slow_line(request);
}

void slow_told(struct slow_turn *turn, const struct conn *conn)
{
    if (turn->found)
        tell(&turn->slow->found, conn);
    turn->found = false;
}

/* ---- Replies on their way ---- */

/* Follows the reply of the request, which is about to be queued, until it is sent. */
static void follow(struct slow *slow, struct conn *conn, const struct slow_request *request)
{
    const struct conns *conns = slow->dispatcher->conns;
    struct followed *free = slow->followed;

    while (free < slow->followed + FOLLOWED_MAX && free->conn != 0)
        free++;
    if (free == slow->followed + FOLLOWED_MAX || request->reply_bytes == 0) {
        struct slow_request now = *request;
        if (now.answered_ns - now.arrived_ns >= now.method->slow_ns)
            tell(&now, conn);
        return;
    }
    free->request = *request;
    free->conn = 1 + conn_index(conns, conn);
    free->place = conn_output_end(conns, conn) + request->reply_bytes;
    conn->owing = 1;
}

/* The request that was answered just now, and was not slow so far. */
static void describe_quick(struct slow *slow, const struct pillion_request *req)
{
    struct slow_request *quick = &slow->found;
    uint64_t read = slow->dispatcher->conns->loop->woke_ns, now = clock_ns();
    uint64_t since = req->started_ns > read ? req->started_ns : now;

    describe(quick, req);
    quick->arrived_ns = read;
    quick->answered_ns = now;
    quick->queued_ns = since - read;
    quick->ran_ns = now - since;
}

void slow_follow(struct slow_turn *turn, struct conn *conn, const struct pillion_request *req)
{
    struct slow *slow = turn->slow;

    if (req->method == NULL)
        return;
    if (!turn->found)
        describe_quick(slow, req);
    slow->found.reply_bytes = req->size;
    turn->found = false;
    follow(slow, conn, &slow->found);
}

/* The reply is sent, or never will be. */
static void arrive(struct followed *at, const struct conn *conn, bool sent)
{
    struct slow_request *request = &at->request;
    uint64_t now = clock_ns();

    request->sending_ns = now - request->answered_ns;
    request->unsent = !sent;
    if (now - request->arrived_ns >= request->method->slow_ns)
        tell(request, conn);
    at->conn = 0;
}

/* conns->on_sent */
static void sent(struct conns *conns, struct conn *conn)
{
    const struct dispatcher *dispatcher = conns->context;
    struct slow *slow = dispatcher->slow;
    uint64_t place = conn_cursors(conns, conn)->sent;
    bool owing = false;

    for (uint32_t i = 0; i < FOLLOWED_MAX; i++) {
        struct followed *at = &slow->followed[i];
        if (at->conn != 1 + conn_index(conns, conn))
            continue;
        if (at->place > place) {
            owing = true;
            continue;
        }
        arrive(at, conn, true);
    }
    conn->owing = owing;
}

void slow_closed(const struct dispatcher *dispatcher, const struct conn *conn)
{
    struct slow *slow = dispatcher->slow;

    if (slow == NULL)
        return;
    if (backlog_of(slow, conn)->since_ns != 0)
        backlog_of(slow, conn)->since_ns = 0;
    for (uint32_t i = 0; conn->owing && i < FOLLOWED_MAX; i++) {
        if (slow->followed[i].conn == 1 + conn_index(dispatcher->conns, conn))
            arrive(&slow->followed[i], conn, false);
    }
}

void slow_end(const struct dispatcher *dispatcher)
{
    struct slow *slow = dispatcher->slow;

    for (uint32_t i = 0; slow != NULL && i < FOLLOWED_MAX; i++) {
        if (slow->followed[i].conn != 0)
            arrive(&slow->followed[i], &dispatcher->conns->conns[slow->followed[i].conn - 1],
                   false);
    }
}

/* ---- Deferred requests ---- */

void slow_deferred(struct slow_turn *turn, const struct conn *conn, struct deferred *deferred)
{
    struct deferred_times *times = &deferred->times;

    times->arrived_ns = arrival(turn->slow, conn, &deferred->req, deferred->place,
                                deferred->since_ns, &times->behind);
    if (times->ran_ns >= SLOW_LONG_NS)
        ran_long(turn->slow, &(struct slow_long){.method = deferred->req.method,
                                                 .ns = times->ran_ns,
                                                 .ended_ns = times->at_ns});
    turn->seen_ns = times->at_ns;
}

/* True when the request is slow so far; `request` tells of it then. `now`: its reply is queued. */
static bool measure(const struct slow *slow, const struct deferred *deferred, uint64_t now,
                    struct slow_request *request)
{
    const struct deferred_times *times = &deferred->times;
    uint64_t arrived = times->arrived_ns != 0 ? times->arrived_ns : deferred->since_ns;
    uint64_t pooled = times->pooled_ns < times->waited_ns ? times->pooled_ns : times->waited_ns;
    uint64_t held = deferred->held ? now - times->at_ns : 0;

    describe(request, &deferred->req);
    request->arrived_ns = arrived;
    request->answered_ns = deferred->held ? now : times->at_ns;
    request->queued_ns = deferred->since_ns - arrived + pooled + held;
    request->ran_ns = times->ran_ns;
    request->waited_ns = times->waited_ns - pooled;
    request->reason = times->behind;
    if (held > pooled)
        request->reason = "replies before its own";
    else if (pooled > deferred->since_ns - arrived)
        request->reason = "a thread of its pool";
    else
        find_culprit(slow, request, arrived, deferred->since_ns);
    return now - arrived >= deferred->req.method->slow_ns;
}

void slow_replied(const struct dispatcher *dispatcher, struct conn *conn,
                  const struct deferred *deferred)
{
    struct slow *slow = dispatcher->slow;
    const struct conn_cursors *cursors = conn_cursors(dispatcher->conns, conn);
    struct slow_request request;

    if (slow == NULL || deferred->req.method == NULL)
        return;
    uint64_t now = clock_ns(), arrived = deferred->times.arrived_ns;
    bool sticks =
        !conn->owing && (conn->blocked ||
                         cursors->out_end - cursors->out_start + deferred->req.size >= SLOW_STICKS);
    if (arrived == 0 || (!sticks && now - arrived < deferred->req.method->slow_ns))
        return;
    measure(slow, deferred, now, &request);
    follow(slow, conn, &request);
}

void slow_over(const struct dispatcher *dispatcher, const struct deferred *deferred)
{
    struct slow_request request;

    if (dispatcher->slow == NULL || deferred->req.method == NULL ||
        deferred->times.arrived_ns == 0 ||
        !measure(dispatcher->slow, deferred, clock_ns(), &request))
        return;
    snprintf(request.peer, sizeof(request.peer), "%s",
             request_peer((struct pillion_request *)(uintptr_t)&deferred->req));
    tell(&request, NULL);
}

/* ---- The whole ---- */

void slow_start(struct dispatcher *dispatcher)
{
    struct slow *slow = dispatcher->slow;

    if (slow != NULL)
        return;
    slow = own = dispatcher->slow = must_zalloc(sizeof(*slow));
    slow->dispatcher = dispatcher;
    slow->backlogs = must_zalloc(dispatcher->conns->arena.record_count * sizeof(*slow->backlogs));
    dispatcher->conns->on_sent = sent;
    dispatcher->conns->loop->timed = true;
    dispatcher->deferreds.timed = true;
    notes_time(note_long);
}

void slow_free(struct dispatcher *dispatcher)
{
    if (dispatcher->slow == NULL)
        return;
    notes_time(NULL);
    free(dispatcher->slow->backlogs);
    free(dispatcher->slow);
    dispatcher->slow = own = NULL;
}
