/* What schemas are made from: places in a text, and what is wanted of it. See schema_making.h.
 *
 * A schema is made once for each place of the text, so that one that refers to itself is a circle
 * of nodes. What is wanted is read from a queue: a chain of references costs no stack. */
#include "rpc/schema_making.h"

#include <stdarg.h>

#include "wire/envelope.h"

/* ---- Errors ---- */

static void append_trail(struct text *out, const struct trail *trail)
{
    if (trail == NULL)
        return;
    append_trail(out, trail->outer);
    if (trail->token.data != NULL)
        text_printf(out, "/%.*s", (int)(trail->token.size < 64 ? trail->token.size : 64),
                    trail->token.data);
    else
        text_printf(out, "/%zu", trail->index);
}

bool schema_wrong(const struct making *making, const struct trail *trail, const char *format, ...)
{
    struct text text = {0};
    va_list args;

    append_trail(&text, trail);
    text_append_string(&text, text.size > 0 ? ": " : "");
    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    error_set(making->error, "%s", text_string(&text));
    text_free(&text);
    return false;
}

/* ---- Schemas ---- */

bool schema_text(const struct making *making, const struct trail *trail, struct bytes string,
                 struct bytes *text)
{
    if (*string.data != '"')
        return schema_wrong(making, trail, "this has to be a string");
    char *to = pool_must_zalloc(&making->schema->pool, string.size);
    long size = json_string_text(string, to, string.size);
    if (size < 0)
        return schema_wrong(making, trail, "half of a surrogate pair stands alone");
    *text = (struct bytes){to, (size_t)size};
    return true;
}

const struct trail *schema_trail(const struct making *making, const struct trail *outer,
                                 struct bytes token, size_t index)
{
    struct trail *trail = pool_must_zalloc(&making->schema->pool, sizeof(*trail));

    *trail = (struct trail){outer, token, index};
    return trail;
}

bool schema_use(struct making *making, const struct trail *trail, struct bytes value,
                struct schema_node **node)
{
    struct schema_node **at = &making->at[value.data - making->schema->text.data];

    if (*value.data != '{' && *value.data != 't' && *value.data != 'f')
        return schema_wrong(making, trail, "this has to be a schema: an object, true or false");
    if (*at == NULL) {
        *at = pool_must_zalloc(&making->schema->pool, sizeof(**at));
        (*at)->kinds = KIND_ANY;
        (*at)->nothing = *value.data == 'f';
        if (making->queue_count == making->queue_capacity) {
            making->queue_capacity = making->queue_capacity == 0 ? 64 : making->queue_capacity * 2;
            making->queue =
                must_realloc(making->queue, making->queue_capacity * sizeof(*making->queue));
        }
        making->queue[making->queue_count++] = (struct wanted){value, *at, trail};
    }
    *node = *at;
    return true;
}

/* ---- References ---- */

/* Undoes %XX of a URI (RFC 3986 section 2.1), and ~0 and ~1 of a JSON pointer (RFC 6901 section
 * 4). */
static struct bytes unescape_token(struct bytes token, char *to)
{
    size_t size = 0;

    for (size_t i = 0; i < token.size; i++) {
        char c = token.data[i];
        if (c == '%' && token.size - i > 2 && hex_digit(token.data[i + 1]) >= 0 &&
            hex_digit(token.data[i + 2]) >= 0) {
            c = (char)(hex_digit(token.data[i + 1]) << 4 | hex_digit(token.data[i + 2]));
            i += 2;
        }
        to[size++] = c;
    }
    struct bytes text = {to, 0};
    for (size_t i = 0; i < size; i++) {
        bool escaped = to[i] == '~' && i + 1 < size && (to[i + 1] == '0' || to[i + 1] == '1');
        to[text.size++] = !escaped ? to[i] : to[i + 1] == '0' ? '~' : '/';
        i += escaped;
    }
    return text;
}

/* What the token leads to in `value`; data is NULL for nothing. */
static struct bytes step_into(struct bytes value, struct bytes token)
{
    struct bytes element = {NULL, 0};
    size_t at = 0, index = 0;

    if (*value.data == '{')
        return envelope_member(value, token);
    if (*value.data != '[' || token.size == 0 || token.size > 6)
        return element;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return element;
        index = index * 10 + (size_t)(token.data[i] - '0');
    }
    while (envelope_next(value, &at, &element)) {
        if (index-- == 0)
            return element;
    }
    return (struct bytes){NULL, 0};
}

bool schema_use_reference(struct making *making, const struct trail *trail, struct bytes reference,
                          struct schema_node **node)
{
    struct bytes value = making->schema->text, text = {NULL, 0};

    if (!schema_text(making, trail, reference, &text))
        return false;
    if (text.size == 0 || text.data[0] != '#' || (text.size > 1 && text.data[1] != '/'))
        return schema_wrong(making, trail,
                            "only references within the schema are supported: \"#\" or "
                            "\"#/$defs/NAME\"");
    char *room = pool_must_zalloc(&making->schema->pool, text.size);
    for (size_t at = 1, end; at < text.size; at = end) {
        for (end = ++at; end < text.size && text.data[end] != '/';)
            end++;
        value = step_into(value, unescape_token((struct bytes){text.data + at, end - at}, room));
        if (value.data == NULL)
            return schema_wrong(making, trail, "%s leads nowhere in this schema",
                                pool_must_strndup(&making->schema->pool, text.data, text.size));
    }
    if (text.size > 1) /* what it leads to is named by it */
        trail = schema_trail(making, NULL, (struct bytes){text.data + 2, text.size - 2}, 0);
    return schema_use(making, text.size > 1 ? trail : NULL, value, node);
}
