/* Reading one value of params that is no object and no list. See param_scalar.h. */
#include "rpc/param_scalar.h"

#include "wire/base64.h"
#include "wire/json_read.h"
#include "wire/number.h"

#define ROOM_CHUNK 1024u /* bytes for texts of less than a quarter of it */

/* ---- Memory and faults ---- */

void *param_take(struct param_reading *reading, size_t size)
{
    void *memory = pool_alloc(reading->pool, size);

    reading->exhausted |= memory == NULL;
    return memory;
}

/* Room for text: many short ones have one piece of memory. NULL without memory. */
static inline char *take_text(struct param_reading *reading, size_t size)
{
    if (size > (size_t)(reading->room_end - reading->room)) {
        if (size >= ROOM_CHUNK / 4)
            return param_take(reading, size);
        char *chunk = param_take(reading, ROOM_CHUNK);
        if (chunk == NULL)
            return NULL;
        reading->room = chunk;
        reading->room_end = chunk + ROOM_CHUNK;
    }
    char *text = reading->room;
    reading->room += size;
    return text;
}

/* The value is another than what was wanted. */
__attribute__((cold, noinline)) const char *
param_refuse(struct param_reading *reading, const struct param_place *place, const char *p)
{
    param_fault_value(&reading->faults, place, p, reading->end);
    return json_read_past(p, reading->end);
}

/* ---- Strings ---- */

/* A string's text. */
struct string {
    struct bytes text;
    bool copied;       /* to the request's memory, with a NUL behind it */
    size_t characters; /* of Unicode */
};

static size_t count_characters(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* Takes a string that is not of plain ASCII alone. Returns its end; `text.data` is NULL without
 * memory, or after a fault. */
__attribute__((noinline)) static const char *take_special(struct param_reading *reading,
                                                          const struct param_place *place,
                                                          const char *p, struct string *string)
{
    const char *end = json_read_string_past(p, reading->end);
    const struct bytes inside = {p + 1, (size_t)(end - p) - 2};
    char *copy = take_text(reading, inside.size + 1);
    long size =
        copy == NULL ? 0 : json_string_text((struct bytes){p, inside.size + 2}, copy, inside.size);

    *string = (struct string){{NULL, 0}, true, 0};
    if (copy == NULL)
        return end;
    if (size < 0) {
        param_fault_why(&reading->faults, place, "got half of a surrogate pair in it");
        return end;
    }
    copy[size] = '\0';
    string->text = (struct bytes){copy, (size_t)size};
    string->characters = count_characters(string->text);
    return end;
}

/* Takes the string at `p`, where one is. */
static inline const char *take_string(struct param_reading *reading,
                                      const struct param_place *place, const char *p,
                                      struct string *string)
{
    const char *from = p + 1, *quote = json_skip_plain(from, reading->end);

    if (*quote != '"')
        return take_special(reading, place, p, string);
    string->text = (struct bytes){from, (size_t)(quote - from)};
    string->copied = false;
    string->characters = string->text.size;
    return quote + 1;
}

/* True when it is as long as the row wants. */
static bool check_length(struct param_reading *reading, const struct param_place *place,
                         size_t size, const char *unit)
{
    const struct param_row *row = place->row;

    if (!row->bounded || (size >= (uint64_t)row->min && size <= (uint64_t)row->max))
        return true;
    param_fault_why(&reading->faults, place, "got %zu %s%s", size, unit, size == 1 ? "" : "s");
    return false;
}

static inline const char *read_string(struct param_reading *reading,
                                      const struct param_place *place, const char *p, char *to)
{
    struct string string;

    if (*p != '"')
        return param_refuse(reading, place, p);
    p = take_string(reading, place, p, &string);
    if (string.text.data == NULL || !check_length(reading, place, string.characters, "character"))
        return p;
    const char *text = string.text.data;
    if (string.copied) {
        if (memchr(text, '\0', string.text.size) != NULL) {
            param_fault_why(&reading->faults, place, "got \\u0000 in it");
            return p;
        }
    } else {
        char *copy = take_text(reading, string.text.size + 1);
        if (copy == NULL)
            return p;
        memcpy(copy, text, string.text.size);
        copy[string.text.size] = '\0';
        text = copy;
    }
    memcpy(to, &text, sizeof(text));
    return p;
}

static const char *read_text(struct param_reading *reading, const struct param_place *place,
                             const char *p, char *to)
{
    struct string string;

    if (*p != '"')
        return param_refuse(reading, place, p);
    p = take_string(reading, place, p, &string);
    if (string.text.data != NULL && check_length(reading, place, string.characters, "character"))
        memcpy(to, &(pillion_bytes){string.text.data, string.text.size}, sizeof(pillion_bytes));
    return p;
}

static const char *read_word(struct param_reading *reading, const struct param_place *place,
                             const char *p, char *to)
{
    const struct param_row *row = place->row;
    struct string string;

    if (*p != '"')
        return param_refuse(reading, place, p);
    const char *end = take_string(reading, place, p, &string);
    if (string.text.data == NULL)
        return end;
    for (size_t i = 0; i < row->word_count; i++) {
        if (!bytes_equal(row->words[i], string.text))
            continue;
        memcpy(to, &(int){(int)i}, sizeof(int));
        return end;
    }
    return param_refuse(reading, place, p);
}

static const char *read_bytes(struct param_reading *reading, const struct param_place *place,
                              const char *p, char *to)
{
    struct string string;

    if (*p != '"')
        return param_refuse(reading, place, p);
    p = take_string(reading, place, p, &string);
    char *copy =
        string.text.data == NULL ? NULL : take_text(reading, BASE64_DECODED(string.text.size));
    if (copy == NULL)
        return p;
    long size = base64_decode(string.text, copy);
    if (size < 0)
        param_fault_why(&reading->faults, place, "got a string that is none");
    else if (check_length(reading, place, (size_t)size, "byte"))
        memcpy(to, &(pillion_bytes){copy, (size_t)size}, sizeof(pillion_bytes));
    return p;
}

/* ---- Numbers ---- */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *read_integer(struct param_reading *reading, const struct param_place *place,
                                const char *p, char *to)
{
    const struct param_row *row = place->row;
    const char *end = number_end(p, reading->end);
    int64_t value;

    if (*p != '-' && !is_digit(*p))
        return param_refuse(reading, place, p);
    switch (number_integer((struct bytes){p, (size_t)(end - p)}, &value)) {
    case NUMBER_LARGE:
        param_fault_why(&reading->faults, place, "got one beyond 64 bits (%lld to %lld)",
                        (long long)INT64_MIN, (long long)INT64_MAX);
        return end;
    case NUMBER_FRACTION:
        return param_refuse(reading, place, p);
    case NUMBER_WHOLE:
        break;
    }
    if (row->bounded && (value < row->min || value > row->max))
        return param_refuse(reading, place, p);
    memcpy(to, &value, sizeof(value));
    return end;
}

static const char *read_number(struct param_reading *reading, const struct param_place *place,
                               const char *p, char *to)
{
    const struct param_row *row = place->row;
    const char *end = number_end(p, reading->end);
    double value;

    if (*p != '-' && !is_digit(*p))
        return param_refuse(reading, place, p);
    if (!number_double((struct bytes){p, (size_t)(end - p)}, &value)) {
        param_fault_why(&reading->faults, place, "got one beyond 1.8e308");
        return end;
    }
    if (row->bounded && (value < row->from || value > row->to))
        return param_refuse(reading, place, p);
    memcpy(to, &value, sizeof(value));
    return end;
}

/* ---- Values ---- */

static inline const char *read_flag(struct param_reading *reading, const struct param_place *place,
                                    const char *p, char *to)
{
    if (*p != 't' && *p != 'f')
        return param_refuse(reading, place, p);
    memcpy(to, &(bool){*p == 't'}, sizeof(bool));
    return p + (*p == 't' ? 4 : 5);
}

const char *param_read_scalar(struct param_reading *reading, const struct param_place *place,
                              const char *p, char *to)
{
    const char *end;

    switch ((pillion_type)place->row->type) {
    case PILLION_FLAG:
        return read_flag(reading, place, p, to);
    case PILLION_INTEGER:
        return read_integer(reading, place, p, to);
    case PILLION_NUMBER:
        return read_number(reading, place, p, to);
    case PILLION_STRING:
        return read_string(reading, place, p, to);
    case PILLION_TEXT:
        return read_text(reading, place, p, to);
    case PILLION_ENUM:
        return read_word(reading, place, p, to);
    case PILLION_BYTES:
        return read_bytes(reading, place, p, to);
    default: /* PILLION_JSON */
        end = json_read_past(p, reading->end);
        memcpy(to, &(pillion_bytes){p, (size_t)(end - p)}, sizeof(pillion_bytes));
        return end;
    }
}
