/* Results of PostgreSQL as JSON text: row by row as they arrive, and large values in pieces, so
 * that a large result does not hold up other clients. */
#include "value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

#define PIECE    32768u /* bytes of a value that are converted at once */
#define ROW_COST 64     /* the cost of a row beside its values, in bytes */

/* Types of values, by their oids in pg_type, which never change. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802,
};

/* True when the value's text is JSON already. */
static bool is_json(Oid type, const char *value, size_t size)
{
    switch (type) {
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_JSON:
    case OID_JSONB:
        return true;
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        return strspn(value, "0123456789.eE+-") == size; /* no NaN or Infinity */
    default:
        return false;
    }
}

/* Appends a piece of a value. Its encoding is the connection's, UTF-8. False when there is more to
 * do. */
static bool append_text(struct conversion *conversion, const char *value, size_t size, bool json)
{
    struct json_text *text = &conversion->text;
    size_t left = size - conversion->offset, piece = left < PIECE ? left : PIECE;

    if (conversion->offset == 0 && json_reserve(text, size + 2) && !json)
        json_append(text, "\"", 1);
    if (json)
        json_append(text, value + conversion->offset, piece);
    else
        json_append_piece(text, value + conversion->offset, piece);
    conversion->offset += piece;
    if (conversion->offset < size && text->failed == NULL)
        return false;
    if (!json)
        json_append(text, "\"", 1);
    conversion->offset = 0;
    return true;
}

/* Appends the row's next value. False when there is more to do. */
static bool append_value(struct conversion *conversion, long *budget)
{
    const PGresult *row = conversion->row;
    const char *value = PQgetvalue(row, 0, conversion->column);
    size_t size = (size_t)PQgetlength(row, 0, conversion->column);
    Oid type = PQftype(row, conversion->column);

    *budget -= (long)(size < PIECE ? size : PIECE);
    if (PQgetisnull(row, 0, conversion->column))
        json_append(&conversion->text, "null", 4);
    else if (type == OID_BOOL)
        json_append(&conversion->text, *value == 't' ? "true" : "false", *value == 't' ? 4 : 5);
    else
        return append_text(conversion, value, size, is_json(type, value, size));
    return true;
}

/* How many of the row's values belong in the reply. */
static int columns_wanted(const struct conversion *conversion, enum returns returns)
{
    int columns = PQnfields(conversion->row);

    switch (returns) {
    case RETURNS_ROWS:
        return columns;
    case RETURNS_ROW:
        return conversion->rows == 1 ? columns : 0;
    case RETURNS_VALUE:
        return conversion->rows == 1 && columns > 0;
    default:
        return 0;
    }
}

static void append_name(struct conversion *conversion)
{
    const char *name = PQfname(conversion->row, conversion->column);

    json_append(&conversion->text, conversion->column == 0 ? "{" : ",", 1);
    json_append_string(&conversion->text, name, strlen(name));
    json_append(&conversion->text, ":", 1);
}

void conversion_take(struct conversion *conversion, PGresult *row)
{
    conversion->row = row;
    conversion->column = 0;
    conversion->offset = 0;
    conversion->rows++;
}

bool conversion_step(struct conversion *conversion, enum returns returns, long *budget)
{
    struct json_text *text = &conversion->text;

    if (conversion->row == NULL)
        return true;
    if (*budget <= 0)
        return false;
    int wanted = columns_wanted(conversion, returns);
    bool object = returns == RETURNS_ROWS || (returns == RETURNS_ROW && conversion->rows == 1);
    if (returns == RETURNS_ROWS && conversion->column == 0 && conversion->offset == 0)
        json_append(text, conversion->rows == 1 ? "[" : ",", 1);
    while (conversion->column < wanted && text->failed == NULL) {
        if (object && conversion->offset == 0)
            append_name(conversion);
        conversion->column += append_value(conversion, budget);
        if (conversion->column < wanted && *budget <= 0)
            return false;
    }
    if (object)
        json_append(text, wanted == 0 ? "{}" : "}", wanted == 0 ? 2 : 1);
    *budget -= ROW_COST;
    PQclear(conversion->row);
    conversion->row = NULL;
    if (text->failed != NULL) { /* it stays failed: skip the rest */
        free(text->data);
        text->data = NULL;
        text->size = text->capacity = 0;
    }
    return true;
}

void conversion_free(struct conversion *conversion)
{
    PQclear(conversion->row);
    free(conversion->text.data);
}

/* Appends what follows the rows, or stands in their place. */
static void append_end(struct conversion *conversion, const PGresult *last, enum returns returns)
{
    struct json_text *text = &conversion->text;
    const char *affected = PQcmdTuples((PGresult *)(uintptr_t)last);

    if (returns == RETURNS_COUNT)
        json_append(text, *affected == '\0' ? "0" : affected,
                    *affected == '\0' ? 1 : strlen(affected));
    else if (returns == RETURNS_ROWS)
        json_append(text, conversion->rows == 0 ? "[]" : "]", conversion->rows == 0 ? 2 : 1);
    else if (text->size == 0)
        json_append(text, "null", 4);
}

void conversion_reply(pillion_request *req, struct conversion *conversion, const PGresult *last,
                      enum returns returns)
{
    const struct json_text *text = &conversion->text;
    const char *twice = columns_twice(last, returns);

    append_end(conversion, last, returns);
    if (twice != NULL)
        columns_refuse(req, twice);
    else if (text->too_large)
        pillion_fail(req, "postgres_too_large",
                     "the result is larger than %zu bytes (max_reply); the statement was carried "
                     "out",
                     text->limit);
    else if (text->failed != NULL)
        pillion_fail_retry(req, PILLION_OVERLOADED, 0,
                           "%s for the result; the statement was carried out", text->failed);
    else
        pillion_reply_raw(req, "result", (pillion_bytes){text->data, text->size});
}

/* ---- Errors ---- */

const char *columns_twice(const PGresult *result, enum returns returns)
{
    int columns = returns == RETURNS_ROWS || returns == RETURNS_ROW ? PQnfields(result) : 0;

    for (int i = 1; i < columns; i++) {
        const char *name = PQfname(result, i);
        for (int other = 0; other < i; other++) {
            const char *before = PQfname(result, other);
            if (*before == *name && strcmp(before, name) == 0)
                return name;
        }
    }
    return NULL;
}

void columns_refuse(pillion_request *req, const char *name)
{
    pillion_count(pillion_self(req), METRIC_ERRORS, 1);
    pillion_fail(req, "postgres_error",
                 "two columns of the result are called \"%s\", and one object cannot have both: "
                 "the statement gives one another name with AS",
                 name);
}

void value_error(pillion_request *req, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    pillion_count(pillion_self(req), METRIC_ERRORS, 1);
    pillion_fail(req, "postgres_error", "%s: %s", state == NULL ? "?" : state,
                 message == NULL ? PQresultErrorMessage(result) : message);
}
