/* A worker's side of the vault: hands over what it accepts, tells what it closes, asks for what it
 * adopts.
 *
 * A new connection is handed over before any request of its is run. Should the channel be full, the
 * connection waits; should the vault be gone, connections are served all the same, and handed to
 * the next vault when the master sends the way to it. */
#ifndef PILLION_PROCESS_VAULT_CLIENT_H
#define PILLION_PROCESS_VAULT_CLIENT_H

#include "net/conn.h"
#include "process/channel.h"

struct vault_client {
    struct conns *conns;
    struct watch watch;        /* the channel; not watched while there is no vault */
    struct message hold, drop; /* what is not sent yet */
    struct timer retry;
    bool blocked;

    /* Connections that wait to be handed over, by record index, in a queue. */
    uint32_t *queue;
    uint32_t queue_head, queue_size, queue_capacity;

    /* A GIVE has come; the callee owns the descriptors. */
    void (*given)(void *context, const struct message *message, const int *fds, uint32_t fd_count);
    /* The vault is gone. */
    void (*lost)(void *context);
    void *context;
};

/* Takes `channel`; hands over every connection there is, and of those that this worker has let go
 * of each that nobody has taken over. */
void vault_client_open(struct vault_client *client, int channel);

/* True when what is accepted now can be handed over at once, or when there is no vault. */
bool vault_client_keeps_up(const struct vault_client *client);

/* Hands the connections over, in batches, and starts each (conn_start) as soon as it is done. */
void vault_client_hold(struct vault_client *client, struct conn **batch, uint32_t count);

/* Forgets a connection that is being closed. Sent with the batch. */
void vault_client_drop(struct vault_client *client, uint64_t id);

/* Sends what is collected. From the loop's after_batch. */
void vault_client_flush(struct vault_client *client);

/* Before the worker lets go: waits until everything that was to be handed over has been, so that
 * nothing depends on this process any more. False when there is no vault, or it did not take all.
 */
bool vault_client_finish(struct vault_client *client);

/* Asks for `count` connections; one answer comes by `given`. False when there is no vault. */
bool vault_client_take(struct vault_client *client, uint64_t serial, const uint64_t *ids,
                       uint32_t count);

#endif
