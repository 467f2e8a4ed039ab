/* The zones of a server: made when a configuration names them, kept as long as one does.
 *
 * The list is the master's; processes that it forks map what it holds. */
#ifndef PILLION_PROCESS_ZONES_H
#define PILLION_PROCESS_ZONES_H

#include <cjson/cJSON.h>

#include "conf/settings.h"

/* Makes those that the settings name and that are not there yet. One of another size is made anew,
 * empty. Master only. False with errors added. */
bool zones_make(const struct settings *settings, struct conf_errors *errors);

/* Lets go of those that the settings, which serve now, do not name. Master only. */
void zones_sweep(const struct settings *settings);

/* Maps those that the settings name. In probes and workers, before descriptors are closed. */
bool zones_map(const struct settings *settings, struct error *error);

/* For an upgrade: the list as JSON and back, and whether the descriptors stay open over exec. */
void zones_write(cJSON *state);
void zones_read(const cJSON *state);
void zones_keep_open(bool keep);

#endif
