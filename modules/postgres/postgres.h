/* The postgres module's parts: postgres.c (directives and methods), query.c (from params to the
 * values of a query), pool.c and connection.c (connections to the server) and value.c (from results
 * to JSON). */
#ifndef POSTGRES_H
#define POSTGRES_H

#include <libpq-fe.h>
#include <pillion/module.h>

/* The block of load_module. */
struct settings {
    const char *conninfo;
    int64_t connections;
    uint64_t timeout_ms;
    int64_t max_pending;
    uint64_t max_unsent;
};

/* The rows of the table of metrics. */
enum metric { METRIC_QUERIES, METRIC_ERRORS, METRIC_UNAVAILABLE, METRIC_CONNECTED };

/* ---- query.c ---- */

enum type { TYPE_TEXT, TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_JSON };

/* A word of `params`: name, name:type or name:type? */
struct param {
    const char *name;
    enum type type;
    bool optional;
};

enum returns { RETURNS_ROWS, RETURNS_ROW, RETURNS_VALUE, RETURNS_COUNT, RETURNS_NOTHING };

/* The block of a `method` statement. */
struct method {
    pillion_list sql, param_words;
    int returns;

    struct param *params;
    size_t param_count;
    Oid **types;  /* of each statement's params: 0 lets the server infer */
    size_t first; /* number of its first statement among all of the module's */
};

/* Reads `params`, and numbers the statements from *next on. Returns 0, or as pillion_error. */
int query_read(struct method *method, size_t *next, pillion_error_text *error);

/* The values of a request's params, as text, in the request's memory. NULL when the request is
 * answered, with `invalid_params`. */
const char **query_values(pillion_request *req, const struct method *method);

/* ---- pool.c ---- */

struct pool;

/* Connects as soon as the loop runs. NULL with the reason. */
struct pool *pool_open(pillion_instance *self, const struct settings *settings,
                       pillion_error_text *error);
void pool_close(struct pool *pool);

/* Sends the method's statements, as one transaction, and defers the request; or answers it with an
 * error. The result of the last statement goes to value_reply. While the first connections are
 * being opened, it waits for one; `values` are in the request's memory. */
void pool_send(struct pool *pool, pillion_request *req, const struct method *method,
               const char *const *values);

/* ---- value.c ---- */

/* Answers the request with the result of a statement. */
void value_reply(pillion_request *req, const PGresult *result, enum returns returns);

/* Answers it with an error of the server's: `postgres_error`. */
void value_error(pillion_request *req, const PGresult *result);

#endif
