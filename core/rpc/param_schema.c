/* Tables of params as JSON Schemas. See param_schema.h. */
#include "rpc/param_schema.h"

#include <math.h>

#include "base/json_escape.h"
#include "wire/number.h"

static void append_quoted(struct text *out, const char *name, const char *text)
{
    text_printf(out, ",\"%s\":\"", name);
    text_append_json(out, bytes_of(text));
    text_append_char(out, '"');
}

/* How long it is, or how many: the words of the schema for that. `all`: no bound. */
static void append_lengths(struct text *out, const char *least, uint64_t low, const char *most,
                           uint64_t high, uint64_t all)
{
    if (low > 0)
        text_printf(out, ",\"%s\":%llu", least, (unsigned long long)low);
    if (high < all)
        text_printf(out, ",\"%s\":%llu", most, (unsigned long long)high);
}

static void append_integer(struct text *out, const struct param_row *row)
{
    text_append_string(out, "\"type\":\"integer\"");
    if (row->bounded && row->min > INT64_MIN)
        text_printf(out, ",\"minimum\":%lld", (long long)row->min);
    if (row->bounded && row->max < INT64_MAX)
        text_printf(out, ",\"maximum\":%lld", (long long)row->max);
}

static void append_number(struct text *out, const struct param_row *row)
{
    char number[NUMBER_TEXT_MAX];

    text_append_string(out, "\"type\":\"number\"");
    if (isfinite(row->from) && number_write(row->from, number) > 0)
        text_printf(out, ",\"minimum\":%s", number);
    if (isfinite(row->to) && number_write(row->to, number) > 0)
        text_printf(out, ",\"maximum\":%s", number);
}

static void append_words(struct text *out, const struct param_row *row)
{
    text_append_string(out, "\"type\":\"string\",\"enum\":[");
    for (size_t i = 0; i < row->word_count; i++) {
        text_append_string(out, i == 0 ? "\"" : "\",\"");
        text_append_json(out, row->words[i]);
    }
    text_append_string(out, "\"]");
}

/* Four characters stand for three bytes. */
static void append_bytes(struct text *out, const struct param_row *row)
{
    uint64_t low = ((uint64_t)row->min + 2) / 3 * 4, high = UINT64_MAX;

    if (row->max < INT64_MAX / 2)
        high = ((uint64_t)row->max + 2) / 3 * 4;
    text_append_string(out, "\"type\":\"string\",\"contentEncoding\":\"base64\"");
    append_lengths(out, "minLength", low, "maxLength", high, UINT64_MAX);
}

static void append_object(struct text *out, const struct param_table *table, bool gives);

/* Appends what one value of the row is: the members of its schema. False when that is nothing. */
static bool append_value(struct text *out, const struct param_row *row, bool gives)
{
    switch ((pillion_type)row->type) {
    case PILLION_FLAG:
        text_append_string(out, "\"type\":\"boolean\"");
        break;
    case PILLION_INTEGER:
        append_integer(out, row);
        break;
    case PILLION_NUMBER:
        append_number(out, row);
        break;
    case PILLION_ENUM:
        append_words(out, row);
        break;
    case PILLION_BYTES:
        append_bytes(out, row);
        break;
    case PILLION_OBJECT:
        append_object(out, row->members, gives);
        break;
    case PILLION_JSON:
        return false;
    default:
        text_append_string(out, "\"type\":\"string\"");
        append_lengths(out, "minLength", (uint64_t)row->min, "maxLength", (uint64_t)row->max,
                       INT64_MAX);
    }
    return true;
}

static void append_row(struct text *out, const struct param_row *row, bool gives)
{
    struct text schema = {0};

    if (row->list) {
        text_append_string(&schema, ",\"type\":\"array\",\"items\":{");
        append_value(&schema, row, gives);
        text_append_char(&schema, '}');
        append_lengths(&schema, "minItems", row->least, "maxItems", row->most, SIZE_MAX);
    } else {
        text_append_char(&schema, ',');
        if (!append_value(&schema, row, gives))
            text_clear(&schema);
    }
    if (row->param->summary != NULL)
        append_quoted(&schema, "description", row->param->summary);
    if (row->param->fallback != NULL && !gives)
        text_printf(&schema, ",\"default\":%s", row->param->fallback);
    text_append_char(out, '"');
    text_append(out, row->name);
    text_append_string(out, "\":{");
    if (schema.size > 0) /* without its first comma */
        text_append(out, (struct bytes){schema.data + 1, schema.size - 1});
    text_append_char(out, '}');
    text_free(&schema);
}

/* Appends what an object of the table is, without its brackets. */
static void append_object(struct text *out, const struct param_table *table, bool gives)
{
    const char *before = ",\"required\":[\"";

    text_append_string(out, "\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0)
            text_append_char(out, ',');
        append_row(out, &table->rows[i], gives);
    }
    text_append_char(out, '}');
    for (size_t i = 0; i < table->count; i++) {
        const struct param_row *row = &table->rows[i];
        if (!(gives ? param_is_always_there(row) : row->required))
            continue;
        text_append_string(out, before);
        text_append(out, row->name);
        before = "\",\"";
    }
    if (*before == '"')
        text_append_string(out, "\"]");
    if (!table->open && !gives)
        text_append_string(out, ",\"additionalProperties\":false");
}

void param_schema(struct text *out, const struct param_table *table, bool gives)
{
    text_append_char(out, '{');
    append_object(out, table, gives);
    text_append_char(out, '}');
}
