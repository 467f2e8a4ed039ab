/* The postgres module's parts: postgres.c (directives and methods), query.c and integer.c (from
 * params to the values of a query), pool.c, connection.c, call.c, result.c and cancel.c
 * (connections to the server, and the statements sent over them) and value.c (from results to
 * JSON). */
#ifndef POSTGRES_H
#define POSTGRES_H

#include <libpq-fe.h>
#include <pillion/module.h>

#include "../json_text.h"

/* The block of load_module. */
struct settings {
    const char *conninfo;
    int64_t connections;
    uint64_t timeout_ms;
    int64_t pipeline;
    int64_t max_pending;
    uint64_t max_unsent, max_reply;
    bool prepare;
};

/* The rows of the table of metrics. */
enum metric {
    METRIC_QUERIES,
    METRIC_ERRORS,
    METRIC_UNAVAILABLE,
    METRIC_CONNECTED,
    METRIC_CANCELLED,
};

/* ---- query.c ---- */

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

/* A request's statements and values. */
struct query {
    struct method *method;
    const char *const *values; /* in the request's memory */
    uint64_t due_ms;           /* when its request is answered `timeout` */
    bool retried;              /* it has been sent before and had no effect */
    bool unnamed;              /* run it without prepared statements */
};

/* ---- integer.c ---- */

#define INTEGER_TEXT_MAX 24

/* Writes a JSON number without fraction and exponent. False when it is not whole, or has more than
 * 64 bits. */
bool integer_text(pillion_bytes number, char text[INTEGER_TEXT_MAX]);

/* ---- pool.c ---- */

struct pool;

/* Connects as soon as the loop runs. NULL with the reason. */
struct pool *pool_open(pillion_instance *self, const struct settings *settings,
                       pillion_error_text *error);
void pool_close(struct pool *pool);

/* Sends the method's statements, as one transaction, and defers the request; or answers it with an
 * error. The request waits while all connections are busy, and while the first ones are being
 * opened; `values` are in the request's memory. */
void pool_send(struct pool *pool, pillion_request *req, struct method *method,
               const char *const *values);

/* ---- value.c ---- */

/* A result on its way into JSON, row by row, in turns. Starts as {.text.limit = …}. */
struct conversion {
    struct json_text text;
    PGresult *row; /* the row that is converted now, or NULL */
    int column;    /* the row's next value, and how far it is converted */
    size_t offset;
    size_t rows; /* number of rows so far */
};

/* Takes over the next row of a result. */
void conversion_take(struct conversion *conversion, PGresult *row);

/* Goes on converting the row, and takes the work from `budget`. False when the budget is used up
 * first. */
bool conversion_step(struct conversion *conversion, enum returns returns, long *budget);

void conversion_free(struct conversion *conversion);

/* Answers the request. `last` is the result that follows the statement's rows. */
void conversion_reply(pillion_request *req, struct conversion *conversion, const PGresult *last,
                      enum returns returns);

/* The name that two columns share, which cannot both be members of one object; or NULL. */
const char *columns_twice(const PGresult *result, enum returns returns);

/* Answers a request whose result has two columns called `name` with an error. */
void columns_refuse(pillion_request *req, const char *name);

/* Answers the request `postgres_error`, with the server's message. */
void value_error(pillion_request *req, const PGresult *result);

#endif
