/* Comparing values of JSON. See schema_value.h.
 *
 * The hash is no secret: a client that finds values of the same hash makes them be compared, which
 * `work` bounds. */
#include "rpc/schema_value.h"

#include "rpc/schema_node.h"
#include "wire/envelope.h"
#include "wire/json_text.h"
#include "wire/number.h"

#define MIX 0x9e3779b97f4a7c15u

static void charge(uint64_t *work, uint64_t units)
{
    *work -= *work < units ? *work : units;
}

static bool strings_equal(const char *a, const char *b)
{
    uint32_t c;

    a++;
    b++;
    do {
        c = json_text_next(&a);
        if (json_text_next(&b) != c)
            return false;
    } while (c != JSON_TEXT_END);
    return true;
}

bool schema_string_is(const char *written, struct bytes text)
{
    const char *at = text.data, *end = text.data + text.size;
    uint32_t c;

    written++;
    while ((c = json_text_next(&written)) != JSON_TEXT_END) {
        if (at == end)
            return false;
        uint32_t other;
        if (*at == '"' || *at == '\\') /* here they stand for themselves */
            other = (unsigned char)*at++;
        else
            other = json_text_next(&at);
        if (other != c)
            return false;
    }
    return at == end;
}

static bool arrays_equal(struct bytes a, struct bytes b, uint64_t *work)
{
    struct bytes x, y;
    size_t at_a = 0, at_b = 0;

    for (;;) {
        bool more_a = envelope_next(a, &at_a, &x), more_b = envelope_next(b, &at_b, &y);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!schema_value_equal(x, y, work))
            return false;
    }
}

/* Finds the member of the name, as it is written, first where the walk is, which is where it is as
 * a rule. */
static bool find_member(struct bytes object, size_t *at, struct bytes name, struct bytes *value,
                        uint64_t *work)
{
    struct bytes other;
    size_t from = 0;

    if (envelope_next_member(object, at, &other, value) && strings_equal(name.data, other.data))
        return true;
    while (*work > 0 && envelope_next_member(object, &from, &other, value)) {
        charge(work, 1 + value->size / 16);
        if (strings_equal(name.data, other.data))
            return true;
    }
    return false;
}

static size_t count_members(struct bytes object)
{
    struct bytes name, value;
    size_t at = 0, count = 0;

    while (envelope_next_member(object, &at, &name, &value))
        count++;
    return count;
}

static bool objects_equal(struct bytes a, struct bytes b, uint64_t *work)
{
    struct bytes name, x, y;
    size_t at_a = 0, at_b = 0;

    charge(work, (a.size + b.size) / 16);
    if (count_members(a) != count_members(b))
        return false;
    while (envelope_next_member(a, &at_a, &name, &x)) {
        if (!find_member(b, &at_b, name, &y, work) || !schema_value_equal(x, y, work))
            return false;
    }
    return true;
}

bool schema_value_equal(struct bytes a, struct bytes b, uint64_t *work)
{
    unsigned kind = schema_kind(a.data);

    charge(work, 1);
    if (kind != schema_kind(b.data) || *work == 0)
        return false;
    switch (kind) {
    case KIND_STRING:
        charge(work, (a.size < b.size ? a.size : b.size) / 16);
        return strings_equal(a.data, b.data);
    case KIND_NUMBER:
        return number_compare(a, b) == 0;
    case KIND_ARRAY:
        return arrays_equal(a, b, work);
    case KIND_OBJECT:
        return objects_equal(a, b, work);
    default:
        return *a.data == *b.data;
    }
}

static uint64_t mixed(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * MIX;
    return hash ^ hash >> 29;
}

static uint64_t string_hash(const char *p)
{
    uint64_t hash = KIND_STRING;

    p++;
    for (uint32_t c; (c = json_text_next(&p)) != JSON_TEXT_END;)
        hash = mixed(hash, c);
    return hash;
}

uint64_t schema_value_hash(struct bytes value, uint64_t *work)
{
    struct bytes name, element;
    uint64_t hash = schema_kind(value.data);
    size_t at = 0;

    charge(work, 1 + value.size / 16);
    if (*work == 0)
        return 0;
    switch (hash) {
    case KIND_STRING:
        return string_hash(value.data);
    case KIND_NUMBER:
        return mixed(hash, number_hash(value));
    case KIND_ARRAY:
        while (envelope_next(value, &at, &element))
            hash = mixed(hash, schema_value_hash(element, work));
        return hash;
    case KIND_OBJECT: /* a sum, so that their order does not matter */
        while (envelope_next_member(value, &at, &name, &element))
            hash += mixed(string_hash(name.data), schema_value_hash(element, work));
        return mixed(hash, 0);
    default:
        return mixed(hash, (unsigned char)*value.data);
    }
}
