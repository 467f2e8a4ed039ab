/* What a configuration declares of a method. See declared.h. */
#include "module/declared.h"

#include <stddef.h>

#include "base/suggest.h"
#include "module/descriptor.h"
#include "rpc/schema.h"
#include "wire/envelope.h"
#include "wire/json_read.h"

/* The memory that a schema may have which is not the operator's: strangers have written it into a
 * registry, and a few bytes of a text can ask for thousands. */
#define HELD_TIMES 48u
#define HELD_MORE  (256u << 10)

enum kind { KIND_TEXT, KIND_SCHEMA, KIND_FLAG };

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
} rows[] = {
    {"summary", KIND_TEXT, offsetof(struct declared, summary)},
    {"title", KIND_TEXT, offsetof(struct declared, title)},
    {"params", KIND_SCHEMA, offsetof(struct declared, params)},
    {"result", KIND_SCHEMA, offsetof(struct declared, result)},
    {"idempotent", KIND_FLAG, offsetof(struct declared, idempotent)},
    {"read_only", KIND_FLAG, offsetof(struct declared, read_only)},
    {"additive", KIND_FLAG, offsetof(struct declared, additive)},
};

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* ---- Values ---- */

static const char *read_text(const struct row *row, struct bytes value, struct pool *pool,
                             struct error *error)
{
    char *text = pool_must_zalloc(pool, value.size + 1);
    long size = json_string_text(value, text, value.size);

    if (size >= 0 && strlen(text) == (size_t)size && descriptor_text_is_line(text))
        return text;
    error_set(error, "\"%s\" is no string of one line", row->name);
    return NULL;
}

static const char *read_schema(const struct row *row, struct bytes value, bool lenient,
                               struct pool *pool, struct error *error)
{
    struct schema *schema = schema_make(value, error);

    if (schema == NULL) {
        error_prefix(error, "\"%s\" is no schema that can be enforced", row->name);
        return NULL;
    }
    size_t held = schema_held(schema);
    schema_free(schema);
    if (lenient && held > HELD_TIMES * value.size + HELD_MORE) {
        error_set(error, "\"%s\" takes %zu bytes of memory, which is too much for a text of %zu",
                  row->name, held, value.size);
        return NULL;
    }
    return pool_must_strndup(pool, value.data, value.size);
}

static const bool *read_flag(const struct row *row, struct bytes value, struct error *error)
{
    static const bool values[] = {false, true};
    bool is_true = bytes_equal(value, BYTES("true"));

    if (is_true || bytes_equal(value, BYTES("false")))
        return &values[is_true];
    error_set(error, "\"%s\" is true or false", row->name);
    return NULL;
}

static bool read_value(const struct row *row, struct bytes value, bool lenient, struct pool *pool,
                       struct declared *to, struct error *error)
{
    void *member = (char *)to + row->offset;
    const void *is = row->kind == KIND_TEXT ? (const void *)read_text(row, value, pool, error)
                     : row->kind == KIND_SCHEMA
                         ? (const void *)read_schema(row, value, lenient, pool, error)
                         : (const void *)read_flag(row, value, error);

    memcpy(member, &is, sizeof(is));
    return is != NULL;
}

/* ---- The object ---- */

static bool unknown(struct bytes name, struct error *error)
{
    char text[64] = "";
    size_t size = name.size - 2 < sizeof(text) - 1 ? name.size - 2 : sizeof(text) - 1;

    memcpy(text, name.data + 1, size); /* without its quotes */
    struct suggest suggest = suggest_start(text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        suggest_offer(&suggest, rows[i].name);
    return error_set(error,
                     "there is no member \"%s\"%s%s%s: it takes summary, title, params, result, "
                     "idempotent, read_only and additive",
                     text, suggest.nearest == NULL ? "" : "; did you mean \"",
                     suggest.nearest == NULL ? "" : suggest.nearest,
                     suggest.nearest == NULL ? "" : "\"?");
}

/* The row of a member by its name as it is written, quotes included; NULL when there is none. */
static const struct row *row_of_member(struct bytes name)
{
    char text[64];
    long size = json_string_text(name, text, sizeof(text) - 1);

    if (size < 0)
        return NULL;
    text[size] = '\0';
    return row_of(text);
}

static bool read_members(struct bytes object, bool lenient, struct pool *pool, struct declared *to,
                         struct text *advice, struct error *error)
{
    struct bytes name, value;

    for (size_t at = 0; envelope_next_member(object, &at, &name, &value);) {
        const struct row *row = row_of_member(name);
        bool good = row != NULL ? read_value(row, value, lenient, pool, to, error)
                                : lenient || unknown(name, error); /* it may be a later version's */
        if (!good && !lenient)
            return false;
        if (!good)
            text_printf(advice, "%s: it is left out\n", error->text);
    }
    return true;
}

bool declared_read(const char *text, bool lenient, struct pool *pool, struct declared *to,
                   struct text *advice, struct error *error)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error fault;
    bool good = false;

    *to = (struct declared){0};
    if (!json_check(bytes_of(text), &limits, &fault))
        error_set(error, "it is not valid JSON: %s, at byte %zu", fault.reason, fault.offset);
    else if (*(text = json_read_space(text)) != '{')
        error_set(error, "it is no JSON object");
    else
        good = read_members(bytes_of(text), lenient, pool, to, advice, error);
    if (good || !lenient)
        return good;
    text_printf(advice, "%s: it is left out\n", error->text);
    return true;
}
