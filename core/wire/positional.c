/* Params by position become an object. See positional.h. */
#include "wire/positional.h"

#include "wire/envelope.h"

struct bytes positional_properties(const char *schema)
{
    struct bytes none = {NULL, 0};

    if (schema == NULL ||
        !bytes_equal(envelope_member(bytes_of(schema), BYTES("type")), BYTES("\"object\"")))
        return none;
    struct bytes properties = envelope_member(bytes_of(schema), BYTES("properties"));
    return properties.data != NULL && *properties.data == '{' ? properties : none;
}

size_t positional_count(struct bytes properties)
{
    struct bytes name, value;
    size_t at = 0, count = 0;

    while (envelope_next_member(properties, &at, &name, &value))
        count++;
    return count;
}

static char *put(char *to, struct bytes bytes)
{
    memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

size_t positional_name(struct bytes params, struct bytes properties, char *to)
{
    struct bytes element, name, value;
    size_t in_params = 0, in_properties = 0;
    char *p = to;

    *p++ = '{';
    while (envelope_next(params, &in_params, &element)) {
        if (!envelope_next_member(properties, &in_properties, &name, &value))
            return 0;
        if (p > to + 1)
            *p++ = ',';
        p = put(p, name);
        *p++ = ':';
        p = put(p, element);
    }
    *p++ = '}';
    return (size_t)(p - to);
}
