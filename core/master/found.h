/* The methods that `proxy_all` finds: the server reloads by itself when they have changed, at most
 * once in `proxy_all_interval`. Such a reload reads no file: a configuration that somebody is
 * editing is put to use by those who order it. Master only. */
#ifndef PILLION_MASTER_FOUND_H
#define PILLION_MASTER_FOUND_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* Call this before anything else here. `reload` begins a reload with the configuration in use, or
 * returns false when it is not the time for one. */
void found_begin(bool (*reload)(void));

/* The current generation serves: looks after what it has found, from now on. */
void found_serve(void);

/* Since when it is known, in the life of the server, what all services of `proxy_all` offer, by
 * clock_ns; 0: it is not known yet. */
uint64_t found_known_ns(void);

/* For an upgrade: as JSON and back. */
void found_write(cJSON *state);
void found_read(const cJSON *state);

#endif
