/* Talking to a vault. See vault_client.h. */
#include "vault/vault_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define RETRY_NS (2 * NS_PER_MS)

static void client_ready(struct watch *watch, uint32_t events);
static void retry(struct timer *timer);

bool vault_client_is_open(const struct vault_client *client)
{
    return client->watch.index != 0;
}

static void start_if_new(struct conn *conn)
{
    if (conn->policy != NULL && conn->watch.index == 0)
        conn_start(conn->policy->conns, conn);
}

/* Serves the connections that waited for the vault, which is gone: serving without a vault is
 * better than not serving. */
static void start_all_queued(struct vault_client *client)
{
    while (client->queue_size > 0) {
        struct conn *conn = &client->conns->conns[client->queue[client->queue_head]];
        client->queue_head = (client->queue_head + 1) % client->queue_capacity;
        client->queue_size--;
        start_if_new(conn);
    }
}

static void client_close(struct vault_client *client)
{
    if (!vault_client_is_open(client))
        return;
    loop_unwatch(client->conns->loop, &client->watch);
    close(client->watch.fd);
    timer_cancel(client->conns->loop, &client->retry);
    client->drop.count = 0;
    client->blocked = client->full = client->answers = false;
    client->sent = client->received = 0;
    client->lost_ns = client->conns->loop->now;
    start_all_queued(client);
    client->events->lost(client);
}

/* Acts on channel_send's failure: waits, or closes the channel. True when the vault is still
 * there. */
static bool wait_or_close(struct vault_client *client)
{
    if (errno == EAGAIN) {
        client->blocked = true;
        loop_change(client->conns->loop, &client->watch, EPOLLIN | EPOLLOUT);
        return true;
    }
    if (channel_error_passes(errno)) {
        client->blocked = true;
        timer_set(client->conns->loop, &client->retry, RETRY_NS, retry);
        return true;
    }
    client_close(client);
    return false;
}

static void queue_push(struct vault_client *client, uint32_t index)
{
    if (client->queue_size == client->queue_capacity) {
        uint32_t capacity = client->queue_capacity == 0 ? 64 : client->queue_capacity * 2;
        uint32_t *queue = must_alloc(capacity * sizeof(*queue));
        for (uint32_t i = 0; i < client->queue_size; i++)
            queue[i] = client->queue[(client->queue_head + i) % client->queue_capacity];
        free(client->queue);
        client->queue = queue;
        client->queue_capacity = capacity;
        client->queue_head = 0;
    }
    client->queue[(client->queue_head + client->queue_size++) % client->queue_capacity] = index;
}

void vault_client_send(struct vault_client *client)
{
    struct conns *conns = client->conns;
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t batch[CHANNEL_FDS_MAX];

    while (client->queue_size > 0 && vault_client_is_open(client) && !client->blocked) {
        uint32_t taken = 0;
        message.type = MESSAGE_HOLD;
        message.serial = 0;
        /* A worker that leaves says so: an adopter may have handed these sockets over before. */
        message.number = conns->leaving;
        message.count = 0;
        while (taken < client->queue_size && message.count < CHANNEL_FDS_MAX) {
            uint32_t index = client->queue[(client->queue_head + taken++) % client->queue_capacity];
            struct conn *conn = &conns->conns[index];
            if (!client->events->answers_for(client, index))
                continue; /* closed while it waited */
            batch[message.count] = index;
            fds[message.count] = conn->watch.fd;
            message.ids[message.count++] = conn_id(conns, conn);
        }
        if (message.count > 0 &&
            !channel_send(client->watch.fd, &message, true, fds, message.count)) {
            wait_or_close(client);
            return;
        }
        client->queue_head = (client->queue_head + taken) % client->queue_capacity;
        client->queue_size -= taken;
        client->sent += message.count;
        client->room -= message.count < client->room ? message.count : client->room;
        for (uint32_t i = 0; i < message.count; i++)
            start_if_new(&conns->conns[batch[i]]);
    }
}

bool vault_client_keeps_up(const struct vault_client *client)
{
    struct pollfd writable = {.fd = client->watch.fd, .events = POLLOUT};

    /* A Unix socket counts as writable while at most a quarter of its buffer is used, so there is
     * room for the next message, whatever its size. */
    return !client->blocked && client->queue_size == 0 && poll(&writable, 1, 0) == 1;
}

void vault_client_hold(struct vault_client *client, const struct conn *conn)
{
    queue_push(client, conn_index(client->conns, conn));
}

static void send_drops(struct vault_client *client)
{
    if (client->drop.count == 0 || client->blocked)
        return;
    client->drop.type = MESSAGE_DROP;
    if (channel_send(client->watch.fd, &client->drop, true, NULL, 0))
        client->drop.count = 0;
    else
        wait_or_close(client);
}

void vault_client_drop(struct vault_client *client, uint64_t id)
{
    if (!vault_client_is_open(client))
        return;
    if (client->drop.count == CHANNEL_FDS_MAX)
        send_drops(client);
    /* If the vault does not read, it keeps duplicates of sockets that are shut down already; they
     * are closed when this worker has ended. */
    if (client->drop.count < CHANNEL_FDS_MAX)
        client->drop.ids[client->drop.count++] = id;
}

void vault_client_flush(struct vault_client *client)
{
    if (vault_client_is_open(client))
        send_drops(client);
}

bool vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                       uint32_t count)
{
    struct message message = {.type = MESSAGE_TAKE, .serial = serial, .count = count};

    if (!vault_client_is_open(client))
        return false;
    memcpy(message.ids, ids, count * sizeof(*ids));
    if (channel_send(client->watch.fd, &message, true, NULL, 0))
        return true;
    if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS)
        client_close(client);
    return false;
}

static void go_on(struct vault_client *client)
{
    client->blocked = false;
    loop_change(client->conns->loop, &client->watch, EPOLLIN);
    vault_client_send(client);
    if (vault_client_is_open(client))
        send_drops(client);
}

bool vault_client_has_all(const struct vault_client *client)
{
    return client->queue_size == 0 && client->drop.count == 0 &&
           (!client->answers || client->received == client->sent);
}

void vault_client_finish(struct vault_client *client, uint64_t deadline)
{
    while (vault_client_is_open(client) && !vault_client_has_all(client) && clock_ns() < deadline) {
        struct pollfd channel = {.fd = client->watch.fd, .events = POLLIN};
        go_on(client);
        if (!vault_client_is_open(client) || vault_client_has_all(client))
            break;
        /* Too many descriptors under way is not a state of the channel, which poll could wait for:
         * hence the timeout. */
        if (client->blocked)
            channel.events |= POLLOUT;
        poll(&channel, 1, 1);
        client_ready(&client->watch, 0);
    }
}

static void retry(struct timer *timer)
{
    struct vault_client *client = container_of(timer, struct vault_client, retry);

    if (client->unwatched != 0)
        vault_client_open(client, client->unwatched);
    else
        go_on(client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct vault_client *client = container_of(watch, struct vault_client, watch);
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    if (events & EPOLLOUT)
        go_on(client);
    while (vault_client_is_open(client)) {
        switch (channel_receive(watch->fd, &message, fds, &fd_count)) {
        case CHANNEL_MESSAGE:
            client->events->told(client, &message, fds, fd_count);
            break;
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_CLOSED:
            client_close(client);
            return;
        }
    }
}

void vault_client_open(struct vault_client *client, int channel)
{
    struct conns *conns = client->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    client_close(client);
    client->known = true;
    client->room = UINT32_MAX; /* until the vault says */
    if (client->unwatched != 0 && client->unwatched != channel)
        close(client->unwatched);
    client->unwatched = 0;
    if (!loop_watch(conns->loop, &client->watch, channel, EPOLLIN, client_ready)) {
        client->unwatched = channel;
        timer_set(conns->loop, &client->retry, RETRY_NS, retry);
        return;
    }
    for (uint32_t i = 0; i < high; i++) {
        if (client->events->answers_for(client, i))
            queue_push(client, i);
    }
    vault_client_send(client);
}
