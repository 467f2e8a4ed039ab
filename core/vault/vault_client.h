/* A worker's side of one vault: hands over accepted connections, tells it of closed ones, asks for
 * those to adopt. All clients together are the bank, which decides which connection goes to which
 * vault; a client reports to it by callbacks (vault_client_events).
 *
 * A new connection is handed over before any of its requests is run. If the channel is full, the
 * connection waits. If the vault is gone, connections are served all the same, and handed to the
 * next vault when the master sends a channel to it. */
#ifndef PILLION_VAULT_VAULT_CLIENT_H
#define PILLION_VAULT_VAULT_CLIENT_H

#include "net/conn.h"
#include "process/channel.h"

struct vault_client;

/* A client's questions and reports to the bank. */
struct vault_client_events {
    /* True when the vault is to hold the socket of this record. */
    bool (*answers_for)(const struct vault_client *client, uint32_t index);
    /* The vault is gone. */
    void (*lost)(struct vault_client *client);
    /* The vault has sent a message; the callee owns the descriptors. */
    void (*told)(struct vault_client *client, const struct message *message, const int *fds,
                 uint32_t fd_count);
};

struct vault_client {
    const struct vault_client_events *events; /* this and the next two are the bank's to set */
    struct conns *conns;
    uint32_t seat;
    struct watch watch;  /* the channel; not watched while there is no vault in the seat */
    struct message drop; /* a DROP that is being collected */
    struct timer retry;
    int unwatched; /* a channel that could not be watched, and is tried again; 0: none */
    bool blocked;
    bool known;       /* there has been a vault in this seat */
    bool answers;     /* it sends HELD, which vaults of earlier versions do not */
    uint32_t room;    /* sockets for which it has room: as it last said, less those sent since */
    bool full;        /* it has refused a connection and has not said since that there is room */
    uint64_t lost_ns; /* when its channel was closed, on the loop's clock */
    uint32_t held;    /* open connections of this worker whose seat this is */
    uint64_t sent, received; /* descriptors sent to it, and how many of them it has received */

    /* A queue of connections that wait to be handed over, by record index. */
    uint32_t *queue;
    uint32_t queue_head, queue_size, queue_capacity;
};

bool vault_client_is_open(const struct vault_client *client);

/* Takes `channel`. Hands over every connection whose seat this is, including those
 * that this worker has let go of and no worker has taken over yet. */
void vault_client_open(struct vault_client *client, int channel);

/* True when a connection that is accepted now can be handed over at once. */
bool vault_client_keeps_up(const struct vault_client *client);

/* Queues a connection, which the next vault_client_send hands over, and starts (conn_start) as soon
 * as it is sent. */
void vault_client_hold(struct vault_client *client, const struct conn *conn);
void vault_client_send(struct vault_client *client);

/* Has the vault forget a connection that is being closed. The message is sent with the batch. */
void vault_client_drop(struct vault_client *client, uint64_t id);

/* Sends the collected DROP. */
void vault_client_flush(struct vault_client *client);

/* True when the vault has received or refused every socket that was to be handed over. */
bool vault_client_has_all(const struct vault_client *client);

/* Waits until that is true, until `deadline` on clock_ns() at most. */
void vault_client_finish(struct vault_client *client, uint64_t deadline);

/* Asks for `count` connections; one answer comes by the event `told`. False when there is no
 * vault. */
bool vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                       uint32_t count);

#endif
