/* The buffer in which a hook says why it failed. The public header only declares it. */
#ifndef PILLION_MODULE_HOOK_ERROR_H
#define PILLION_MODULE_HOOK_ERROR_H

#include <pillion/module.h>

#include "conf/tree.h"

struct pillion_error_text {
    char text[512];
    char at[64]; /* the directive to point at; "" for none */
};

/* Where that directive is in the block, or `otherwise`. */
const struct conf_place *hook_error_place(const pillion_error_text *error,
                                          const struct conf_statement *block,
                                          const struct conf_place *otherwise);

#endif
