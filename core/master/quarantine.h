/* Quarantine: methods that end their workers again and again are taken out of service. Master only.
 */
#ifndef PILLION_MASTER_QUARANTINE_H
#define PILLION_MASTER_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

/* The method with this index on the board has ended its worker: in a filter, when `filter`. */
void quarantine_count(uint32_t method, bool filter);

/* All methods may run again: there is a new generation. */
void quarantine_clear(void);

#endif
