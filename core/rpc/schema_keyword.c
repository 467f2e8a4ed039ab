/* The keywords of JSON Schema (draft 2020-12): what each says is put into its node. One table: a
 * keyword with a function is kept, one with a sentence is refused with it, one with neither only
 * describes, but for properties, which are read ahead of the others. */
#include "rpc/schema_keyword.h"

#include <assert.h>

#include "base/suggest.h"
#include "rpc/schema_object.h"
#include "wire/envelope.h"
#include "wire/number.h"

/* ---- Parts of nodes ---- */

static struct schema_array *array_of(const struct word *word)
{
    struct schema_node *node = word->node;

    if (node->array == NULL) {
        node->array = pool_must_zalloc(schema_word_pool(word), sizeof(*node->array));
        node->array->most = node->array->contains_most = UINT64_MAX;
        node->array->contains_least = 1;
    }
    return node->array;
}

static struct schema_string *string_of(const struct word *word)
{
    struct schema_node *node = word->node;

    if (node->string == NULL) {
        node->string = pool_must_zalloc(schema_word_pool(word), sizeof(*node->string));
        node->string->most = UINT64_MAX;
    }
    return node->string;
}

static struct schema_number *number_of(const struct word *word)
{
    struct schema_node *node = word->node;

    if (node->number == NULL)
        node->number = pool_must_zalloc(schema_word_pool(word), sizeof(*node->number));
    return node->number;
}

/* ---- Values of keywords ---- */

static bool read_number(const struct word *word, struct bytes *number)
{
    double value;

    if (schema_kind(word->value.data) != KIND_NUMBER)
        return schema_word_wrong(word, "this has to be a number");
    if (!number_double(word->value, &value))
        return schema_word_wrong(word, "this number is too large");
    *number = word->value;
    return true;
}

/* Reads a list of schemas, and adds it. */
static bool read_schemas(const struct word *word, struct schema_list *list)
{
    struct bytes element;
    size_t at = 0, count = 0;

    if (*word->value.data != '[')
        return schema_word_wrong(word, "this has to be a list of schemas");
    while (envelope_next(word->value, &at, &element))
        count++;
    if (count == 0)
        return schema_word_wrong(word, "this list of schemas is empty");
    struct schema_node **of =
        pool_must_zalloc(schema_word_pool(word), (list->count + count) * sizeof(*of));
    if (list->count > 0)
        memcpy(of, list->of, list->count * sizeof(*of));
    list->of = of;
    at = 0;
    for (size_t i = 0; envelope_next(word->value, &at, &element); i++) {
        const struct trail *trail =
            schema_trail(word->making, word->trail, (struct bytes){NULL, 0}, i);
        if (!schema_use(word->making, trail, element, &of[list->count++]))
            return false;
    }
    return true;
}

/* ---- Any value ---- */

static bool read_kind(const struct word *word, struct bytes name)
{
    static const struct {
        const char *name;
        uint8_t kind;
    } kinds[] = {
        {"\"null\"", KIND_NULL},     {"\"boolean\"", KIND_FLAG},  {"\"object\"", KIND_OBJECT},
        {"\"array\"", KIND_ARRAY},   {"\"string\"", KIND_STRING}, {"\"number\"", KIND_NUMBER},
        {"\"integer\"", KIND_WHOLE},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (!bytes_equal(bytes_of(kinds[i].name), name))
            continue;
        word->node->kinds |= kinds[i].kind;
        return true;
    }
    return schema_word_wrong(
        word, "a type is one of \"null\", \"boolean\", \"object\", \"array\", \"string\", "
              "\"number\" and \"integer\", or a list of these");
}

static bool read_type(const struct word *word)
{
    struct bytes element;
    size_t at = 0;

    word->node->kinds = 0;
    if (*word->value.data != '[')
        return read_kind(word, word->value);
    while (envelope_next(word->value, &at, &element)) {
        if (!read_kind(word, element))
            return false;
    }
    return word->node->kinds != 0 || schema_word_wrong(word, "this list of types is empty");
}

static bool read_enum(const struct word *word)
{
    struct bytes element, *values;
    size_t at = 0, count = 0;

    if (*word->value.data != '[')
        return schema_word_wrong(word, "this has to be a list of values");
    while (envelope_next(word->value, &at, &element))
        count++;
    values = pool_must_zalloc(schema_word_pool(word), (count + 1) * sizeof(*values));
    at = count = 0;
    while (envelope_next(word->value, &at, &element))
        values[count++] = element;
    word->node->has_values = true;
    word->node->values = values;
    word->node->value_count = count;
    return true;
}

static bool read_const(const struct word *word)
{
    word->node->constant = word->value;
    return true;
}

/* ---- Schemas for the same value ---- */

static bool read_ref(const struct word *word)
{
    struct schema_list *all = &word->node->all;
    struct schema_node **of =
        pool_must_zalloc(schema_word_pool(word), (all->count + 1) * sizeof(*of));

    if (all->count > 0)
        memcpy(of, all->of, all->count * sizeof(*of));
    all->of = of;
    return schema_use_reference(word->making, word->trail, word->value, &of[all->count++]);
}

static bool read_all_of(const struct word *word)
{
    return read_schemas(word, &word->node->all);
}

static bool read_any_of(const struct word *word)
{
    return read_schemas(word, &word->node->any);
}

static bool read_one_of(const struct word *word)
{
    return read_schemas(word, &word->node->one);
}

static bool read_not(const struct word *word)
{
    return schema_word_use(word, &word->node->not );
}

static bool read_if(const struct word *word)
{
    return schema_word_use(word, &word->node->when);
}

static bool read_then(const struct word *word)
{
    return schema_word_use(word, &word->node->then);
}

static bool read_else(const struct word *word)
{
    return schema_word_use(word, &word->node->otherwise);
}

/* ---- Arrays ---- */

static bool read_prefix_items(const struct word *word)
{
    return read_schemas(word, &array_of(word)->first);
}

static bool read_items(const struct word *word)
{
    if (*word->value.data == '[')
        return schema_word_wrong(word,
                                 "a list of schemas is what drafts before 2020-12 have here; write "
                                 "prefixItems");
    return schema_word_use(word, &array_of(word)->items);
}

static bool read_contains(const struct word *word)
{
    return schema_word_use(word, &array_of(word)->contains);
}

static bool read_min_contains(const struct word *word)
{
    return schema_word_count(word, &array_of(word)->contains_least);
}

static bool read_max_contains(const struct word *word)
{
    return schema_word_count(word, &array_of(word)->contains_most);
}

static bool read_min_items(const struct word *word)
{
    return schema_word_count(word, &array_of(word)->least);
}

static bool read_max_items(const struct word *word)
{
    return schema_word_count(word, &array_of(word)->most);
}

static bool read_unique_items(const struct word *word)
{
    if (schema_kind(word->value.data) != KIND_FLAG)
        return schema_word_wrong(word, "this has to be true or false");
    array_of(word)->unique = *word->value.data == 't';
    return true;
}

/* ---- Strings and numbers ---- */

static bool read_min_length(const struct word *word)
{
    return schema_word_count(word, &string_of(word)->least);
}

static bool read_max_length(const struct word *word)
{
    return schema_word_count(word, &string_of(word)->most);
}

static bool read_pattern(const struct word *word)
{
    struct schema_string *string = string_of(word);
    struct error error;

    if (*word->value.data != '"')
        return schema_word_wrong(word, "this has to be a string");
    string->written = word->value;
    string->pattern =
        pattern_make(schema_word_pool(word), word->value.data, &word->making->work, &error);
    return string->pattern != NULL ||
           schema_wrong(word->making, word->trail, "the pattern cannot be used: %s", error.text);
}

static bool read_minimum(const struct word *word)
{
    return read_number(word, &number_of(word)->least);
}

static bool read_maximum(const struct word *word)
{
    return read_number(word, &number_of(word)->most);
}

static bool read_above(const struct word *word)
{
    return read_number(word, &number_of(word)->above);
}

static bool read_below(const struct word *word)
{
    return read_number(word, &number_of(word)->below);
}

static bool read_multiple_of(const struct word *word)
{
    if (!read_number(word, &number_of(word)->multiple))
        return false;
    if (number_compare(word->value, BYTES("0")) <= 0)
        return schema_word_wrong(word, "this has to be above 0");
    if (number_digits(word->value) > DIVISOR_DIGITS)
        return schema_wrong(word->making, word->trail,
                            "a number of more than %u digits is not "
                            "supported here",
                            DIVISOR_DIGITS);
    return true;
}

/* ---- What is about schemas themselves ---- */

/* Schemas that others refer to. They are made in any case, so that their mistakes are found. */
static bool read_defs(const struct word *word)
{
    struct schema_node *unused;
    struct bytes name;
    struct word member;
    size_t at = 0;

    if (!schema_word_has_members(word))
        return false;
    while (schema_word_next(word, &at, &name, &member)) {
        if (!schema_word_use(&member, &unused))
            return false;
    }
    return true;
}

static bool read_id(const struct word *word)
{
    return word->node == word->making->schema->root ||
           schema_word_wrong(word,
                             "a schema with a name of its own within another is not supported");
}

/* ---- The table ---- */

#define DYNAMIC "dynamic references are not supported; write a $ref to \"#/$defs/NAME\""
#define LEFTOVER                                                                  \
    "what other schemas have left over is not supported; name the members, with " \
    "additionalProperties, or the items, in one schema"

static const struct keyword {
    const char *name;
    bool (*read)(const struct word *word);
    const char *refusal;
} keywords[] = {
    {"type", read_type, NULL},
    {"enum", read_enum, NULL},
    {"const", read_const, NULL},
    {"$ref", read_ref, NULL},
    {"allOf", read_all_of, NULL},
    {"anyOf", read_any_of, NULL},
    {"oneOf", read_one_of, NULL},
    {"not", read_not, NULL},
    {"if", read_if, NULL},
    {"then", read_then, NULL},
    {"else", read_else, NULL},
    {"properties", NULL, NULL},
    {"patternProperties", schema_read_pattern_properties, NULL},
    {"additionalProperties", schema_read_additional, NULL},
    {"propertyNames", schema_read_names, NULL},
    {"required", schema_read_required, NULL},
    {"dependentRequired", schema_read_dependent_required, NULL},
    {"dependentSchemas", schema_read_dependent_schemas, NULL},
    {"minProperties", schema_read_min_properties, NULL},
    {"maxProperties", schema_read_max_properties, NULL},
    {"prefixItems", read_prefix_items, NULL},
    {"items", read_items, NULL},
    {"contains", read_contains, NULL},
    {"minContains", read_min_contains, NULL},
    {"maxContains", read_max_contains, NULL},
    {"minItems", read_min_items, NULL},
    {"maxItems", read_max_items, NULL},
    {"uniqueItems", read_unique_items, NULL},
    {"minLength", read_min_length, NULL},
    {"maxLength", read_max_length, NULL},
    {"pattern", read_pattern, NULL},
    {"minimum", read_minimum, NULL},
    {"maximum", read_maximum, NULL},
    {"exclusiveMinimum", read_above, NULL},
    {"exclusiveMaximum", read_below, NULL},
    {"multipleOf", read_multiple_of, NULL},
    {"$defs", read_defs, NULL},
    {"$id", read_id, NULL},
    {"unevaluatedProperties", NULL, LEFTOVER},
    {"unevaluatedItems", NULL, LEFTOVER},
    {"$dynamicRef", NULL, DYNAMIC},
    {"$recursiveRef", NULL, DYNAMIC},
    {"dependencies", NULL,
     "this is of drafts before 2019-09; write dependentRequired or "
     "dependentSchemas"},
    {"additionalItems", NULL,
     "this is of drafts before 2020-12; write prefixItems, and items for "
     "the others"},
    {"$schema", NULL, NULL},
    {"$anchor", NULL, NULL},
    {"$dynamicAnchor", NULL, NULL},
    {"$vocabulary", NULL, NULL},
    {"$comment", NULL, NULL},
    {"definitions", NULL, NULL},
    {"title", NULL, NULL},
    {"description", NULL, NULL},
    {"default", NULL, NULL},
    {"examples", NULL, NULL},
    {"example", NULL, NULL},
    {"format", NULL, NULL},
    {"deprecated", NULL, NULL},
    {"readOnly", NULL, NULL},
    {"writeOnly", NULL, NULL},
    {"contentEncoding", NULL, NULL},
    {"contentMediaType", NULL, NULL},
    {"contentSchema", NULL, NULL},
};

static_assert(sizeof(keywords) / sizeof(*keywords) <= 64, "each has a bit in read_word");

/* A word that is no keyword describes something, unless it looks like a slip of the pen. */
static bool read_unknown(const struct word *word, struct bytes name)
{
    char *text = pool_must_strndup(schema_word_pool(word), name.data, name.size);
    struct suggest suggest = suggest_start(text);

    if (strncmp(text, "x-", 2) == 0)
        return true;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
        suggest_offer(&suggest, keywords[i].name);
    return suggest.nearest == NULL ||
           schema_wrong(word->making, word->trail,
                        "this is no keyword; did you mean \"%s\"? (words that begin with x- are "
                        "yours)",
                        suggest.nearest);
}

/* Reads a keyword. `seen` has a bit for each of the table. */
static bool read_word(const struct word *word, struct bytes name, uint64_t *seen)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
        const struct keyword *keyword = &keywords[i];
        if (!bytes_equal(bytes_of(keyword->name), name))
            continue;
        if ((*seen >> i & 1) != 0)
            return schema_word_wrong(word, "this keyword is there twice");
        *seen |= UINT64_C(1) << i;
        if (keyword->refusal != NULL)
            return schema_word_wrong(word, keyword->refusal);
        return keyword->read == NULL || keyword->read(word);
    }
    return read_unknown(word, name);
}

bool schema_read_keywords(struct making *making, const struct trail *trail, struct bytes value,
                          struct schema_node *node)
{
    struct word word = {making, trail, value, node}, member;
    struct bytes string, name;
    uint64_t seen = 0;
    size_t at = 0;

    /* The properties come first, so that their names have the order of the text. */
    member = word;
    member.value = envelope_member(value, BYTES("properties"));
    member.trail = schema_trail(making, trail, BYTES("properties"), 0);
    if (member.value.data != NULL && !schema_read_properties(&member))
        return false;
    while (schema_word_next(&word, &at, &string, &member)) {
        if (!schema_text(making, member.trail, string, &name) || !read_word(&member, name, &seen))
            return false;
    }
    schema_sort_names(&word);
    return true;
}
