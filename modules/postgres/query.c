/* From `params` and a request's params to the values of a query. */
#include "query.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json_text.h"

#define PARAMS_MAX 1000u

static const struct {
    const char *name;
    const char *is; /* the words for it in errors */
    Oid oid;        /* pg_type */
} types[] = {
    [TYPE_TEXT] = {"text", "a string", 25},
    [TYPE_INT] = {"int", "a whole number of 64 bits", 20},
    [TYPE_FLOAT] = {"float", "a number", 701},
    [TYPE_BOOL] = {"bool", "true or false", 16},
    [TYPE_JSON] = {"json", "JSON", 114},
};
#define TYPES (sizeof(types) / sizeof(*types))

static int read_param(const char *word, struct param *param, pillion_error_text *error)
{
    const char *colon = strchr(word, ':'), *type = colon == NULL ? "text" : colon + 1;
    size_t end = strlen(word), length, size;

    *param = (struct param){0};
    param->optional = end > 0 && word[end - 1] == '?';
    size = colon == NULL ? end - param->optional : (size_t)(colon - word);
    length = colon == NULL ? strlen(type) : strlen(type) - param->optional;
    for (size_t i = 0; i < TYPES; i++) {
        if (strlen(types[i].name) == length && memcmp(types[i].name, type, length) == 0 &&
            size > 0 && memchr(word, '?', size) == NULL) {
            param->type = (enum type)i;
            param->name = strndup(word, size);
            return param->name == NULL ? pillion_error(error, "out of memory") : 0;
        }
    }
    return pillion_error(error,
                         "\"%s\" is no param: it is written name or name:type, with ? behind it "
                         "where it may be missing; types are text, int, float, bool and json",
                         word);
}

/* Requests share connections: a statement that changes a connection for other requests cannot be a
 * method's, nor can a text that is no statement. Returns 0, or as pillion_error. */
static int check_sql(const char *sql, pillion_error_text *error)
{
    static const char *const unfit[] = {"abort",   "begin",   "commit",   "copy",      "deallocate",
                                        "declare", "discard", "end",      "listen",    "prepare",
                                        "release", "reset",   "rollback", "savepoint", "set",
                                        "start",   "unlisten"};
    const char *word = sql + strspn(sql, " \t\r\n(;");
    size_t size = strcspn(word, " \t\r\n(;");

    for (size_t i = 0; i < sizeof(unfit) / sizeof(*unfit); i++) {
        if (strlen(unfit[i]) != size || strncasecmp(word, unfit[i], size) != 0)
            continue;
        const char *next = word + size + strspn(word + size, " \t\r\n");
        if (strcmp(unfit[i], "set") == 0 &&
            (strncasecmp(next, "local ", 6) == 0 || strncasecmp(next, "transaction ", 12) == 0))
            return 0; /* affects only the transaction */
        return pillion_error(error, "%s cannot be a method's: %s", unfit[i],
                             strcmp(unfit[i], "copy") == 0
                                 ? "it is no request with a result"
                                 : "it changes the connection, which all requests share; several "
                                   "statements of one method are one transaction: \"insert …\" "
                                   "\"select …\"");
    }
    if (strcspn(word, " \t\r\n(") == strlen(word))
        return pillion_error(error,
                             "\"%s\" is no SQL statement; the whole statement stands in quotes: "
                             "\"select 1\"",
                             sql);
    return 0;
}

/* True when the statement uses $number. */
static bool uses(const char *sql, size_t number)
{
    char name[24];
    size_t size = (size_t)snprintf(name, sizeof(name), "$%zu", number);

    for (const char *at = sql; (at = strstr(at, name)) != NULL; at += size) {
        if (!isdigit((unsigned char)at[size]))
            return true;
    }
    return false;
}

/* Names a statement by a hash of its text and its params' types. Behind a pooler, a session of the
 * server's has several clients in turn, some perhaps with another version of this configuration: so
 * the same name always means the same statement. Returns 0, or as pillion_error. */
static int name_statement(struct method *method, size_t s, pillion_error_text *error)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char *to = method->names[s];
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    bool good =
        context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(context, method->sql.items[s], strlen(method->sql.items[s]) + 1) == 1 &&
        EVP_DigestUpdate(context, method->types[s], method->param_count * sizeof(Oid)) == 1 &&
        EVP_DigestFinal_ex(context, hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!good)
        return pillion_error(error, "out of memory");
    to += sprintf(to, "pillion_");
    for (size_t i = 0; i < STATEMENT_HASH_SIZE; i++)
        to += sprintf(to, "%02x", hash[i]);
    return 0;
}

int query_read(struct method *method, size_t *next, pillion_error_text *error)
{
    size_t count = method->param_words.count;

    if (count > PARAMS_MAX)
        return pillion_error(error, "there are more than %u params", PARAMS_MAX);
    method->params = calloc(count + 1, sizeof(*method->params));
    method->types = calloc(method->sql.count, sizeof(*method->types));
    method->names = calloc(method->sql.count, sizeof(*method->names));
    if (method->params == NULL || method->types == NULL || method->names == NULL)
        return pillion_error(error, "out of memory");
    for (size_t i = 0; i < method->sql.count; i++) {
        if (check_sql(method->sql.items[i], error) != 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_param(method->param_words.items[i], &method->params[i], error) != 0)
            return -1;
    }
    method->param_count = count;
    /* Params that a statement does not use get a type, because the server cannot infer one. */
    for (size_t s = 0; s < method->sql.count; s++) {
        method->types[s] = calloc(count + 1, sizeof(Oid));
        if (method->types[s] == NULL)
            return pillion_error(error, "out of memory");
        for (size_t i = 0; i < count; i++) {
            if (!uses(method->sql.items[s], i + 1))
                method->types[s][i] = types[method->params[i].type].oid;
        }
    }
    for (size_t i = count + 1; i <= count + 9; i++) {
        for (size_t s = 0; s < method->sql.count; s++) {
            if (uses(method->sql.items[s], i))
                return pillion_error(error, "the statement uses $%zu, and there %s %zu param%s", i,
                                     count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
        }
    }
    for (size_t s = 0; s < method->sql.count; s++) {
        if (name_statement(method, s, error) != 0)
            return -1;
    }
    method->first = *next;
    *next += method->sql.count;
    return 0;
}

static const char *copy(pillion_request *req, pillion_bytes text)
{
    char *to = pillion_alloc(req, text.size + 1);

    if (to == NULL)
        return NULL;
    to[text.size] = '\0';
    return memcpy(to, text.data, text.size);
}

/* The digits of a whole number that a client has written, with or without quotes; leading zeros
 * only in quotes. NULL when it is none. */
static const char *integer_of(pillion_request *req, const cJSON *item, pillion_bytes text)
{
    int64_t value;
    char digits[24];

    if (cJSON_IsString(item)) {
        const char *written = item->valuestring + (*item->valuestring == '-');
        if (*written == '\0' || written[strspn(written, "0123456789")] != '\0')
            return NULL;
        errno = 0;
        value = strtoll(item->valuestring, NULL, 10);
        if (errno != 0)
            return NULL;
    } else if (!pillion_json_integer(text, &value)) {
        return NULL;
    }
    int size = snprintf(digits, sizeof(digits), "%lld", (long long)value);
    return copy(req, (pillion_bytes){digits, (size_t)size});
}

/* The value as the server reads it, or NULL when it is of another type. Numbers and JSON are passed
 * on as the client has written them. */
static const char *value_of(pillion_request *req, const struct param *param, const cJSON *item)
{
    pillion_bytes text = pillion_json_member(pillion_params_raw(req), param->name);

    switch (param->type) {
    case TYPE_TEXT:
        return cJSON_IsString(item) ? item->valuestring : NULL;
    case TYPE_INT:
        return integer_of(req, item, text);
    case TYPE_FLOAT:
        return cJSON_IsNumber(item) ? copy(req, text) : NULL;
    case TYPE_BOOL:
        return cJSON_IsBool(item) ? (cJSON_IsTrue(item) ? "true" : "false") : NULL;
    case TYPE_JSON:
        return copy(req, text);
    }
    return NULL;
}

const char **query_values(pillion_request *req, const struct method *method)
{
    if (json_has_nul(pillion_params_raw(req))) {
        pillion_fail(req, PILLION_INVALID_PARAMS,
                     "params hold \\u0000, which PostgreSQL cannot store");
        return NULL;
    }
    const cJSON *params = pillion_params(req);
    const char **values = pillion_alloc(req, (method->param_count + 1) * sizeof(*values));
    if (params == NULL)
        return NULL; /* cJSON has no memory for them; the request is answered */
    if (values == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < method->param_count; i++) {
        const struct param *param = &method->params[i];
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(params, param->name);
        values[i] = NULL;
        if (item == NULL || (cJSON_IsNull(item) && param->type != TYPE_JSON)) {
            if (param->optional)
                continue; /* SQL's NULL */
            pillion_fail(req, PILLION_INVALID_PARAMS, "\"%s\" is %s in params", param->name,
                         item == NULL ? "missing" : "null");
            return NULL;
        }
        values[i] = value_of(req, param, item);
        if (values[i] == NULL) {
            pillion_fail(req, PILLION_INVALID_PARAMS, "\"%s\" must be %s", param->name,
                         types[param->type].is);
            return NULL;
        }
    }
    return values;
}

void query_trace(struct query *query, const pillion_request *req)
{
    const char *parent = pillion_traceparent(req);
    size_t size = parent == NULL ? 0 : strlen(parent);

    /* The last of the flags: sampled (W3C Trace Context section 3.2.2.5). */
    if (size > 0 && strchr("13579bdf", parent[size - 1]) != NULL)
        snprintf(query->trace, sizeof(query->trace), " /*traceparent='%s'*/", parent);
}
