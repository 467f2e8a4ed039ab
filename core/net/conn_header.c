/* PROXY headers: where a listener has `proxy_protocol`, each connection begins with one, by which a
 * balancer tells who its client is. See conn.h and wire/proxy_header.h.
 *
 * That a header is still to come is a flag in the record, so a reload that changes the listener
 * changes nothing for connections that are there. What it tells stands in the arena's table of
 * clients, and the commit that consumes the header makes it true. */
#include <string.h>
#include <sys/socket.h>

#include "base/log_seldom.h"
#include "net/conn_private.h"
#include "net/farewell.h"
#include "wire/protocol.h"
#include "wire/proxy_header.h"

/* ---- What it tells ---- */

/* Stores a string; one that does not fit is left out, because a part of a name is another name. */
static void store(const struct conn *conn, const char *what, struct bytes value, char *to,
                  size_t room)
{
    char own[ADDRESS_TEXT_SIZE];

    if (value.data != NULL && value.size < room)
        memcpy(to, value.data, value.size);
    else if (value.data != NULL)
        log_seldom(
            LOG_WARN_LEVEL, what,
            "%s: the %s that a balancer tells of a client has %zu bytes, and at most %zu are "
            "kept: it is left out",
            conn_here(conn->watch.fd, own), what, value.size, room - 1);
}

static void tell(const struct conns *conns, const struct conn *conn,
                 const struct proxy_header *header)
{
    struct conn_client *client = &conns->arena.clients[conn_index(conns, conn)];
    char address[ADDRESS_TEXT_SIZE];

    *client = (struct conn_client){0};
    if (header->source_size > 0)
        address_format((const struct sockaddr *)&header->source, header->source_size, address);
    else
        conn_peer(conn, address);
    store(conn, "address", bytes_of(address), client->address, sizeof(client->address));
    client->tls = header->tls;
    store(conn, "ALPN", header->alpn, client->alpn, sizeof(client->alpn));
    store(conn, "name of a certificate", header->common_name, client->common_name,
          sizeof(client->common_name));
    store(conn, "name of a server (SNI)", header->authority, client->authority,
          sizeof(client->authority));
}

/* ---- When it comes ---- */

/* The header is consumed, and what it tells is true, both at once. */
static void consume(struct conns *conns, struct conn *conn, const struct proxy_header *header)
{
    static const struct proxy_header nothing; /* the balancer speaks for itself (LOCAL) */
    struct conn_record *record = conn_record_of(conns, conn);
    uint32_t block = BLOCK_NONE;

    tell(conns, conn, header->local ? &nothing : header);
    struct conn_cursors *edit = record_edit(record);
    unsigned order = edit->in_order;
    edit->in_start += (uint32_t)header->size;
    edit->flags = (uint8_t)((edit->flags & ~CONN_HEADER) | CONN_TOLD);
    if (edit->in_start == edit->in_end) {
        block = edit->in_block;
        edit->in_block = BLOCK_NONE;
        edit->in_start = edit->in_end = 0;
    }
    record_commit(record);
    room_give(&conns->room, block, order);
    conn->expects = 0;
    conn->active = conn_time(conns->loop->now);
    if (conn->policy->after_header != NULL)
        conn->policy = conn->policy->after_header;
    if (conn->policy->idle_timeout_ns != 0)
        conns_sweep(conns);
}

/* ---- Whether its client may come ---- */

/* The last word to a client that is one too many, where its protocol is known by now. */
static void say_farewell(struct conns *conns, struct conn *conn, struct bytes input)
{
    unsigned protocol = conn_cursors(conns, conn)->protocol;
    char word[FAREWELL_MAX];

    if (protocol == PROTOCOL_AUTO)
        protocol = protocol_guess(input);
    size_t size = protocol == PROTOCOL_AUTO ? 0 : farewell_write((uint8_t)protocol, word);
    char *room = size == 0 ? NULL : conn_output_reserve(conns, conn, size);
    if (room == NULL)
        return;
    memcpy(room, word, size);
    record_edit(conn_record_of(conns, conn))->out_end += (uint32_t)size;
    record_commit(conn_record_of(conns, conn));
}

/* Of the client that the header tells, and `input` behind it; the balancer itself may come in any
 * case. */
static bool may_come(struct conns *conns, struct conn *conn, const struct proxy_header *header,
                     struct bytes input)
{
    uint64_t key;

    if (header->local || header->source_size == 0)
        return true;
    enum conn_entry entry =
        conns_admit(conns, conn->policy, conn->watch.fd, (const struct sockaddr *)&header->source,
                    header->source_size, &key);
    if (entry == CONN_MAY_COME) {
        conn_counted(conns, conn, key);
        return true;
    }
    if (entry == CONN_ONE_TOO_MANY)
        say_farewell(conns, conn, input);
    conn_end(conns, conn, true);
    return false;
}

bool conn_header_input(struct conns *conns, struct conn *conn, struct bytes input)
{
    char own[ADDRESS_TEXT_SIZE], text[ADDRESS_TEXT_SIZE];
    struct proxy_header header;

    switch (proxy_header_read(input, &header)) {
    case PROXY_WHOLE:
        consume(conns, conn, &header);
        input = (struct bytes){input.data + header.size, input.size - header.size};
        return may_come(conns, conn, &header, input) &&
               (input.size > 0 || conn_speaks_first(conns, conn));
    case PROXY_PARTIAL:
        conn->expects = (uint32_t)header.size;
        return false;
    case PROXY_INVALID:
        break;
    }
    conn_peer(conn, text);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "%s: %s sent no PROXY header, with which each connection begins there "
               "(proxy_protocol): %s; the connection is closed",
               conn_here(conn->watch.fd, own), text, header.why);
    counter_add(&conns->counters[COUNT_ENDED_HEADER], 1);
    conn_end(conns, conn, false);
    return false;
}
