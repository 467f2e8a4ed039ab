/* From a word to a value of a directive's type. Only directive.c uses this file; the functions that
 * others may call are in directive.h. */
#ifndef PILLION_CONF_VALUE_H
#define PILLION_CONF_VALUE_H

#include "conf/directive.h"

/* Reads `word` as the type of `directive`, any but LIST and CUSTOM, checks bounds and stores it at
 * `member`. Adds an error, and stores nothing, when it cannot be. */
void value_store(struct conf_apply *apply, const struct conf_directive *directive,
                 const struct conf_word *word, void *member);

#endif
