/* Keeping the vaults, in the master: starting them, starting another where one dies, and making the
 * channels between each of them and each worker. See master.h.
 *
 * A vault has a seat, numbered from 0, which outlives the process in it. A generation says how many
 * seats it uses (`vaults` in its capacity); workers put what they accept into the first seat that
 * has room for it. Seats beyond that are surplus: their vaults end when they are empty. */
#ifndef PILLION_MASTER_KEEPER_H
#define PILLION_MASTER_KEEPER_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "master/workers.h"
#include "process/channel.h"

/* What the vaults' keeper tells and asks. */
struct vault_events {
    /* Some vault has said something: it has given a sign of life, or holds more. */
    void (*heard)(void);
    /* A vault cannot be reached by a worker of the next generation, which cannot serve so. */
    void (*unreached)(const char *why);
    /* True while something of the worker `serial`, which has let go of it, is to be taken over. */
    bool (*awaited)(uint32_t serial);
};

/* Before anything else here. */
void vaults_begin(const struct vault_events *events);

/* Sees to it that the first `count` seats have a vault, and shows new ones to all workers. False
 * with the reason; the vaults that could be started run even so. */
bool vaults_start(uint32_t count, struct error *error);

/* Tells the vaults of surplus seats to end as soon as they are empty, unless some worker may still
 * put connections into them. Called when a worker is gone and when a generation was put to use. */
void vaults_sweep(void);

/* True when the child `pid` is a vault. */
bool vault_is(pid_t pid);

/* Makes a channel to each vault for a worker that is to be started: the worker's ends by seat.
 * `channels` has room for VAULT_PROCESSES_MAX, and is -1 where there is no vault. False when there
 * are no descriptors for all of them: a worker that cannot reach a vault could not take over what
 * that vault holds, and would keep descriptors from those who can. */
bool vaults_connect(struct worker *worker, int *channels, struct error *error);

/* Tells every vault. */
void vaults_tell(enum message_type type, uint32_t serial);

/* The worker has let go of connections, and says in `message`, its RELEASED, which process it knows
 * in each seat: those that are still the same may hand them out. */
void vaults_released(const struct worker *worker, const struct message *message);

/* Gives every vault the log file that the master has. False with errno when one of them does not
 * take it. */
bool vaults_reopen(void);

/* Sockets that other seats than the first hold: binaries of earlier versions know that one only. */
uint32_t vaults_beyond_first(void);

/* Signs of life (pulse.h): a turn of each, true while one is silent or missing; a question to
 * each; whether all have answered it, and otherwise whose seat it is that has not. */
bool vaults_turn(const struct pulse_turn *turn);
void vaults_ask(uint64_t serial);
bool vaults_heard(uint64_t serial, uint32_t *seat);

/* Kills them: the server ends. */
void vaults_end(void);

/* For an upgrade: the seats as JSON and back, and whether the channels stay open over exec. */
void vaults_write(cJSON *state);
void vaults_read(const cJSON *state);
void vaults_keep_open(bool keep);

#endif
