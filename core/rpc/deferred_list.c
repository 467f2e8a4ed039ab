/* The deferred requests of a connection. See deferred_list.h. */
#include "rpc/deferred_list.h"

#include <string.h>

#include "rpc/dispatcher_values.h"

/* ---- What a request asks of its connection ---- */

static const char *peer(const struct pillion_request *req)
{
    static char text[ADDRESS_TEXT_SIZE];
    const struct deferred *deferred = req->sink;

    if (deferred->conn == 0)
        return "gone";
    conn_peer(conn_of(deferred), text);
    return text;
}

static const char *told(const struct pillion_request *req, const char *what)
{
    const struct deferred *deferred = req->sink;

    return deferred->conn == 0 ? NULL : conn_told(conn_of(deferred), what);
}

static void whence(const struct pillion_request *req, struct origin *origin)
{
    const struct deferred *deferred = req->sink;

    if (deferred->conn == 0)
        return;
    origin->connection = conn_id(dispatcher_of(deferred)->conns, conn_of(deferred));
    origin->place = running_place(deferred->place);
}

static void connection(const struct pillion_request *req, struct request_connection *to)
{
    struct deferred *deferred = req->sink;

    if (deferred->conn != 0)
        dispatcher_connection(dispatcher_of(deferred), conn_of(deferred), to);
    else if (deferred->values != NULL)
        to->values = &deferred->values;
}

void list_leave_values(struct deferred *deferred)
{
    const struct dispatcher *dispatcher = dispatcher_of(deferred);

    if (dispatcher->values != NULL)
        deferred->values = conn_values_use(dispatcher->values[deferred->conn - 1]);
}

/* ---- The list ---- */

static struct deferred_list *list_open(const struct dispatcher *dispatcher, struct conn *conn)
{
    struct deferred_list *list = &dispatcher->lists[conn_index(dispatcher->conns, conn)];

    conn->deferred = true;
    *list = (struct deferred_list){0};
    return list;
}

void list_adopt(struct deferred *deferred, struct call *call)
{
    deferred_keep(deferred, &call->dispatcher->pool);
    deferred->req.peer = peer;
    deferred->req.told = told;
    deferred->req.whence = whence;
    deferred->req.connection = connection;
}

void list_add(struct deferred *deferred, struct call *call, uint64_t place, uint8_t number)
{
    struct dispatcher *dispatcher = call->dispatcher;
    struct deferred_list *list = list_of(dispatcher, call->conn);

    if (list == NULL)
        list = list_open(dispatcher, call->conn);
    deferred->conn = 1 + conn_index(dispatcher->conns, call->conn);
    deferred->place = place;
    deferred->number = number;
    deferred->previous_of_conn = 0;
    deferred->next_of_conn = list->first;
    if (list->first != 0)
        deferred_at(deferred->all, list->first)->previous_of_conn = 1 + deferred->index;
    list->first = 1 + deferred->index;
    list->count++;
    deferred->counted_without_id = request_is_ordered(&deferred->req);
    list->without_id += deferred->counted_without_id;
    list->ends |= call_last_flags(&deferred->req) != 0;
}

void list_remove(struct deferred *deferred)
{
    struct dispatcher *dispatcher = dispatcher_of(deferred);
    struct conn *conn = conn_of(deferred);
    struct deferred_list *list = list_of(dispatcher, conn);
    struct deferred *next = deferred_at(deferred->all, deferred->next_of_conn),
                    *previous = deferred_at(deferred->all, deferred->previous_of_conn);

    list_leave_values(deferred);
    if (next != NULL)
        next->previous_of_conn = deferred->previous_of_conn;
    if (previous != NULL)
        previous->next_of_conn = deferred->next_of_conn;
    else
        list->first = deferred->next_of_conn;
    list->without_id -= deferred->counted_without_id;
    list->held -= deferred->held;
    list->held_size -= deferred->held ? deferred->req.size : 0;
    deferred->held = false;
    if (--list->count == 0)
        conn->deferred = false;
}

bool list_orders(const struct dispatcher *dispatcher, const struct conn *conn)
{
    const struct deferred_list *list = list_of(dispatcher, conn);
    return list != NULL && (list->without_id > 0 || list->ends);
}

void list_begun_to(const struct dispatcher *dispatcher, const struct conn *conn, uint64_t place)
{
    struct deferred_list *list = list_of(dispatcher, conn);

    if (list != NULL)
        list->begun_to = place;
}

/* ---- Answers ---- */

void list_announce(struct deferred *deferred)
{
    struct conns *conns = dispatcher_of(deferred)->conns;
    struct conn *conn = conn_of(deferred);
    struct begun_frame at = {0};
    unsigned n = 0;

    if (deferred->req.protocol != PROTOCOL_HTTP || !conn_parts_soon(conns, conn))
        return;
    while (begun_walk(conns, conn, n, &at))
        n++;
    if (n == 0 || at.number != deferred->number ||
        at.offset + at.frame.size != conn_input(conns, conn).size)
        return; /* there is another request behind it */
    deferred->req.http.style |= HTTP_STYLE_CLOSE;
    list_of(dispatcher_of(deferred), conn)->ends = true;
}

/* The answer waits for its turn. A batch, whose answers are kept already, may have more calls under
 * way now. */
static void hold(struct deferred *deferred, struct conn *conn)
{
    struct conns *conns = dispatcher_of(deferred)->conns;
    struct deferred_list *list = list_of(dispatcher_of(deferred), conn);

    deferred->held = true;
    list->held++;
    list->held_size += deferred->req.size;
    if (deferred->batch == NULL)
        kept_add(&deferred->kept, conns, conn_id(conns, conn), deferred->place, 0,
                 (struct bytes){deferred->reply, deferred->req.size});
    conn_look_again(conns, conn);
}

/* The answered request whose turn it is in a protocol that has an order, or NULL. */
static struct deferred *next_in_turn(const struct dispatcher *dispatcher, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(dispatcher->conns, conn);
    const struct deferred_list *list = list_of(dispatcher, conn);

    if (list == NULL || !protocols[cursors->protocol].ordered)
        return NULL;
    struct deferred *d = deferred_at(&dispatcher->deferreds, list->first);
    while (d != NULL && (d->state != DEFERRED_ANSWERED || d->listed || d->number != cursors->first))
        d = deferred_at(&dispatcher->deferreds, d->next_of_conn);
    return d;
}

static bool queue_reply(struct deferred *deferred)
{
    struct conns *conns = dispatcher_of(deferred)->conns;
    struct conn *conn = conn_of(deferred);

    char *room =
        deferred->req.size == 0 ? NULL : conn_output_reserve(conns, conn, deferred->req.size);
    if (room == NULL && deferred->req.size > 0) {
        list_of(dispatcher_of(deferred), conn)->unqueued = true;
        conn_wait_for_room(conns, conn);
        conn_look_again(conns, conn);
        return false;
    }
    if (room != NULL)
        memcpy(room, deferred->reply, deferred->req.size);
    slow_replied(dispatcher_of(deferred), conn, deferred);
    begun_answer(conns, conn, deferred->number, deferred->req.size,
                 call_last_flags(&deferred->req));
    list_remove(deferred);
    deferred_free(deferred);
    conn_look_again(conns, conn);
    return true;
}

bool list_queue_reply(struct deferred *deferred)
{
    const struct dispatcher *dispatcher = dispatcher_of(deferred);
    struct conn *conn = conn_of(deferred);

    if (!list_is_turn_of(dispatcher->conns, conn, deferred->number)) {
        hold(deferred, conn);
        return true;
    }
    while (deferred != NULL) {
        if (!queue_reply(deferred))
            return false;
        deferred = next_in_turn(dispatcher, conn);
    }
    return true;
}

bool list_queue_replies(const struct dispatcher *dispatcher, struct conn *conn)
{
    const struct deferreds *all = &dispatcher->deferreds;
    struct deferred_list *list = list_of(dispatcher, conn);
    struct deferred *next;

    if (list == NULL || !list->unqueued)
        return true;
    list->unqueued = false;
    if (protocols[conn_cursors(dispatcher->conns, conn)->protocol].ordered) {
        struct deferred *deferred = next_in_turn(dispatcher, conn);
        return deferred == NULL || list_queue_reply(deferred);
    }
    for (struct deferred *d = deferred_at(all, list->first); d != NULL; d = next) {
        next = deferred_at(all, d->next_of_conn);
        if (d->state == DEFERRED_ANSWERED && !d->listed && !list_queue_reply(d))
            return false;
    }
    return true;
}
