/* A worker's side of one vault: hands over what it accepts, tells what it closes, asks for what it
 * adopts. All of them together are the bank (vault_bank.h), which decides what goes where.
 *
 * A new connection is handed over before any request of its is run. Should the channel be full, the
 * connection waits; should the vault be gone, connections are served all the same, and handed to
 * the next vault when the master sends the way to it. */
#ifndef PILLION_VAULT_VAULT_CLIENT_H
#define PILLION_VAULT_VAULT_CLIENT_H

#include "net/conn.h"
#include "process/channel.h"

struct vault_bank;

struct vault_client {
    struct vault_bank *bank;
    struct watch watch;  /* the channel; not watched while there is no vault */
    struct message drop; /* what is not sent yet */
    struct timer retry;
    bool blocked;
    bool known;       /* there has been a vault in this seat */
    bool answers;     /* it says what it has received: those of earlier versions do not */
    uint32_t room;    /* sockets for which it has room by its last word, less what was sent since */
    bool full;        /* it has refused a connection and has not said since that there is room */
    uint64_t lost_ns; /* since when there is none, on the loop's clock */
    uint32_t held;    /* open connections of this worker that have their place in it */
    uint64_t sent, received; /* descriptors handed to it; and how many of them it knows of */

    /* Connections that wait to be handed over, by record index, in a queue. */
    uint32_t *queue;
    uint32_t queue_head, queue_size, queue_capacity;
};

bool vault_client_is_open(const struct vault_client *client);

/* Takes `channel`; hands over every connection that has its place there, and of those that this
 * worker has let go of each that nobody has taken over. */
void vault_client_open(struct vault_client *client, int channel);

/* True when what is accepted now can be handed over at once. */
bool vault_client_keeps_up(const struct vault_client *client);

/* Hands a connection over with the next vault_client_send, and starts it (conn_start) as soon as
 * that is done. */
void vault_client_hold(struct vault_client *client, const struct conn *conn);
void vault_client_send(struct vault_client *client);

/* Forgets a connection that is being closed. Sent with the batch. */
void vault_client_drop(struct vault_client *client, uint64_t id);

/* Sends what is collected. */
void vault_client_flush(struct vault_client *client);

/* True when the vault has all that was to be handed over, or has refused it. */
bool vault_client_has_all(const struct vault_client *client);

/* Waits for that, until `deadline` on clock_ns() at most. */
void vault_client_finish(struct vault_client *client, uint64_t deadline);

/* Asks for `count` connections; one answer comes by the bank's `given`. False when there is no
 * vault. */
bool vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                       uint32_t count);

#endif
