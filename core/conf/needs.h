/* What modules may do beside answering: the names of the needs that they declare
 * (PILLION_NEEDS_… of <pillion/module.h>), as the configuration writes and tools show them. */
#ifndef PILLION_CONF_NEEDS_H
#define PILLION_CONF_NEEDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct need {
    const char *name;     /* "network" */
    const char *declared; /* "PILLION_NEEDS_NETWORK" */
    uint32_t bit;
};

/* By ascending bits; the last row has no name. */
extern const struct need need_table[];

#define NEEDS_DECLARABLE 7u /* all bits of the table */

/* Reads "network,files", or "none". False for anything else. */
bool needs_read(const char *text, uint32_t *needs);

/* Appends the names, with `between` between them; "none" where there is none. */
void needs_write(uint32_t needs, const char *between, struct text *out);

#endif
