/* The keywords for objects. See schema_object.h. */
#include "rpc/schema_object.h"

#include <stdlib.h>

#include "wire/envelope.h"

static struct schema_object *object_of(const struct word *word)
{
    struct schema_node *node = word->node;

    if (node->object == NULL) {
        node->object = pool_must_zalloc(schema_word_pool(word), sizeof(*node->object));
        node->object->most = UINT64_MAX;
    }
    return node->object;
}

/* The place of a name among those of the object, which may be new there. SIZE_MAX when there are
 * too many. */
static size_t name_place(const struct word *word, struct bytes name)
{
    struct schema_object *object = object_of(word);

    for (size_t i = 0; i < object->name_count; i++) {
        if (bytes_equal(object->names[i].name, name))
            return i;
    }
    if (object->name_count == SCHEMA_NAMES_MAX) {
        schema_wrong(word->making, word->trail, "an object's keywords name more than %u members",
                     SCHEMA_NAMES_MAX);
        return SIZE_MAX;
    }
    size_t count = object->name_count;
    if ((count & (count - 1)) == 0) { /* room for twice as many */
        struct schema_name *names =
            pool_must_zalloc(schema_word_pool(word), (count == 0 ? 1 : count * 2) * sizeof(*names));
        if (count > 0)
            memcpy(names, object->names, count * sizeof(*names));
        object->names = names;
    }
    object->names[count].name = name;
    object->name_count++;
    return count;
}

/* The place of the name that stands in the schema as a string. */
static size_t place_of_string(const struct word *word, struct bytes string)
{
    struct bytes name;

    return schema_text(word->making, word->trail, string, &name) ? name_place(word, name)
                                                                 : SIZE_MAX;
}

bool schema_read_properties(const struct word *word)
{
    struct bytes name;
    struct word member;
    size_t at = 0;

    if (!schema_word_has_members(word))
        return false;
    while (schema_word_next(word, &at, &name, &member)) {
        size_t place = place_of_string(&member, name);
        if (place == SIZE_MAX)
            return false;
        if (object_of(word)->names[place].value != NULL)
            return schema_word_wrong(&member, "this name is there twice");
        if (!schema_word_use(&member, &object_of(word)->names[place].value))
            return false;
    }
    return true;
}

bool schema_read_pattern_properties(const struct word *word)
{
    struct schema_object *object = object_of(word);
    struct bytes name;
    struct word member;
    struct error error;
    size_t at = 0, count = 0;

    if (!schema_word_has_members(word))
        return false;
    while (schema_word_next(word, &at, &name, &member))
        count++;
    object->matching =
        pool_must_zalloc(schema_word_pool(word), (count + 1) * sizeof(*object->matching));
    at = 0;
    while (schema_word_next(word, &at, &name, &member)) {
        struct schema_matching *matching = &object->matching[object->matching_count++];
        matching->pattern =
            pattern_make(schema_word_pool(word), name.data, &word->making->work, &error);
        if (matching->pattern == NULL)
            return schema_wrong(word->making, member.trail, "the pattern cannot be used: %s",
                                error.text);
        if (!schema_word_use(&member, &matching->value))
            return false;
    }
    return true;
}

bool schema_read_additional(const struct word *word)
{
    return schema_word_use(word, &object_of(word)->others);
}

bool schema_read_names(const struct word *word)
{
    return schema_word_use(word, &object_of(word)->of_names);
}

/* Reads a list of names to their places. */
static bool read_places(const struct word *word, const size_t **places, size_t *count)
{
    struct bytes element;
    size_t at = 0, room = 0, *to;

    *count = 0;
    if (*word->value.data != '[')
        return schema_word_wrong(word, "this has to be a list of names");
    while (envelope_next(word->value, &at, &element))
        room++;
    to = pool_must_zalloc(schema_word_pool(word), (room + 1) * sizeof(*to));
    *places = to;
    at = 0;
    while (envelope_next(word->value, &at, &element)) {
        to[*count] = place_of_string(word, element);
        if (to[(*count)++] == SIZE_MAX)
            return false;
    }
    return true;
}

bool schema_read_required(const struct word *word)
{
    struct schema_object *object = object_of(word);
    const size_t *places;
    size_t count;

    if (!read_places(word, &places, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        object->names[places[i]].required = object->asks = true;
    return true;
}

bool schema_read_dependent_required(const struct word *word)
{
    struct schema_object *object = object_of(word);
    struct bytes name;
    struct word member;
    size_t at = 0;

    if (!schema_word_has_members(word))
        return false;
    while (schema_word_next(word, &at, &name, &member)) {
        const size_t *places;
        size_t place = place_of_string(&member, name), count;
        if (place == SIZE_MAX || !read_places(&member, &places, &count))
            return false;
        object->names[place].beside = places;
        object->names[place].beside_count = count;
        object->names[place].asks = object->asks = true;
    }
    return true;
}

bool schema_read_dependent_schemas(const struct word *word)
{
    struct schema_object *object = object_of(word);
    struct bytes name;
    struct word member;
    size_t at = 0;

    if (!schema_word_has_members(word))
        return false;
    while (schema_word_next(word, &at, &name, &member)) {
        size_t place = place_of_string(&member, name);
        if (place == SIZE_MAX || !schema_word_use(&member, &object->names[place].whole))
            return false;
        object->names[place].asks = object->asks = true;
    }
    return true;
}

bool schema_read_min_properties(const struct word *word)
{
    return schema_word_count(word, &object_of(word)->least);
}

bool schema_read_max_properties(const struct word *word)
{
    return schema_word_count(word, &object_of(word)->most);
}

/* ---- Names ---- */

static int compare_names(const void *a, const void *b)
{
    struct bytes x = (*(const struct schema_name *const *)a)->name;
    struct bytes y = (*(const struct schema_name *const *)b)->name;

    if (x.size != y.size)
        return x.size < y.size ? -1 : 1;
    return memcmp(x.data, y.data, x.size);
}

void schema_sort_names(const struct word *word)
{
    struct schema_object *object = word->node->object;

    if (object == NULL || object->name_count == 0)
        return;
    object->sorted =
        pool_must_zalloc(schema_word_pool(word), object->name_count * sizeof(*object->sorted));
    for (size_t i = 0; i < object->name_count; i++)
        object->sorted[i] = &object->names[i];
    qsort(object->sorted, object->name_count, sizeof(*object->sorted), compare_names);
}
