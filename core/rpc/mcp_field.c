/* Fields of MCP's requests. See mcp_field.h. */
#include "rpc/mcp_field.h"

#include <string.h>

#include "wire/base64.h"
#include "wire/envelope.h"
#include "wire/http.h"
#include "wire/number.h"

#define MARK      "x-mcp-header"
#define PREFIX    "mcp-param-"
#define FIELD_MAX 128u /* of what comes behind the prefix */
#define DEPTH_MAX 16u  /* of properties within properties */

bool mcp_field_is(struct bytes field, struct bytes text, struct pool *pool)
{
    static const char start[] = "=?base64?", end[] = "?=";
    const size_t start_size = sizeof(start) - 1, end_size = sizeof(end) - 1;

    if (field.data == NULL || text.data == NULL)
        return false;
    if (field.size < start_size + end_size || memcmp(field.data, start, start_size) != 0 ||
        memcmp(field.data + field.size - end_size, end, end_size) != 0)
        return bytes_equal(field, text);
    struct bytes code = {field.data + start_size, field.size - start_size - end_size};
    char *room = pool_alloc(pool, BASE64_DECODED(code.size));
    long size = room == NULL ? -1 : base64_decode(code, room);
    return size >= 0 && bytes_equal((struct bytes){room, (size_t)size}, text);
}

/* ---- Params ---- */

/* What is compared. */
struct mirror {
    struct bytes fields;
    struct pool *pool;
    struct bytes *wrong;
};

bool mcp_schema_has_fields(const char *schema)
{
    return schema != NULL && strstr(schema, "\"" MARK "\"") != NULL;
}

static bool is_number(struct bytes text)
{
    return text.size > 0 && (*text.data == '-' || (*text.data >= '0' && *text.data <= '9'));
}

/* 1000 and 1e3 are the same number. The field's text may be anything, the param's is JSON. */
static bool same_number(struct bytes field, struct bytes param)
{
    const struct json_limits limits = {.depth = 1, .values = 1};
    struct json_error error;
    int64_t one, other;

    return is_number(field) && is_number(param) && json_check(field, &limits, &error) &&
           number_integer(field, &one) == NUMBER_WHOLE &&
           number_integer(param, &other) == NUMBER_WHOLE && one == other;
}

/* The param's text, without quotes and escapes; data NULL without memory for it. */
static struct bytes param_text(const struct mirror *mirror, struct bytes param)
{
    if (*param.data != '"')
        return param;
    char *room = pool_alloc(mirror->pool, param.size);
    long size = room == NULL ? -1 : json_string_text(param, room, param.size);
    return size < 0 ? (struct bytes){NULL, 0} : (struct bytes){room, (size_t)size};
}

/* `mark`: the value of x-mcp-header. A name that is none counts as if it was not there: no client
 * uses such a tool. */
static bool param_is(const struct mirror *mirror, struct bytes mark, struct bytes param)
{
    char name[sizeof(PREFIX) + FIELD_MAX] = PREFIX;
    char *own = name + sizeof(PREFIX) - 1;
    long size =
        mark.data == NULL || *mark.data != '"' ? -1 : json_string_text(mark, own, FIELD_MAX);

    if (size <= 0)
        return true;
    struct bytes given = param_text(mirror, (struct bytes){mark.data, mark.size});
    own[size] = '\0';
    for (char *c = own; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    struct bytes field = http_find(mirror->fields, name);
    if (param.data == NULL || bytes_equal(param, BYTES("null"))) {
        if (field.data == NULL)
            return true;
    } else if (mcp_field_is(field, param_text(mirror, param), mirror->pool) ||
               (field.data != NULL && same_number(field, param))) {
        return true;
    }
    *mirror->wrong = given;
    return false;
}

static struct bytes member_called(struct bytes object, struct bytes quoted)
{
    char name[METHOD_NAME_MAX];
    long size = object.data == NULL || *object.data != '{'
                    ? -1
                    : json_string_text(quoted, name, sizeof(name));

    return size < 0 ? (struct bytes){NULL, 0}
                    : envelope_member(object, (struct bytes){name, (size_t)size});
}

static bool properties_are(const struct mirror *mirror, struct bytes schema, struct bytes value,
                           unsigned depth)
{
    struct bytes properties = envelope_member(schema, BYTES("properties")), name, property;
    size_t at = 0;

    if (properties.data == NULL || *properties.data != '{' || depth == DEPTH_MAX)
        return true;
    while (envelope_next_member(properties, &at, &name, &property)) {
        if (*property.data != '{')
            continue;
        struct bytes param = member_called(value, name);
        if (!param_is(mirror, envelope_member(property, BYTES(MARK)), param) ||
            !properties_are(mirror, property, param, depth + 1))
            return false;
    }
    return true;
}

bool mcp_params_are(struct bytes fields, struct bytes schema, struct bytes arguments,
                    struct pool *pool, struct bytes *wrong)
{
    const struct mirror mirror = {.fields = fields, .pool = pool, .wrong = wrong};

    return properties_are(&mirror, schema, arguments, 0);
}
