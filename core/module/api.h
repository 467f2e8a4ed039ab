/* What the functions of <pillion/module.h> work on in this process. */
#ifndef PILLION_MODULE_API_H
#define PILLION_MODULE_API_H

#include "rpc/deferred.h"

/* Before any module's code runs that may defer. */
void api_start(struct deferreds *all);

#endif
