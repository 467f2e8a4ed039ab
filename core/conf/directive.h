/* Statements against tables of directives: what may be written where, and what becomes of it.
 *
 * A table (conf/table.h) describes the members of one C structure. Applying statements to a
 * structure checks name, place, number of words, type and bounds, stores the value at its offset,
 * and fills in the defaults. The core's own directives, and those of every module, go through here;
 * so does their documentation. */
#ifndef PILLION_CONF_DIRECTIVE_H
#define PILLION_CONF_DIRECTIVE_H

#include "conf/table.h"
#include "conf/value.h"

/* Applies the list of `statements`, found in the block of kind `context`, to `target` by `table`
 * (ended by a NULL name). `where` names the block in errors ("server", "the block of
 * load_module"); `place` is where to point when a required directive is missing, or NULL. Unknown
 * names suggest the nearest known one, and say where a name that is known is allowed; directives
 * written twice point at the second and name the line of the first. Defaults are stored first.
 * A statement that overrides wins over one of a file, and adds to those of a directive that
 * repeats. What is missing is only reported where nothing else is wrong, in the block or in the
 * parsing, that could explain it. True when no error was added. */
bool conf_apply(struct conf_apply *apply, const struct conf_directive *table,
                enum conf_context context, const char *where, const struct conf_place *place,
                const struct conf_statement *statements, void *target);

/* True when the table has a directive of this name for blocks of the kind `context`. */
bool conf_knows(const struct conf_directive *table, enum conf_context context, const char *name);

/* For custom setters. That there are `min` to `max` arguments; false with an error added. */
bool conf_check_words(struct conf_apply *apply, const struct conf_directive *directive,
                      const struct conf_statement *statement, size_t min, size_t max);

/* Where the argument `index` begins a new line, reports the semicolon that is probably missing
 * before it and returns true. */
bool conf_error_semicolon(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, size_t index);

/* The same, and otherwise reports the argument as one that cannot stand there. */
void conf_error_unexpected(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, size_t index);

/* Reports that `what` ("method \"ping\"") at `place` appears twice, and where the first is. */
void conf_error_twice(struct conf_apply *apply, const struct conf_place *place,
                      const struct conf_place *first, const char *what);

/* The arguments as documentation shows them. The directive's own or, where it is derived from the
 * type, in static storage that the next call reuses. */
const char *conf_syntax(const struct conf_directive *directive);

/* Appends the whole directive as one writes it: "pid PATH;", and with an optional block both ways,
 * with `between` in between. */
void conf_written(const struct conf_directive *directive, const char *between, struct text *out);

#endif
