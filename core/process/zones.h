/* The zones of a server: made when a configuration names them, and kept as long as the
 * configuration in use does.
 *
 * The master keeps the list; processes that it forks map the zones in it. */
#ifndef PILLION_PROCESS_ZONES_H
#define PILLION_PROCESS_ZONES_H

#include <cjson/cJSON.h>

#include "conf/settings.h"

/* Makes the zones that the settings name and that do not exist yet. A zone whose size has changed
 * is made anew, empty. Master only. False with errors added. */
bool zones_make(const struct settings *settings, struct conf_errors *errors);

/* Drops the zones that the settings, which serve now, do not name. Master only. */
void zones_sweep(const struct settings *settings);

/* Maps the zones that the settings name. Probes and workers call it before they close
 * descriptors. */
bool zones_map(const struct settings *settings, struct error *error);

/* For an upgrade: the list as JSON and back, and whether the descriptors stay open over exec. */
void zones_write(cJSON *state);
void zones_read(const cJSON *state);
void zones_keep_open(bool keep);

#endif
