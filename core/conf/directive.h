/* Tables of directives: what may be written where, and what becomes of it.
 *
 * A table describes the members of one C structure. Applying statements to a structure checks
 * name, place, number of words, type and bounds, stores the value at its offset, and fills in the
 * defaults. The core's own directives, and those of every module, go through here; so does their
 * documentation. */
#ifndef PILLION_CONF_DIRECTIVE_H
#define PILLION_CONF_DIRECTIVE_H

#include <stdint.h>

#include "base/suggest.h"
#include "conf/tree.h"

enum conf_type {
    CONF_FLAG,    /* bool: on | off */
    CONF_INTEGER, /* int64_t: decimal, with a sign */
    CONF_SIZE,    /* uint64_t bytes: 512, 16k, 1m, 2g (powers of 1024) */
    CONF_TIME,    /* uint64_t milliseconds: 200ms, 5s, 1m, 2h, 1d, sums such as 1m30s; a bare number
                     is seconds */
    CONF_STRING,  /* const char *, in the tree's pool */
    CONF_PATH,    /* const char *: as CONF_STRING, made absolute with the prefix */
    CONF_ENUM,    /* int: the index in `words` */
    CONF_LIST,    /* struct conf_list: one or more words; written again, it goes on */
    CONF_CUSTOM   /* `set` does everything, blocks included */
};

struct conf_list {
    const char **items;
    size_t count;
};

/* The kinds of block, as bits, for `contexts`. */
enum conf_context {
    CONF_IN_MAIN = 1,
    CONF_IN_SERVER = 2,
    CONF_IN_METHOD = 4,
    CONF_IN_MODULE = 8, /* the block of load_module */
    CONF_IN_FILTER = 16 /* the block of filter */
};

struct conf_apply;
struct conf_directive;

/* Reads the statement into `target`, reporting to apply->errors. */
typedef void (*conf_setter)(struct conf_apply *apply, const struct conf_directive *directive,
                            const struct conf_statement *statement, void *target);

struct conf_directive {
    const char *name;
    unsigned contexts; /* of enum conf_context */
    enum conf_type type;
    size_t offset;            /* of the member in the target */
    const char *fallback;     /* the default, as it would be written; NULL: none (zero) */
    int64_t min, max;         /* INTEGER, SIZE, TIME: inclusive bounds; both 0: none (still >= 0 for
                                 SIZE and TIME) */
    const char *const *words; /* NULL-terminated. ENUM: its words. INTEGER, SIZE, TIME: words[0], if
                                 any, may be written instead of a number and stores 0; where it is
                                 "off", a plain 0 says the same */
    const char *syntax;       /* the arguments as documentation shows them: "ADDRESS [backlog=N]";
                                 a block is "{ … }", an optional one "[{ … }]" at the end; NULL:
                                 derived from the type */
    const char *summary;      /* one or more sentences; what, unit, when to change it */
    conf_setter set;          /* CUSTOM */
    bool repeats;             /* may be written more than once in one block */
    bool block;               /* CUSTOM: takes a block, needed or optional; the setter checks */
    bool required;            /* an error when it is missing from its block */
    bool any_module; /* CUSTOM, repeats: the name's "MODULE" stands for that of any module */
};

#define CONF_ANY_MODULE "MODULE" /* how such a name begins */

/* Where values and errors go while statements are applied. */
struct conf_apply {
    struct conf_tree *tree;
    struct conf_errors *errors;
    void *context; /* for custom setters */

    /* A block may have two readers: what `others` knows in the same context is left to the one
     * whose table that is, and with `leave_unknown` what nobody knows is left too. */
    const struct conf_directive *others;
    bool leave_unknown;
};

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

/* The arguments as documentation shows them. The directive's own or, where it is derived from the
 * type, in static storage that the next call reuses. */
const char *conf_syntax(const struct conf_directive *directive);

/* Appends the whole directive as one writes it: "pid PATH;", and with an optional block both ways,
 * with `between` in between. */
void conf_written(const struct conf_directive *directive, const char *between, struct text *out);

/* The bounds as an error and the documentation show them: "from 64 to 128m bytes". Appends nothing
 * and returns false when there are none. */
bool conf_bounds(const struct conf_directive *directive, struct text *out);

#endif
