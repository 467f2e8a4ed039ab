/* What is wrong with a value by its schema, in sentences. See schema_fault.h. */
#include "rpc/schema_fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/suggest.h"

#define WORDS_MAX 12u /* of an enumeration that are named */
#define FORMS_MAX 4u  /* likewise of anyOf and oneOf */
#define NAME_MAX_ 64u /* bytes of a name for which another is suggested */

/* ---- Where ---- */

static void add_place(struct line *line, const struct schema_place *place)
{
    if (place->outer != NULL)
        add_place(line, place->outer);
    if (place->name.data == NULL) {
        line_addf(line, "[%zu]", place->index);
        return;
    }
    line_add_string(line, place->outer == NULL ? "" : ".");
    line_add_shown(line, place->name);
}

static bool begin(struct faults *faults, const struct schema_place *place, struct line *text)
{
    struct line path;

    if (!fault_begin(faults, &path, text))
        return false;
    add_place(&path, place);
    return true;
}

/* ---- What was wanted ---- */

static void add_length(struct line *line, const char *what, uint64_t least, uint64_t most,
                       const char *unit)
{
    line_add_string(line, what);
    line_add_length(line, least, most, UINT64_MAX, unit);
}

static void add_string(struct line *line, const struct schema_string *string)
{
    if (string == NULL) {
        line_add_string(line, "a string");
        return;
    }
    add_length(line, "a string", string->least, string->most, " character");
    if (string->pattern == NULL)
        return;
    line_add_string(line, " that matches ");
    line_add_shown(line, string->written);
}

/* A number of the schema as C string. */
static const char *number_text(struct bytes number, char room[40])
{
    snprintf(room, 40, "%.*s", (int)(number.size < 39 ? number.size : 39), number.data);
    return number.data == NULL ? NULL : room;
}

static void add_number(struct line *line, const char *what, const struct schema_number *number)
{
    char low[40], high[40];

    line_add_string(line, what);
    if (number == NULL)
        return;
    const char *least = number_text(number->least, low), *most = number_text(number->most, high);
    const char *before = "";
    if (least != NULL || most != NULL) {
        line_add_range(line, least, most, "from", "");
        before = " and";
    }
    if (number->above.data != NULL) {
        line_addf(line, "%s above %s", before, number_text(number->above, low));
        before = " and";
    }
    if (number->below.data != NULL)
        line_addf(line, "%s below %s", before, number_text(number->below, high));
    if (number->multiple.data != NULL)
        line_addf(line, ", a multiple of %s", number_text(number->multiple, low));
}

/* One kind of value, as the node wants it. */
static void add_kind(struct line *line, const struct schema_node *node, unsigned kind)
{
    const struct schema_array *array = node->array;
    const struct schema_object *object = node->object;

    switch (kind) {
    case KIND_NULL:
        line_add_string(line, "null");
        break;
    case KIND_FLAG:
        line_add_string(line, "true or false");
        break;
    case KIND_STRING:
        add_string(line, node->string);
        break;
    case KIND_NUMBER:
        add_number(line, "a number", node->number);
        break;
    case KIND_WHOLE:
        add_number(line, "a whole number", node->number);
        break;
    case KIND_ARRAY:
        add_length(line, "a list", array == NULL ? 0 : array->least,
                   array == NULL ? UINT64_MAX : array->most, " item");
        break;
    default:
        add_length(line, "an object", object == NULL ? 0 : object->least,
                   object == NULL ? UINT64_MAX : object->most, " member");
    }
}

static void add_values(struct line *line, const struct schema_node *node)
{
    line_add_string(line, node->value_count > 1 ? "one of " : "");
    for (size_t i = 0; i < node->value_count && i < WORDS_MAX; i++) {
        line_add_string(line, i == 0 ? "" : ", ");
        line_add_shown(line, node->values[i]);
    }
    if (node->value_count > WORDS_MAX)
        line_add_string(line, ", …");
}

static void add_wanted(struct line *line, const struct schema_node *node, unsigned depth);

/* What several schemas want, of which one counts. */
static void add_forms(struct line *line, const struct schema_list *list, unsigned depth)
{
    if (list->count > FORMS_MAX || depth > 1) {
        line_addf(line, "one of %zu forms", list->count);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        line_add_string(line, i == 0 ? "" : " or ");
        add_wanted(line, list->of[i], depth + 1);
    }
}

static void add_wanted(struct line *line, const struct schema_node *node, unsigned depth)
{
    /* In the order in which people name them. */
    static const unsigned kinds[] = {KIND_STRING, KIND_NUMBER, KIND_WHOLE, KIND_FLAG,
                                     KIND_OBJECT, KIND_ARRAY,  KIND_NULL};
    bool plain = node->kinds == KIND_ANY;
    const char *between = "";

    if (node->constant.data != NULL) {
        line_add_shown(line, node->constant);
    } else if (node->has_values && node->value_count > 0) {
        add_values(line, node);
    } else if (node->nothing || node->has_values) {
        line_add_string(line, "nothing");
    } else if (plain && node->any.count > 0) {
        add_forms(line, &node->any, depth);
    } else if (plain && node->one.count > 0) {
        add_forms(line, &node->one, depth);
    } else if (plain && node->all.count == 1 && depth < 4) { /* a $ref */
        add_wanted(line, node->all.of[0], depth + 1);
    } else if (plain && (node->string != NULL) + (node->number != NULL) + (node->object != NULL) +
                                (node->array != NULL) !=
                            1) {
        line_add_string(line, "any value");
    } else {
        unsigned of = !plain                 ? node->kinds
                      : node->string != NULL ? KIND_STRING
                      : node->number != NULL ? KIND_NUMBER
                      : node->object != NULL ? KIND_OBJECT
                                             : KIND_ARRAY;
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
            bool covered = kinds[i] == KIND_WHOLE && (of & KIND_NUMBER) != 0;
            if ((of & kinds[i]) == 0 || covered)
                continue;
            line_add_string(line, between);
            add_kind(line, node, kinds[i]);
            between = " or ";
        }
    }
}

/* ---- Faults ---- */

void schema_fault_value(struct faults *faults, const struct schema_place *place,
                        const struct schema_node *node, const char *value, const char *end)
{
    struct line text;

    if (!begin(faults, place, &text))
        return;
    add_wanted(&text, node, 0);
    line_add_string(&text, ", got ");
    line_add_got(&text, value, end, node->has_values || node->constant.data != NULL);
}

void schema_fault_why(struct faults *faults, const struct schema_place *place,
                      const struct schema_node *node, const char *why, ...)
{
    struct line text;
    va_list args;

    if (!begin(faults, place, &text))
        return;
    add_wanted(&text, node, 0);
    line_add_string(&text, ", ");
    va_start(args, why);
    line_add_v(&text, why, args);
    va_end(args);
}

void schema_fault_text(struct faults *faults, const struct schema_place *place, const char *text,
                       ...)
{
    struct line line;
    va_list args;

    if (!begin(faults, place, &line))
        return;
    va_start(args, text);
    line_add_v(&line, text, args);
    va_end(args);
}

void schema_fault_unknown(struct faults *faults, const struct schema_place *place,
                          const struct schema_object *object)
{
    char word[NAME_MAX_ + 1];
    struct line text;

    if (!begin(faults, place, &text))
        return;
    line_add_string(&text, "there is no member of this name");
    if (place->name.size > NAME_MAX_)
        return;
    memcpy(word, place->name.data, place->name.size);
    word[place->name.size] = '\0';
    struct suggest suggest = suggest_start(word);
    for (size_t i = 0; i < object->name_count; i++) {
        if (object->names[i].value != NULL)
            suggest_offer(&suggest, object->names[i].name.data);
    }
    if (suggest.nearest == NULL)
        return;
    line_add_string(&text, "; did you mean \"");
    line_add_shown(&text, bytes_of(suggest.nearest));
    line_add_string(&text, "\"?");
}

void schema_fault_beside(struct faults *faults, const struct schema_place *place,
                         struct bytes other)
{
    struct line text;

    if (!begin(faults, place, &text))
        return;
    line_add_string(&text, "it has to be there beside \"");
    line_add_shown(&text, other);
    line_add_string(&text, "\", got nothing");
}
