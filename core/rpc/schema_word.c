/* Reading keywords. See schema_word.h. */
#include "rpc/schema_word.h"

#include "wire/envelope.h"
#include "wire/number.h"

bool schema_word_wrong(const struct word *word, const char *what)
{
    return schema_wrong(word->making, word->trail, "%s", what);
}

bool schema_word_count(const struct word *word, uint64_t *count)
{
    int64_t value;

    if (schema_kind(word->value.data) != KIND_NUMBER ||
        number_integer(word->value, &value) != NUMBER_WHOLE || value < 0)
        return schema_word_wrong(word, "this has to be a whole number of at least 0");
    *count = (uint64_t)value;
    return true;
}

bool schema_word_use(const struct word *word, struct schema_node **node)
{
    return schema_use(word->making, word->trail, word->value, node);
}

bool schema_word_next(const struct word *word, size_t *at, struct bytes *name, struct word *member)
{
    *member = *word;
    if (!envelope_next_member(word->value, at, name, &member->value))
        return false;
    member->trail =
        schema_trail(word->making, word->trail, (struct bytes){name->data + 1, name->size - 2}, 0);
    return true;
}

bool schema_word_has_members(const struct word *word)
{
    return *word->value.data == '{' || schema_word_wrong(word, "this has to be an object");
}
