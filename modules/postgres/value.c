/* Results of PostgreSQL as JSON text. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows. `failed` once memory ran out. */
struct text {
    char *data;
    size_t size, capacity;
    bool failed;
};

static void append(struct text *text, const char *data, size_t size)
{
    if (text->failed)
        return;
    if (text->size + size > text->capacity) {
        size_t capacity = (text->size + size) * 2 + 256;
        char *grown = realloc(text->data, capacity);
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

/* The connection's encoding is UTF-8, so strings are too. */
static void append_string(struct text *text, const char *data, size_t size)
{
    size_t plain = 0;

    append(text, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        char escaped[8];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        append(text, data + plain, i - plain);
        append(text, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
        plain = i + 1;
    }
    append(text, data + plain, size - plain);
    append(text, "\"", 1);
}

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

static void append_value(struct text *text, const PGresult *result, int row, int column)
{
    const char *value = PQgetvalue(result, row, column);
    size_t size = (size_t)PQgetlength(result, row, column);

    if (PQgetisnull(result, row, column)) {
        append(text, "null", 4);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        append(text, *value == 't' ? "true" : "false", *value == 't' ? 4 : 5);
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_JSON:
    case OID_JSONB:
        append(text, value, size);
        break;
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        if (strspn(value, "0123456789.eE+-") == size) /* not NaN, not Infinity */
            append(text, value, size);
        else
            append_string(text, value, size);
        break;
    default:
        append_string(text, value, size);
        break;
    }
}

static void append_row(struct text *text, const PGresult *result, int row)
{
    append(text, "{", 1);
    for (int column = 0; column < PQnfields(result); column++) {
        const char *name = PQfname(result, column);
        append(text, ",", column > 0);
        append_string(text, name, strlen(name));
        append(text, ":", 1);
        append_value(text, result, row, column);
    }
    append(text, "}", 1);
}

static void append_result(struct text *text, const PGresult *result, enum returns returns)
{
    int rows = PQntuples(result);
    const char *affected = PQcmdTuples((PGresult *)(uintptr_t)result);

    switch (returns) {
    case RETURNS_ROWS:
        append(text, "[", 1);
        for (int row = 0; row < rows; row++) {
            append(text, ",", row > 0);
            append_row(text, result, row);
        }
        append(text, "]", 1);
        return;
    case RETURNS_ROW:
        if (rows > 0)
            append_row(text, result, 0);
        else
            append(text, "null", 4);
        return;
    case RETURNS_VALUE:
        if (rows > 0 && PQnfields(result) > 0)
            append_value(text, result, 0, 0);
        else
            append(text, "null", 4);
        return;
    case RETURNS_COUNT:
        append(text, *affected == '\0' ? "0" : affected, *affected == '\0' ? 1 : strlen(affected));
        return;
    case RETURNS_NOTHING:
        append(text, "null", 4);
        return;
    }
}

void value_reply(pillion_request *req, const PGresult *result, enum returns returns)
{
    struct text text = {0};

    append_result(&text, result, returns);
    if (text.failed)
        pillion_fail(req, PILLION_OVERLOADED, "out of memory for the result");
    else
        pillion_reply_raw(req, "result", (pillion_bytes){text.data, text.size});
    free(text.data);
}

void value_error(pillion_request *req, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    pillion_fail(req, "postgres_error", "%s: %s", state == NULL ? "?" : state,
                 message == NULL ? PQresultErrorMessage(result) : message);
}
