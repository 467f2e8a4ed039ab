/* What the current generation asks of the registry process (master/registry.h), and whether that is
 * what a process was started for. Reads the generation; changes nothing. Master only. */
#ifndef PILLION_MASTER_REGISTRY_ASKED_H
#define PILLION_MASTER_REGISTRY_ASKED_H

#include <stdbool.h>

#include "conf/settings.h"

/* Its block `registry`; NULL where there is none. */
const struct registry_settings *registry_asked(void);

/* Processes are alike when their fingerprints are: what the configuration says of the registry, the
 * files of password and keys as they are on disk, and the offers. The caller frees it. */
char *registry_asked_fingerprint(void);

/* The members of its registry, each with a space behind it; NULL: none. The caller frees it. */
char *registry_asked_urls(void);

/* True when it names none of the members in `urls`, so that a lease there, and the keys under it,
 * are probably unknown to those that it names. */
bool registry_asked_elsewhere(const char *urls);

#endif
