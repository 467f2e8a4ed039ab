/* Slots: each worker of the generation that serves has one, and when it dies, another worker is
 * started there; later, when the workers of a slot die again and again. Master only. */
#ifndef PILLION_MASTER_SLOTS_H
#define PILLION_MASTER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/* `exhausted` is called when a slot is empty and no worker of this generation can be started, but
 * those of another one could. Before anything else here. */
void slots_begin(void (*exhausted)(void));

/* Fills a slot, whose worker has lived for `lived_ns`: at once, or later when its workers die again
 * and again. Deaths for which a method is to blame (`blamed`) are quarantine's business: they never
 * keep a slot empty for long. */
void slot_refill(uint32_t index, uint64_t lived_ns, bool blamed);

/* Another generation serves: its workers have died of nothing yet. */
void slots_forget(void);

#endif
