/* Tables of directives: names, contexts, types, bounds and defaults for the members of one C
 * structure. The core has one table (settings_table.c and its .def files), and every module brings
 * its own. directive.h applies them. */
#ifndef PILLION_CONF_TABLE_H
#define PILLION_CONF_TABLE_H

#include <stdint.h>

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
    CONF_FILE,    /* struct conf_file: a path as CONF_PATH, and what the file holds (conf/file.h) */
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
    CONF_IN_MODULE = 8,   /* the block of load_module */
    CONF_IN_FILTER = 16,  /* the block of filter */
    CONF_IN_REGISTRY = 32 /* the block of registry */
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
    const char *summary;      /* one or more sentences: its meaning, its unit, when to change it */
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
    /* For custom setters too, which apply it to the blocks inside; conf_apply sets it. */
    const struct conf_directive *table;

    /* A block may have two readers. Directives that the table `others` has in the same context are
     * left to the other reader; with `leave_unknown`, so are directives that neither table has. */
    const struct conf_directive *others;
    bool leave_unknown;
};

#endif
