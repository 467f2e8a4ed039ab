/* Methods by their statements and params in the configuration, and the values that a request has
 * for the params. */
#ifndef POSTGRES_QUERY_H
#define POSTGRES_QUERY_H

#include <libpq-fe.h>
#include <pillion/module.h>

enum type { TYPE_TEXT, TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_JSON };

/* A word of `params`: name, name:type or name:type? */
struct param {
    const char *name;
    enum type type;
    bool optional;
};

enum returns { RETURNS_ROWS, RETURNS_ROW, RETURNS_VALUE, RETURNS_COUNT, RETURNS_NOTHING };

#define STATEMENT_HASH_SIZE 20
#define STATEMENT_NAME_SIZE (sizeof("pillion_") + STATEMENT_HASH_SIZE * 2) /* NAMEDATALEN is 64 */

/* The block of a `method` statement. */
struct method {
    pillion_list sql, param_words;
    int returns;

    struct param *params;
    size_t param_count;
    Oid **types; /* by statement and param; 0 lets the server infer the type */
    char (*names)[STATEMENT_NAME_SIZE]; /* by statement: its name when it is prepared */
    size_t first;                       /* number of its first statement among the module's */

    /* This worker's experience with it. */
    unsigned quick; /* how often in a row it was quick, up to a limit */
    bool described; /* its columns are known to be fit; only with `prepare off` */
};

/* Reads `params`, and numbers the statements from *next on. Returns 0, or as pillion_error. */
int query_read(struct method *method, size_t *next, pillion_error_text *error);

/* The values of a request's params, as text, in the request's memory. NULL when the request is
 * answered, with `invalid_params`. */
const char **query_values(pillion_request *req, const struct method *method);

#define QUERY_TRACE_SIZE 80 /* of a comment with a `traceparent` */

/* A request's statements and values. */
struct query {
    struct method *method;
    const char *const *values;    /* in the request's memory */
    uint64_t due_ms;              /* when its request is answered `timeout` */
    bool retried;                 /* it has been sent before and had no effect */
    bool unnamed;                 /* run it without prepared statements */
    char trace[QUERY_TRACE_SIZE]; /* the comment to be sent behind each statement; or "" */
};

/* Sets `trace`, if the request's trace is recorded. */
void query_trace(struct query *query, const pillion_request *req);

#endif
