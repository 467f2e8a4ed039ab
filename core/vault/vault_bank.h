/* All vaults as a worker sees them: which vault holds which connection, and which one gets the
 * next.
 *
 * Each connection has a seat. New connections get the first seat that has room; its number is
 * in their id, so that an adopter knows which vault to ask first. The seat may change, because a
 * vault can refuse; the id stays the same, and an adopter that does not find a connection there
 * asks the other vaults. */
#ifndef PILLION_VAULT_VAULT_BANK_H
#define PILLION_VAULT_VAULT_BANK_H

#include "conf/settings.h"
#include "vault/vault_client.h"

#define VAULT_NONE 0xffu /* the seat of a connection that no vault has */

struct vault_bank {
    struct conns *conns;
    struct vault_client clients[VAULT_PROCESSES_MAX];
    uint32_t seats;   /* seats for new connections */
    uint32_t known;   /* seats from this number on never had a vault */
    uint32_t share;   /* connections that this worker may have in each seat */
    uint8_t *seat_of; /* seat of each connection, by record index */
    uint32_t unheld;  /* open connections that no vault has room for */
    uint32_t told;    /* `unheld` at the last call of `changed` */
    bool crowded;     /* no vault has room: no connection is accepted */

    /* An answer to vault_bank_take has come; the callee owns the descriptors. */
    void (*given)(void *context, uint32_t seat, const struct message *message, const int *fds,
                  uint32_t fd_count);
    /* The vault of a seat is gone. */
    void (*lost)(void *context, uint32_t seat);
    void *context;
    /* `unheld` or `crowded` has changed. */
    void (*changed)(const struct vault_bank *bank);
};

/* `seats` and `share` as in struct vault_bank. The caller has set conns, given, lost, context and
 * changed. */
bool vault_bank_init(struct vault_bank *bank, uint32_t seats, uint32_t share, struct error *error);

/* There is a new vault in the seat; `channel` leads to it. */
void vault_bank_open(struct vault_bank *bank, uint32_t seat, int channel);

/* How many connections may be accepted now; conns->seat is set to their seat. With 0, `soon` says
 * that it is only for a moment, because a vault is missing or does not keep up. */
uint32_t vault_bank_room(struct vault_bank *bank, bool *soon);

/* Hands new connections over, and starts each (conn_start) as soon as it was sent to its vault. */
void vault_bank_hold(struct vault_bank *bank, struct conn **batch, uint32_t count);

/* Notes that a connection, which is being adopted, was given by the vault in `seat`. */
void vault_bank_adopt(struct vault_bank *bank, const struct conn *conn, uint32_t seat);

/* The seat has a new vault since the connection was given: hands it over to that one, and starts
 * it. */
void vault_bank_again(struct vault_bank *bank, struct conn *conn);

/* A connection is being closed. */
void vault_bank_drop(struct vault_bank *bank, const struct conn *conn);

/* Sends the collected messages. Call this from the loop's after_batch. */
void vault_bank_flush(struct vault_bank *bank);

/* Call this before the worker lets go: waits until every connection has been handed over, so that
 * none depends on this process any more. False when a vault is missing or has not received all. */
bool vault_bank_finish(struct vault_bank *bank);

/* True when this process must keep the socket of that record in a vault: the connection is open, or
 * was let go of and no worker has taken it over yet. */
bool vault_bank_has_socket(const struct vault_bank *bank, uint32_t index);

#endif
