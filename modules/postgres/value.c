/* Results of PostgreSQL as JSON text. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json_text.h"

/* What is told of a value's type: pg_type's oids never change. */
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

static void append_value(struct json_text *text, const PGresult *result, int row, int column)
{
    const char *value = PQgetvalue(result, row, column);
    size_t size = (size_t)PQgetlength(result, row, column);

    if (PQgetisnull(result, row, column)) {
        json_append(text, "null", 4);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        json_append(text, *value == 't' ? "true" : "false", *value == 't' ? 4 : 5);
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_JSON:
    case OID_JSONB:
        json_append(text, value, size);
        break;
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        if (strspn(value, "0123456789.eE+-") == size) /* not NaN, not Infinity */
            json_append(text, value, size);
        else
            json_append_string(text, value, size);
        break;
    default: /* the connection's encoding is UTF-8 */
        json_append_string(text, value, size);
        break;
    }
}

static void append_row(struct json_text *text, const PGresult *result, int row)
{
    json_append(text, "{", 1);
    for (int column = 0; column < PQnfields(result); column++) {
        const char *name = PQfname(result, column);
        json_append(text, ",", column > 0);
        json_append_string(text, name, strlen(name));
        json_append(text, ":", 1);
        append_value(text, result, row, column);
    }
    json_append(text, "}", 1);
}

static void append_result(struct json_text *text, const PGresult *result, enum returns returns)
{
    int rows = PQntuples(result);
    const char *affected = PQcmdTuples((PGresult *)(uintptr_t)result);

    switch (returns) {
    case RETURNS_ROWS:
        json_append(text, "[", 1);
        for (int row = 0; row < rows; row++) {
            json_append(text, ",", row > 0);
            append_row(text, result, row);
        }
        json_append(text, "]", 1);
        return;
    case RETURNS_ROW:
        if (rows > 0)
            append_row(text, result, 0);
        else
            json_append(text, "null", 4);
        return;
    case RETURNS_VALUE:
        if (rows > 0 && PQnfields(result) > 0)
            append_value(text, result, 0, 0);
        else
            json_append(text, "null", 4);
        return;
    case RETURNS_COUNT:
        json_append(text, *affected == '\0' ? "0" : affected,
                    *affected == '\0' ? 1 : strlen(affected));
        return;
    case RETURNS_NOTHING:
        json_append(text, "null", 4);
        return;
    }
}

void value_reply(pillion_request *req, const PGresult *result, enum returns returns)
{
    struct json_text text = {0};

    append_result(&text, result, returns);
    if (text.failed != NULL)
        pillion_fail(req, PILLION_OVERLOADED, "out of memory for the result");
    else
        pillion_reply_raw(req, "result", (pillion_bytes){text.data, text.size});
    free(text.data);
}

void value_error(pillion_request *req, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    pillion_count(pillion_self(req), METRIC_ERRORS, 1);
    pillion_fail(req, "postgres_error", "%s: %s", state == NULL ? "?" : state,
                 message == NULL ? PQresultErrorMessage(result) : message);
}
