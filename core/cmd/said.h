/* What bytes say that are no reply. Servers of other protocols tell in their first line who they
 * are and often what is wrong; a user who has mistaken the port or the protocol sees it by that. */
#ifndef PILLION_CMD_SAID_H
#define PILLION_CMD_SAID_H

#include "base/bytes.h"

/* Appends "; it says "…"" with the first line of `bytes`, as a terminal may hold it, or the name of
 * a protocol that is not text; nothing when they tell nothing. */
void said_append(struct text *out, struct bytes bytes);

#endif
