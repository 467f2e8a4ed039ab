/* The process that speaks to a registry (registry/registry.h), in the master: starting it where a
 * configuration has a `registry`, or a module wants a service; starting another where it ends,
 * which goes on with its lease; and what it is to register. Master only.
 *
 * A reload that changes what is registered, or how the registry is spoken to, puts another process
 * in its place, which goes on with the lease, too: keys that are as they were are not written. Any
 * other reload, and the death of a worker, leave it alone. */
#ifndef PILLION_MASTER_REGISTRY_H
#define PILLION_MASTER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "master/pulse.h"
#include "process/channel.h"

/* Call this before anything else here. `ended` is called when the process has ended. */
void registry_begin(void (*ended)(void));

/* These services are to be looked for from now on, and no others. The names are the caller's. */
void registry_wants(const char *const *services, size_t count);

/* The current generation serves: starts the process, unless the one that runs does what it asks
 * for. */
void registry_serve(void);

/* Gives the process the master's log file. False with errno when it does not take it. */
bool registry_reopen(void);

/* Signs of life (pulse.h): judges and asks the process. */
void registry_round(const struct pulse_round *round);

/* The server is to quit: takes its addresses back. False when none are registered. Otherwise `done`
 * is called, from the loop, when those that watch have had the time to go elsewhere; at the latest
 * `*most_ms` from now. */
bool registry_withdraw(void (*done)(void), uint64_t *most_ms);

/* The workers have ended, or are to: true once the addresses are taken back, or their time for that
 * is over. `ended` of registry_begin is called when it has become true. */
bool registry_finish(void);

/* Kills the process, at the server's end. */
void registry_end(void);

/* For an upgrade: as JSON and back, and whether its channel stays open over exec. */
void registry_write(cJSON *state);
void registry_read(const cJSON *state);
void registry_keep_open(bool keep);

#endif
