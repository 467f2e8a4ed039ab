/* Applying statements to structures, by tables of directives.
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
 * (ended by a NULL name). `where` names the block in errors ("server", "the block of load_module");
 * `place` is where to point when a required directive is missing, or NULL. An unknown name is
 * answered with the nearest known one, a known name at a wrong place with the places where it is
 * allowed; directives written twice point at the second and name the line of the first. Defaults
 * are stored first. A statement that overrides replaces one of a file, or is added to them if the
 * directive repeats. A missing directive is reported only when the block and the parsing have no
 * other error that could explain it. True when no error was added. */
bool conf_apply(struct conf_apply *apply, const struct conf_directive *table,
                enum conf_context context, const char *where, const struct conf_place *place,
                const struct conf_statement *statements, void *target);

/* True when the table has a directive of this name for blocks of the kind `context`. */
bool conf_knows(const struct conf_directive *table, enum conf_context context, const char *name);

/* For custom setters. True when there are `min` to `max` arguments; otherwise an error is added. */
bool conf_check_words(struct conf_apply *apply, const struct conf_directive *directive,
                      const struct conf_statement *statement, size_t min, size_t max);

/* Where the argument `index` begins a new line, reports the semicolon that is probably missing
 * before it and returns true. */
bool conf_error_semicolon(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, size_t index);

/* The same, but if no semicolon seems to be missing, reports the argument as unexpected. */
void conf_error_unexpected(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, size_t index);

/* Reports that `what` ("method \"ping\"") at `place` appears twice, and where the first is. */
void conf_error_twice(struct conf_apply *apply, const struct conf_place *place,
                      const struct conf_place *first, const char *what);

/* The arguments as documentation shows them. The directive's own or, where it is derived from the
 * type, in static storage that the next call reuses. */
const char *conf_syntax(const struct conf_directive *directive);

/* Appends the whole directive as it is written: "pid PATH;". One with an optional block appears in
 * both forms, with `between` between them. */
void conf_written(const struct conf_directive *directive, const char *between, struct text *out);

#endif
