/* The buffer in which a hook says why it failed. The public header only declares it. */
#ifndef PILLION_MODULE_HOOK_ERROR_H
#define PILLION_MODULE_HOOK_ERROR_H

#include <pillion/module.h>

struct pillion_error_text {
    char text[512];
};

#endif
