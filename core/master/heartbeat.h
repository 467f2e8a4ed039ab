/* Signs of life of the workers that serve and of the vaults. A process that gives none is ended,
 * and then replaced as any process that dies. pulse.h tells how one process is judged. Master
 * only. */
#ifndef PILLION_MASTER_HEARTBEAT_H
#define PILLION_MASTER_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `round_over` is called after each round, in which some process may have been found silent. Call
 * this before anything else here. */
void heartbeat_begin(void (*round_over)(void));

/* Begins to ask, at the pace of the generation that serves; stops asking. */
void heartbeat_start(void);
void heartbeat_stop(void);

/* Asks every process now, those of the next generation included. Returns the question's number, for
 * heartbeat_all. */
uint64_t heartbeat_ask(void);

/* True when every process that matters for a reload has answered that question or a later one: the
 * vaults, the workers of the next generation, and the workers that serve and are not busy.
 * Otherwise the buffer `name`, of `size` bytes, names a process that has not. */
bool heartbeat_all(uint64_t serial, char *name, size_t size);

#endif
