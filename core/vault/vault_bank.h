/* All vaults as a worker sees them: which of them holds which connection, and which is next.
 *
 * A connection's place is a seat. New ones get the first seat that has room; its number stands in
 * their id, so that whoever adopts them knows whom to ask first. A place may change, because a
 * vault can refuse: the id does not, and who does not find a connection there asks the others. */
#ifndef PILLION_VAULT_VAULT_BANK_H
#define PILLION_VAULT_VAULT_BANK_H

#include "conf/settings.h"
#include "vault/vault_client.h"

#define VAULT_NONE 0xffu /* the place of a connection that no vault has */

struct vault_bank {
    struct conns *conns;
    struct vault_client clients[VAULT_PROCESSES_MAX];
    uint32_t seats;  /* that new connections are put into */
    uint32_t known;  /* there was never a vault in those from here on */
    uint32_t share;  /* connections that this worker may have in each of them */
    uint8_t *places; /* of connections, by record index */
    uint32_t unheld; /* open connections that no vault has room for */
    uint32_t told;   /* what `changed` was last told of that */
    bool crowded;    /* no vault has room: nothing is accepted */

    /* An answer to vault_bank_take has come; the callee owns the descriptors. */
    void (*given)(void *context, uint32_t seat, const struct message *message, const int *fds,
                  uint32_t fd_count);
    /* The vault of a seat is gone. */
    void (*lost)(void *context, uint32_t seat);
    void *context;
    /* `unheld` or `crowded` is another than before. */
    void (*changed)(const struct vault_bank *bank);
};

/* `seats` and `share` as in struct vault_bank; conns, given, lost, context and changed are set. */
bool vault_bank_init(struct vault_bank *bank, uint32_t seats, uint32_t share, struct error *error);

/* There is a vault in the seat, a new one. */
void vault_bank_open(struct vault_bank *bank, uint32_t seat, int channel);

/* How many connections may be accepted now: they are given a place, by conns->seat. 0: none;
 * `soon` says that it is only for a moment, because the vaults do not keep up. */
uint32_t vault_bank_room(struct vault_bank *bank, bool *soon);

/* Hands new connections over, and starts each (conn_start) as soon as its vault has been sent it.
 */
void vault_bank_hold(struct vault_bank *bank, struct conn **batch, uint32_t count);

/* A connection that is being adopted has its place there. */
void vault_bank_adopt(struct vault_bank *bank, const struct conn *conn, uint32_t seat);

/* Its vault is not the one any more that gave it: hands it over, and starts it. */
void vault_bank_again(struct vault_bank *bank, struct conn *conn);

/* A connection is being closed. */
void vault_bank_drop(struct vault_bank *bank, const struct conn *conn);

/* Sends what is collected. From the loop's after_batch. */
void vault_bank_flush(struct vault_bank *bank);

/* Before the worker lets go: waits until everything that was to be handed over has been, so that
 * nothing depends on this process any more. False when a vault is missing or does not have all. */
bool vault_bank_finish(struct vault_bank *bank);

/* True when this process has the socket of the connection with that record, and is to answer for
 * it: it is open, or was let go of and nobody has taken it over yet. */
bool vault_bank_has_socket(const struct vault_bank *bank, uint32_t index);

/* For the clients: the vault of a seat is gone; or has said something. */
void vault_bank_lost(struct vault_bank *bank, struct vault_client *client);
void vault_bank_told(struct vault_bank *bank, struct vault_client *client,
                     const struct message *message, const int *fds, uint32_t fd_count);

/* For the clients: their number, and whether a connection's place is there. */
uint32_t vault_seat(const struct vault_client *client);

#endif
