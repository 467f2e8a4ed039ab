/* Sending events. See stream.h. */
#include "rpc/stream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "rpc/sample.h"

#define PATIENCE 60u /* samples that a reader may take nothing of */

struct stream {
    uint32_t conn;   /* index */
    uint32_t missed; /* samples since it was last sent one */
    bool behind;     /* the next one has to be whole */
    uint64_t told;   /* the last event of the journal that it was sent; 0: it is to have all */
};

struct streams {
    struct dispatcher *dispatcher;
    struct timer timer;
    struct stream *all;
    uint32_t count, capacity;
    struct sampler sampler;
    uint64_t told;              /* the last event of the journal at this time */
    struct text changes, whole; /* of this time; `whole` is empty until a stream wants it */
};

/* ---- What is sent ---- */

static void append_sample(struct text *out, const struct text *json)
{
    text_append_string(out, "event: sample\ndata: ");
    text_append(out, (struct bytes){json->data, json->size});
    text_append_string(out, "\n\n");
}

static void append_whole(const struct dispatcher *dispatcher, struct text *out)
{
    struct text json = {0};

    sample_whole(dispatcher->board, dispatcher->sample_ns, &json);
    append_sample(out, &json);
    text_free(&json);
}

/* Appends the events of the journal after this one; gives the last of them. */
static uint64_t append_events(const struct board *board, uint64_t after, struct text *out)
{
    struct journal_event event = {0};

    while (journal_next(&board->journal, after, &event)) {
        text_printf(out, "id: %llu\nevent: event\ndata: ", (unsigned long long)event.id);
        journal_append(&event, out);
        text_append_char(out, '\n');
        after = event.id;
    }
    return after;
}

void stream_begin(struct dispatcher *dispatcher, uint64_t after, struct text *out)
{
    text_append_string(out, "retry: 1000\n\n");
    append_events(dispatcher->board, after, out);
    append_whole(dispatcher, out);
}

/* Makes what has changed. */
static void take_sample(struct streams *streams)
{
    struct text json = {0};
    bool renamed = sample_changes(&streams->sampler, streams->dispatcher->board, &json);

    text_clear(&streams->changes);
    text_clear(&streams->whole);
    streams->told = append_events(streams->dispatcher->board, streams->told, &streams->changes);
    append_sample(&streams->changes, &json);
    text_free(&json);
    for (uint32_t i = 0; renamed && i < streams->count; i++)
        streams->all[i].behind = true;
}

/* Sends what there is to a stream that has missed some of it. */
static bool feed_whole(struct streams *streams, struct stream *stream, struct conn *conn)
{
    const struct board *board = streams->dispatcher->board;
    struct text events = {0};

    if (streams->whole.size == 0)
        append_whole(streams->dispatcher, &streams->whole);
    append_events(board, stream->told, &events);
    text_append(&events, (struct bytes){streams->whole.data, streams->whole.size});
    bool fed =
        conn_feed(streams->dispatcher->conns, conn, (struct bytes){events.data, events.size});
    text_free(&events);
    return fed;
}

/* ---- To whom ---- */

/* False when the connection is to be closed: its reader takes nothing. */
static bool feed(struct streams *streams, struct stream *stream)
{
    struct conns *conns = streams->dispatcher->conns;
    struct conn *conn = &conns->conns[stream->conn];
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (!(cursors->flags & CONN_STREAM)) /* its reply waits for its turn, or for room */
        return true;
    if (cursors->flags & CONN_ENDING)
        return true;
    const struct bytes changes = {streams->changes.data, streams->changes.size};
    bool unread = cursors->out_start != cursors->out_end;
    bool fed = !unread && (stream->behind ? feed_whole(streams, stream, conn)
                                          : conn_feed(conns, conn, changes));
    stream->behind = !fed;
    stream->missed = fed ? 0 : stream->missed + 1;
    if (fed)
        stream->told = streams->told;
    return !unread || stream->missed < PATIENCE;
}

static void close_unread(struct streams *streams, const struct stream *stream)
{
    struct conns *conns = streams->dispatcher->conns;
    struct conn *conn = &conns->conns[stream->conn];
    char peer[ADDRESS_TEXT_SIZE];

    conn_peer(conn, peer);
    log_seldom(LOG_NOTICE_LEVEL, NULL,
               "%s has read nothing of its stream of events for %u samples: it is closed", peer,
               PATIENCE);
    conn_close(conns, conn); /* takes the stream away */
}

static void tick(struct timer *timer);

static void set_timer(struct streams *streams)
{
    struct dispatcher *dispatcher = streams->dispatcher;

    if (!timer_is_set(&streams->timer))
        timer_set(dispatcher->conns->loop, &streams->timer, dispatcher->sample_ns, tick);
}

static void tick(struct timer *timer)
{
    struct streams *streams = container_of(timer, struct streams, timer);

    if (streams->count == 0 || streams->dispatcher->conns->leaving)
        return;
    take_sample(streams);
    for (uint32_t i = 0; i < streams->count;) {
        if (feed(streams, &streams->all[i]))
            i++;
        else
            close_unread(streams, &streams->all[i]);
    }
    set_timer(streams);
}

/* ---- Their list ---- */

static void show_count(const struct streams *streams)
{
    atomic_store_explicit(&streams->dispatcher->row->streams, streams->count, memory_order_relaxed);
}

static struct streams *open_streams(struct dispatcher *dispatcher)
{
    if (dispatcher->streams == NULL) {
        dispatcher->streams = must_zalloc(sizeof(*dispatcher->streams));
        dispatcher->streams->dispatcher = dispatcher;
    }
    return dispatcher->streams;
}

static void add(struct dispatcher *dispatcher, const struct conn *conn, uint64_t told)
{
    struct streams *streams = open_streams(dispatcher);

    if (streams->count == streams->capacity) {
        streams->capacity = streams->capacity == 0 ? 8 : streams->capacity * 2;
        streams->all = must_realloc(streams->all, streams->capacity * sizeof(*streams->all));
    }
    streams->all[streams->count++] =
        (struct stream){.conn = conn_index(dispatcher->conns, conn), .behind = true, .told = told};
    show_count(streams);
    set_timer(streams);
}

void stream_add(struct dispatcher *dispatcher, const struct conn *conn)
{
    add(dispatcher, conn, journal_last(&dispatcher->board->journal));
}

void stream_adopted(struct dispatcher *dispatcher, struct conn *conn)
{
    struct conns *conns = dispatcher->conns;
    const struct rpc_server *server = container_of(conn->policy, struct rpc_server, policy);

    if (!(conn_cursors(conns, conn)->flags & CONN_STREAM))
        return;
    if (server->settings->status)
        add(dispatcher, conn, 0);
    else
        conn_end(conns, conn, true);
}

void stream_closed(struct dispatcher *dispatcher, const struct conn *conn)
{
    struct streams *streams = dispatcher->streams;
    uint32_t index = conn_index(dispatcher->conns, conn), i = 0;

    if (streams == NULL || streams->count == 0)
        return;
    while (i < streams->count && streams->all[i].conn != index)
        i++;
    if (i == streams->count)
        return;
    streams->all[i] = streams->all[--streams->count];
    show_count(streams);
}

void streams_free(struct dispatcher *dispatcher)
{
    struct streams *streams = dispatcher->streams;

    if (streams == NULL)
        return;
    timer_cancel(dispatcher->conns->loop, &streams->timer);
    text_free(&streams->changes);
    text_free(&streams->whole);
    free(streams->all);
    free(streams);
    dispatcher->streams = NULL;
}
