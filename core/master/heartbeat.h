/* Signs of life, of the workers that serve and of the vaults. A process that gives none is ended,
 * and then replaced as any that dies. How one process is judged: pulse.h. Master only. */
#ifndef PILLION_MASTER_HEARTBEAT_H
#define PILLION_MASTER_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `turned` is called after each turn, in which some process may have been found silent. Before
 * anything else here. */
void heartbeat_begin(void (*turned)(void));

/* Begins, or goes on at the pace of the generation that serves; ends. */
void heartbeat_start(void);
void heartbeat_stop(void);

/* Asks every process now, those of the next generation included. What to give to heartbeat_all. */
uint64_t heartbeat_ask(void);

/* True when all that matter for a reload have answered that question or a later one: the vaults,
 * the workers of the next generation, and those that serve and are not busy. Otherwise `who`, of
 * `size`, names one that has not. */
bool heartbeat_all(uint64_t serial, char *who, size_t size);

#endif
