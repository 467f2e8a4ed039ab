/* Quarantine: methods that end their workers again and again are taken out of service. Master only.
 */
#ifndef PILLION_MASTER_QUARANTINE_H
#define PILLION_MASTER_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

/* A worker has died in the method with this index on the board; `filter`: in one of its filters. */
void quarantine_count(uint32_t method, bool filter);

/* A new generation serves: all methods may run again. */
void quarantine_clear(void);

#endif
