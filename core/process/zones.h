/* The zones of a server: made when a configuration names them, and kept as long as the
 * configuration in use does.
 *
 * The master keeps the list; processes that it forks map the zones in it. Zones with a file are
 * opened when a configuration first names the file, and stay open and locked as long as it does. */
#ifndef PILLION_PROCESS_ZONES_H
#define PILLION_PROCESS_ZONES_H

#include <cjson/cJSON.h>

#include "conf/settings.h"

/* Makes the zones that the settings name and that do not exist yet. A zone whose size or file has
 * changed is made anew: empty, or with what its file has. Master only. False with errors added. */
bool zones_make(const struct settings *settings, struct conf_errors *errors);

/* From now on zones_make makes all zones in memory, and only looks at files: for `pillion -t`. */
void zones_rehearse(void);

/* Drops the zones that the settings, which serve now, do not name. Master only. */
void zones_sweep(const struct settings *settings);

/* Mends the files that were cut, or have grown, under the server: otherwise no worker that starts
 * could map them. Master only, before each start of a process that maps them. */
bool zones_mend(struct error *error);

/* Maps the zones that the settings name. Probes and workers call it before they close
 * descriptors. */
bool zones_map(const struct settings *settings, struct error *error);

/* For an upgrade: the list as JSON and back, and whether the descriptors stay open over exec. */
void zones_write(cJSON *state);
void zones_read(const cJSON *state);
void zones_keep_open(bool keep);

#endif
