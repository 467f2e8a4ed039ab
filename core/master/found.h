/* The methods that `proxy_all` finds: the server reloads by itself when they have changed, at most
 * once in `proxy_all_interval`. Such a reload reads no file: a configuration that somebody is
 * editing is put to use by those who order it. Master only. */
#ifndef PILLION_MASTER_FOUND_H
#define PILLION_MASTER_FOUND_H

#include <stdbool.h>

/* Call this before anything else here. `reload` begins a reload with the configuration in use, or
 * returns false when it is not the time for one. */
void found_begin(bool (*reload)(void));

/* The current generation serves: looks after what it has found, from now on. */
void found_serve(void);

#endif
