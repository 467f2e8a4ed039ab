/* A trial: a child of this process reads what a candidate configuration names, so that neither
 * secrets nor what a library makes of them are ever in this process's memory. */
#ifndef PILLION_PROCESS_TRIAL_H
#define PILLION_PROCESS_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Reads what `subject` names, in the child. True with a number for the caller in `found`, or false
 * with the reason. */
typedef bool (*trial_reader)(const void *subject, int64_t *found, struct error *error);

/* Has a child read `what`, "the certificates", within `limit_ms`, and waits for its word. `found`
 * (or NULL) takes the number. False with the reason. The child is gone in any case. */
bool trial_run(trial_reader reader, const void *subject, const char *what, uint64_t limit_ms,
               int64_t *found, struct error *error);

#endif
