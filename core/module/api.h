/* Starting the functions of <pillion/module.h> in this process. */
#ifndef PILLION_MODULE_API_H
#define PILLION_MODULE_API_H

#include "rpc/deferred.h"

/* Call this before any module code runs that may defer. */
void api_start(struct deferreds *all);

#endif
