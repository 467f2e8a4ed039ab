/* Advice to operators whose methods have names that are in the way of something: of a path of HTTP
 * that leads elsewhere, or of agents, which cannot use every name. No error: by every other way the
 * method can be called. */
#ifndef PILLION_PROCESS_NAME_ADVICE_H
#define PILLION_PROCESS_NAME_ADVICE_H

#include "base/bytes.h"
#include "conf/settings.h"

/* Appends a line for each such method. */
void name_advise(const struct settings *settings, struct text *advice);

#endif
