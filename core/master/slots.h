/* Slots: each worker of the generation that serves has one. When the worker dies, another one is
 * started in its slot; after a pause, when the workers of a slot die again and again. Master
 * only. */
#ifndef PILLION_MASTER_SLOTS_H
#define PILLION_MASTER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/* `exhausted` is called when a slot is empty and this generation can start no workers: only a
 * reload can fill it. Call this before anything else here. */
void slots_begin(void (*exhausted)(void));

/* Fills a slot, whose worker has lived for `lived_ns`: at once, or later when its workers die again
 * and again. A death for which a method is to blame (`blamed`) keeps the slot empty for a short
 * time only, because the quarantine deals with the method. */
void slot_refill(uint32_t index, uint64_t lived_ns, bool blamed);

/* Another generation serves: forgets how often the workers of the former one have died. */
void slots_forget(void);

#endif
