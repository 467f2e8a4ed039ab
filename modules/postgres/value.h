/* Results of PostgreSQL as JSON text. */
#ifndef POSTGRES_VALUE_H
#define POSTGRES_VALUE_H

#include <libpq-fe.h>
#include <pillion/module.h>

#include "../json_text.h"
#include "query.h"

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
