/* The life of connections to Redis: opening them, and opening them again when they break or lead to
 * the wrong server. calls.h sends commands over them. */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "calls.h"

/* Connects as soon as the loop runs. NULL with the reason. */
struct links *links_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error);
void links_close(struct links *links);

/* Checks the address, and what TLS needs. Returns 0, or as pillion_error. */
int links_check(pillion_instance *self, const struct settings *settings, pillion_error_text *error);

#endif
