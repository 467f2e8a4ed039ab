/* Where functions of <pillion/module.h> may be called. For the files that have them. */
#ifndef PILLION_MODULE_API_LOOP_H
#define PILLION_MODULE_API_LOOP_H

#include "rpc/offload.h"

/* True on the loop's thread. Functions that take a request, a token or a handle may be called only
 * there, since a handler's request is on the loop's stack: on other threads they do nothing, return
 * nothing, and are logged. */
static inline bool on_loop(const char *function)
{
    return offload_loop_thread || offload_on_loop(function);
}

#endif
