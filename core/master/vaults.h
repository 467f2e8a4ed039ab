/* The vaults' processes, in the master: starting them, and starting another where one dies. Their
 * channels to workers are vault_channels.h's.
 *
 * A vault has a seat, numbered from 0, which outlives the process in it. A generation says how many
 * seats it uses (`vaults` in its capacity); workers put the connections that they accept into the
 * first seat with room. Seats beyond that are surplus: their vaults end when they are empty. */
#ifndef PILLION_MASTER_VAULTS_H
#define PILLION_MASTER_VAULTS_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "master/pulse.h"
#include "process/channel.h"

/* What is told, and asked, of the vaults. */
struct vault_events {
    /* Some vault has sent messages: a sign of life, or a new count of what it holds. */
    void (*heard)(void);
    /* A worker of the next generation cannot reach some vault, and so cannot serve. */
    void (*unreached)(const char *why);
    /* True while connections that the worker `serial` has let go of are still to be taken over. */
    bool (*awaited)(uint32_t serial);
};

/* Call this before anything else here. */
void vaults_begin(const struct vault_events *events);

/* Starts a vault in each of the first `count` seats that has none, and shows new vaults to all
 * workers. False with the reason; vaults that could be started keep running. */
bool vaults_start(uint32_t count, struct error *error);

/* Tells the vaults of surplus seats to end as soon as they are empty, unless some worker may
 * still put connections into them. Call this when a worker is gone and when a generation was put
 * to use. */
void vaults_sweep(void);

/* True when the child `pid` is a vault. */
bool vault_is(pid_t pid);

/* Sends a message to every vault. */
void vaults_tell(enum message_type type, uint32_t serial);

/* Gives every vault the master's log file. False with errno when a vault does not take it. */
bool vaults_reopen(void);

/* Number of sockets held in other seats than the first, which is the only one that earlier versions
 * know. */
uint32_t vaults_beyond_first(void);

/* Signs of life (pulse.h). vaults_round judges and asks each vault; true while a vault is silent or
 * missing. vaults_ask asks each vault the question `serial`. vaults_heard is true when all have
 * answered it; otherwise `seat` is the seat of a vault that has not. */
bool vaults_round(const struct pulse_round *round);
void vaults_ask(uint64_t serial);
bool vaults_heard(uint64_t serial, uint32_t *seat);

/* Kills all vaults, at the server's end. */
void vaults_end(void);

/* For an upgrade: the seats as JSON and back, and whether the channels stay open over exec. */
void vaults_write(cJSON *state);
void vaults_read(const cJSON *state);
void vaults_keep_open(bool keep);

#endif
