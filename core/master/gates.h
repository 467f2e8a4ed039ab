/* The gates, in the master: starting them where a configuration has `ssl`, starting another where
 * one ends, and letting those of former certificates go when their clients have gone. See master.h
 * and gate/gate.h. */
#ifndef PILLION_MASTER_GATES_H
#define PILLION_MASTER_GATES_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "master/pulse.h"

/* Call this before anything else here. `ended` is called when a gate has ended. */
void gates_begin(void (*ended)(void));

/* The current generation serves: starts its gates, unless those that run do what it asks for. Gates
 * that do not are told to take no more clients, and to end when theirs have gone. Errors are
 * logged, and tried again. */
void gates_serve(void);

/* Gives every gate the master's log file. False with errno when a gate does not take it. */
bool gates_reopen(void);

/* Signs of life (pulse.h): judges and asks each gate. */
void gates_round(const struct pulse_round *round);

/* The server quits: gates take no more clients. They end when their clients have gone, as those do
 * when the workers have finished. */
void gates_leave(void);

/* The workers have ended: true once no gate runs any more. Gates that still have clients after some
 * seconds are killed. */
bool gates_finish(void);

/* Kills all gates, at the server's end. */
void gates_end(void);

/* For an upgrade: the gates as JSON and back, and whether their channels stay open over exec. */
void gates_write(cJSON *state);
void gates_read(const cJSON *state);
void gates_keep_open(bool keep);

#endif
