/* Carrying bytes in both directions, with back-pressure. See carrier.h. */
#include "tls/carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/memory.h"

#define CHUNK  16384u /* the most that a record of TLS holds (RFC 8446 section 5.1) */
#define ROUNDS 4u     /* chunks in each direction, before others have their turn */

static char chunk[CHUNK]; /* what is read, until it is sent or held */

/* ---- Bytes that are held ---- */

static void hold(struct held *held, const char *data, size_t size)
{
    held->data = must_alloc(size);
    memcpy(held->data, data, size);
    held->start = 0;
    held->size = (uint32_t)size;
}

/* `size` of the held bytes have been taken. */
static void taken(struct held *held, size_t size)
{
    held->start += (uint32_t)size;
    if (held->start < held->size)
        return;
    free(held->data);
    *held = (struct held){0};
}

/* ---- In ---- */

/* Sends as much as inside takes, and returns how much. */
static size_t send_inside(struct carrier *carrier, const char *data, size_t size)
{
    if (carrier->in_lost)
        return size;
    ssize_t sent = send(carrier->inside, data, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    carrier->in_lost = true;
    return size;
}

static enum tls_status read_outside(struct carrier *carrier, size_t *got)
{
    enum tls_status status = carrier->tls->read(carrier->session, chunk, sizeof(chunk), got);

    carrier->in_ended = status == TLS_END;
    carrier->reads_write = status == TLS_WRITE;
    return status;
}

enum tls_status carrier_first(struct carrier *carrier)
{
    size_t got;
    enum tls_status status = read_outside(carrier, &got);

    if (status == TLS_DONE)
        hold(&carrier->in, chunk, got);
    return status;
}

static bool carry_in(struct carrier *carrier, bool *more)
{
    size_t got;

    carrier->reads_write = false;
    for (unsigned round = 0; !carrier->in_ended; round++) {
        if (carrier->in.data != NULL)
            taken(&carrier->in, send_inside(carrier, carrier->in.data + carrier->in.start,
                                            carrier->in.size - carrier->in.start));
        if (carrier->in.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        enum tls_status status = read_outside(carrier, &got);
        if (status == TLS_BROKEN)
            return false;
        if (status != TLS_DONE)
            break;
        size_t sent = send_inside(carrier, chunk, got);
        if (sent < got)
            hold(&carrier->in, chunk + sent, got - sent);
        else if (!carrier->tls->has_more(carrier->session))
            break;
    }
    if (carrier->in_ended && carrier->in.data == NULL && !carrier->in_told) {
        carrier->in_told = true;
        shutdown(carrier->inside, SHUT_WR);
    }
    return true;
}

/* ---- Out ---- */

/* False when TLS is broken. */
static bool send_outside(struct carrier *carrier, const char *data, size_t size, size_t *sent)
{
    enum tls_status status = carrier->tls->write(carrier->session, data, size, sent);

    return status == TLS_DONE || status == TLS_WRITE || status == TLS_READ;
}

static bool send_held(struct carrier *carrier)
{
    size_t sent = 0;

    while (carrier->out.data != NULL) {
        if (!send_outside(carrier, carrier->out.data + carrier->out.start,
                          carrier->out.size - carrier->out.start, &sent))
            return false;
        if (sent == 0)
            return true;
        carrier->out_moved = true;
        taken(&carrier->out, sent);
    }
    return true;
}

static bool send_chunk(struct carrier *carrier, size_t size)
{
    size_t sent;

    for (size_t at = 0; at < size; at += sent) {
        if (!send_outside(carrier, chunk + at, size - at, &sent))
            return false;
        if (sent > 0)
            continue;
        hold(&carrier->out, chunk + at, size - at);
        break;
    }
    return true;
}

static bool carry_out(struct carrier *carrier, bool *more)
{
    for (unsigned round = 0; !carrier->out_ended; round++) {
        if (!send_held(carrier))
            return false;
        if (carrier->out.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        ssize_t got = recv(carrier->inside, chunk, sizeof(chunk), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        carrier->out_ended = got <= 0;
        if (got <= 0)
            break;
        if (!send_chunk(carrier, (size_t)got))
            return false;
        if ((size_t)got < sizeof(chunk)) /* it is empty now */
            return true;
    }
    if (!send_held(carrier))
        return false;
    if (carrier->out_ended && carrier->out.data == NULL && !carrier->out_told) {
        carrier->out_told = true;
        carrier->tls->finish(carrier->session);
        if (!carrier_done(carrier)) /* otherwise it is closed at once */
            shutdown(carrier->outside, SHUT_WR);
    }
    return true;
}

/* ---- Both ---- */

bool carrier_run(struct carrier *carrier, unsigned what, bool *more)
{
    return (!(what & CARRY_IN) || carry_in(carrier, more)) &&
           (!(what & CARRY_OUT) || carry_out(carrier, more));
}

bool carrier_done(const struct carrier *carrier)
{
    return carrier->out_told && (carrier->in_told || carrier->in_lost);
}

uint32_t carrier_outside_events(const struct carrier *carrier)
{
    return (carrier->in.data == NULL && !carrier->in_ended ? EPOLLIN : 0) |
           (carrier->out.data != NULL || carrier->reads_write ? EPOLLOUT : 0);
}

uint32_t carrier_inside_events(const struct carrier *carrier)
{
    return (carrier->out.data == NULL && !carrier->out_ended ? EPOLLIN : 0) |
           (carrier->in.data != NULL ? EPOLLOUT : 0);
}

void carrier_end(struct carrier *carrier)
{
    free(carrier->in.data);
    free(carrier->out.data);
}
