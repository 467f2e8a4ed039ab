/* The channels between vaults and workers, which the master makes: each worker has one to each
 * vault. Where the master or a vault has no descriptor for one, it is tried again. Master only. */
#ifndef PILLION_MASTER_VAULT_CHANNELS_H
#define PILLION_MASTER_VAULT_CHANNELS_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "master/vault_seats.h"
#include "master/workers.h"

/* Makes a channel to each vault for a worker that is to be started: the worker's ends by seat.
 * `channels` has room for VAULT_PROCESSES_MAX, and is -1 where there is no vault. False when there
 * are no descriptors for all of them: a worker that cannot reach a vault could take over nothing
 * that the vault holds, and would use up descriptors that other workers need. */
bool vaults_connect(struct worker *worker, int *channels, struct error *error);

/* True while some vault has no channel to the worker yet, and so may lack sockets of the worker's
 * connections. The vault is asked again. */
bool vaults_unreached(const struct worker *worker);

/* The worker has let go of connections. Its RELEASED, `message`, names the vault process that it
 * knows in each seat: vaults that are still the same process may hand the connections out. */
void vaults_released(const struct worker *worker, const struct message *message);

/* Shows every worker the way to a new vault; each hands its sockets over again. `awaited` as in
 * struct vault_events. */
void vault_introduce(struct vault_seat *seat, bool (*awaited)(uint32_t serial));

/* The vault has no descriptor left for a worker's channel, or cannot listen to it (errno `number`),
 * so the worker could take over nothing that this vault holds. For a worker that serves already,
 * the vault is asked again later. False, with the reason, when the worker is one of the next
 * generation: that generation fails. */
bool vault_reach_later(struct vault_seat *seat, uint64_t serial, int number, struct error *error);

/* The vault's channel to a worker is closed, though the master has given the worker no other. If
 * the worker runs, a module has done it: connections that it accepts now would be in no vault, and
 * lost in the next reload. The vault has those that were accepted before. */
void vault_cut_off(const struct vault_seat *seat, uint64_t serial);

/* For an upgrade, a worker's part: which vaults have no channel to it yet. The seats are read
 * before the workers. */
void vaults_write_worker(const struct worker *worker, cJSON *item);
void vaults_read_worker(struct worker *worker, const cJSON *item);

#endif
