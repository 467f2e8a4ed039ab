/* What this server registers: the addresses of the generation that serves, and the methods behind
 * them, which its probe has told. An offer that does not change keeps the number of the generation
 * that has made it, so that its record does not change either. Master only. */
#ifndef PILLION_MASTER_OFFERS_H
#define PILLION_MASTER_OFFERS_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "process/channel.h"
#include "process/generation.h"
#include "registry/record.h"

#define OFFERS_METHODS_MAX (1u << 20) /* bytes that a probe may tell of one server block */

/* A MESSAGE_METHODS of the probe of a generation: the text is not looked at here. */
void offers_told(uint64_t generation, const struct message *message);

/* Makes the offers those of a generation. The keys that are registered no more are to be taken
 * back: they are former ones. */
void offers_set(const struct generation *generation);

const struct registry_offer *offers_now(size_t *count);
const char *const *offers_former(size_t *count);

/* The registry has none of the former keys any more. */
void offers_forget_former(void);

/* Appends all that decides the records. */
void offers_print(struct text *text);

/* For an upgrade. */
void offers_write(cJSON *state);
void offers_read(const cJSON *state);

#endif
