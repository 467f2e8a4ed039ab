/* From a word to a value of a directive's type. */
#ifndef PILLION_CONF_VALUE_H
#define PILLION_CONF_VALUE_H

#include "base/suggest.h"
#include "conf/table.h"

/* Reads `word` as the type of `directive`, any but LIST and CUSTOM, checks bounds and stores it at
 * `member`. Adds an error, and stores nothing, when it cannot be. */
void value_store(struct conf_apply *apply, const struct conf_directive *directive,
                 const struct conf_word *word, void *member);

/* "; did you mean \"x\"?" when something was near enough, otherwise "". In the tree's pool. */
const char *conf_did_you_mean(struct conf_tree *tree, const struct suggest *suggest);

/* The index of the word in the NULL-terminated `words`, or -1 with an error that begins with
 * `name`, lists them, and suggests. */
int conf_read_enum(struct conf_apply *apply, const char *name, const struct conf_word *word,
                   const char *const *words);

/* For custom setters and modules: read one word. False with an error added. */
bool conf_read_size(struct conf_apply *apply, const struct conf_word *word, uint64_t *size);
bool conf_read_time(struct conf_apply *apply, const struct conf_word *word, uint64_t *ms);
bool conf_read_integer(struct conf_apply *apply, const struct conf_word *word, int64_t *integer);

/* The bounds as an error and the documentation show them: "from 64 to 128m bytes". Appends nothing
 * and returns false when there are none. */
bool conf_bounds(const struct conf_directive *directive, struct text *out);

/* True when "off" may be written instead of a number, and 0 says the same. */
bool conf_nought_is_off(const struct conf_directive *directive);

#endif
