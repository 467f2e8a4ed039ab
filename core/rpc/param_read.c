/* Reading params by their table. See param_read.h.
 *
 * The text is valid JSON, so that every value has an end, and every object and array its bracket
 * before the end of the text: what ends a loop here is the bracket. A fault is noted, its value is
 * passed over, and reading goes on, so that a client is told of several at once. */
#include "rpc/param_read.h"

#include "rpc/fault_reply.h"
#include "rpc/param_scalar.h"
#include "wire/json_read.h"
#include "wire/number.h"

#define ROOM_WITH  1024u /* bytes for texts that are taken together with the structure */
#define LIST_FIRST 8u    /* room for so many items, and then for twice as many each time */
#define NO_INDEX   SIZE_MAX

/* ---- Values ---- */

static const char *read_object(struct param_reading *reading, const struct param_table *table,
                               const struct param_place *outer, const char *p, char *to);

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *quick_integer(const struct param_row *row, const char *p, char *to)
{
    const bool negative = *p == '-';
    const char *digits = p + negative, *end = digits;
    uint64_t whole = 0;

    for (; is_digit(*end); end++)
        whole = whole * 10 + (uint64_t)(*end - '0');
    if (end == digits || end - digits > 18 || *end == '.' || (*end | 0x20) == 'e')
        return NULL;
    const int64_t value = negative ? -(int64_t)whole : (int64_t)whole;
    if (value < row->min || value > row->max)
        return NULL;
    memcpy(to, &value, sizeof(value));
    return end;
}

static inline const char *quick_number(const struct param_row *row, const char *p, char *to)
{
    double value;
    const char *end = *p == '-' || is_digit(*p) ? number_take(p, &value) : NULL;

    if (end == NULL || !(value >= row->from && value <= row->to))
        return NULL;
    memcpy(to, &value, sizeof(value));
    return end;
}

/* A flag or a number that is written as most are, and is good. NULL, with nothing done, for all
 * else. */
static inline const char *quick_value(const struct param_row *row, const char *p, char *to)
{
    switch (row->type) {
    case PILLION_FLAG:
        if (*p != 't' && *p != 'f')
            return NULL;
        memcpy(to, &(bool){*p == 't'}, sizeof(bool));
        return p + (*p == 't' ? 4 : 5);
    case PILLION_INTEGER:
        return quick_integer(row, p, to);
    case PILLION_NUMBER:
        return quick_number(row, p, to);
    default:
        return NULL;
    }
}

static inline const char *read_value(struct param_reading *reading, const struct param_place *place,
                                     const char *p, char *to)
{
    const struct param_row *row = place->row;
    const char *end = quick_value(row, p, to);

    if (end != NULL)
        return end;
    if (row->type != PILLION_OBJECT)
        return param_read_scalar(reading, place, p, to);
    if (*p != '{')
        return param_refuse(reading, place, p);
    return read_object(reading, row->members, place, p, to);
}

/* Makes room for more items. False without memory. */
static bool list_grow(struct param_reading *reading, const struct param_row *row,
                      pillion_array *list, size_t *capacity)
{
    size_t more = *capacity == 0 ? LIST_FIRST : *capacity * 2;
    if (more > row->most)
        more = row->most;
    char *items = param_take(reading, more * row->item_size);

    if (items == NULL)
        return false;
    if (list->count > 0)
        memcpy(items, list->items, list->count * row->item_size);
    memset(items + list->count * row->item_size, 0, (more - list->count) * row->item_size);
    list->items = items;
    *capacity = more;
    return true;
}

/* Reads the array at `p` to the pillion_array at `to`. Items beyond what there may be are counted,
 * and not kept. */
static const char *read_list(struct param_reading *reading, struct param_place *place,
                             const char *p, char *to)
{
    const struct param_row *row = place->row;
    pillion_array list = {NULL, 0};
    size_t capacity = 0, count = 0;

    if (*p != '[')
        return param_refuse(reading, place, p);
    p = json_read_space(p + 1);
    while (*p != ']') {
        if (count < row->most && count == capacity && !list_grow(reading, row, &list, &capacity))
            return p;
        place->index = count;
        if (count < row->most) {
            p = read_value(reading, place, p, (char *)list.items + count * row->item_size);
            list.count = count + 1;
        } else {
            p = json_read_past(p, reading->end);
        }
        if (reading->exhausted)
            return p;
        count++;
        p = json_read_space(p);
        if (*p == ',')
            p = json_read_space(p + 1);
    }
    place->index = NO_INDEX;
    if (count < row->least || count > row->most)
        param_fault_why(&reading->faults, place, "got %zu", count);
    memcpy(to, &list, sizeof(list));
    return p + 1;
}

/* ---- Objects ---- */

/* The row of this name, which has no escapes; NULL when there is none. */
static const struct param_row *find_row(const struct param_table *table, struct bytes name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (bytes_equal(table->rows[i].name, name))
            return &table->rows[i];
    }
    return NULL;
}

/* Takes the member's name at `p`, its colon, and the space around that. Returns where its value
 * begins, and sets the row; NULL when there is none of the name. */
__attribute__((noinline)) static const char *take_name(struct param_reading *reading,
                                                       const struct param_table *table,
                                                       const struct param_place *place,
                                                       const char *p, const struct param_row **row)
{
    const char *quote = json_skip_plain(p + 1, reading->end);
    struct bytes name = {p + 1, (size_t)(quote - p) - 1};
    char unescaped[PARAM_NAME_MAX];

    if (*quote != '"') {
        const char *end = json_read_string_past(p, reading->end);
        long size =
            json_string_text((struct bytes){p, (size_t)(end - p)}, unescaped, sizeof(unescaped));
        quote = end - 1;
        name = (struct bytes){p + 1, (size_t)(quote - p) - 1};
        if (size >= 0)
            name = (struct bytes){unescaped, (size_t)size};
    }
    *row = find_row(table, name);
    if (*row == NULL && !table->open)
        param_fault_unknown(&reading->faults, place, table, name);
    p = json_read_space(quote + 1);
    return json_read_space(p + 1);
}

/* The same for the row that is likely, in one look: clients write members in one order, which is
 * the table's as a rule. Returns NULL when it is another one. */
static inline const char *take_likely(const struct param_reading *reading,
                                      const struct param_row *row, const char *p)
{
    if ((size_t)(reading->end - p) <= row->key.size ||
        !bytes_equal((struct bytes){p, row->key.size}, row->key))
        return NULL;
    return json_read_space(p + row->key.size);
}

/* Reads what the row says to its place in the structure. */
static inline const char *read_member(struct param_reading *reading, struct param_place *place,
                                      const char *p, char *structure)
{
    const struct param_row *row = place->row;

    if (row->given != 0)
        memcpy(structure + row->given, &(bool){true}, sizeof(bool));
    return row->list ? read_list(reading, place, p, structure + row->offset)
                     : read_value(reading, place, p, structure + row->offset);
}

__attribute__((cold, noinline)) static void find_missing(struct param_reading *reading,
                                                         const struct param_table *table,
                                                         const struct param_place *outer,
                                                         uint64_t missing)
{
    struct param_place place = {outer, NULL, NO_INDEX, NULL};

    for (size_t i = 0; i < table->count; i++) {
        place.row = &table->rows[i];
        if ((missing & place.row->bit) != 0)
            param_fault_missing(&reading->faults, &place);
    }
}

/* Reads the object at `p` to the structure. */
static const char *read_object(struct param_reading *reading, const struct param_table *table,
                               const struct param_place *outer, const char *p, char *to)
{
    struct param_place place = {outer, NULL, NO_INDEX, NULL};
    const struct param_row *next = table->rows;
    uint64_t seen = 0;

    memcpy(to, table->image, table->size);
    p = json_read_space(p + 1);
    while (*p != '}') {
        const char *value = take_likely(reading, next, p);
        place.row = next;
        if (value == NULL)
            value = take_name(reading, table, outer, p, &place.row);
        if (place.row == NULL) {
            p = json_read_past(value, reading->end);
        } else if ((seen & place.row->bit) != 0) {
            param_fault_twice(&reading->faults, &place);
            p = json_read_past(value, reading->end);
        } else {
            next = place.row + 1;
            seen |= place.row->bit;
            p = read_member(reading, &place, value, to);
        }
        if (reading->exhausted)
            return p;
        p = json_read_space(p);
        if (*p == ',')
            p = json_read_space(p + 1);
    }
    if ((table->required & ~seen) != 0)
        find_missing(reading, table, outer, table->required & ~seen);
    return p + 1;
}

/* Reads params by position. null is for one that is not given. */
static void read_positional(struct param_reading *reading, const struct param_table *table,
                            const char *p, char *to)
{
    struct param_place place = {NULL, table->rows, NO_INDEX, NULL};
    uint64_t missing = table->required;

    memcpy(to, table->image, table->size);
    p = json_read_space(p + 1);
    while (*p != ']' && !reading->exhausted) {
        size_t at = (size_t)(place.row - table->rows);
        if (at == table->count) {
            param_fault_surplus(&reading->faults, table);
            return;
        }
        bool takes_null = place.row->type == PILLION_JSON && !place.row->list;
        if (*p == 'n' && !place.row->required && !takes_null)
            p += 4;
        else
            p = read_member(reading, &place, p, to);
        missing &= ~place.row->bit;
        place.row++;
        p = json_read_space(p);
        if (*p == ',')
            p = json_read_space(p + 1);
    }
    if (missing != 0)
        find_missing(reading, table, NULL, missing);
}

/* ---- Requests ---- */

/* Answers with the faults. */
__attribute__((cold, noinline)) static bool fail(struct pillion_request *req,
                                                 const struct param_reading *reading)
{
    struct faults faults = reading->faults;

    faults.exhausted |= reading->exhausted;
    fault_refuse(req, &faults);
    return false;
}

bool param_read(struct pillion_request *req)
{
    const struct param_table *table = req->method->args;
    struct bytes params = req->params;
    const char *p = json_read_space(params.data);
    size_t room = params.size < ROOM_WITH ? params.size : ROOM_WITH;
    char *structure = pool_alloc(req->pool, table->size + room);
    struct param_reading reading;

    reading.end = params.data + params.size;
    reading.pool = reading.faults.pool = req->pool;
    reading.faults.count = 0; /* of nothing else in it, which costs less than setting all */
    reading.faults.exhausted = false;
    reading.exhausted = structure == NULL;
    if (structure == NULL)
        return fail(req, &reading);
    reading.room = structure + table->size;
    reading.room_end = reading.room + room;
    if (*p == '{')
        read_object(&reading, table, NULL, p, structure);
    else if (*p == '[' && req->format == ENVELOPE_JSONRPC)
        read_positional(&reading, table, p, structure);
    else if (*p == 'n')
        read_object(&reading, table, NULL, "{}", structure);
    else
        param_fault_value(&reading.faults, NULL, p, reading.end);
    if (reading.exhausted || reading.faults.count > 0 || reading.faults.exhausted)
        return fail(req, &reading);
    req->args = structure;
    return true;
}

void param_read_value(const struct param_row *row, struct bytes value, char *to,
                      struct faults *faults)
{
    struct param_place place = {NULL, row, NO_INDEX, NULL};
    struct param_reading reading = {
        .end = value.data + value.size, .pool = faults->pool, .faults = *faults};
    const char *p = json_read_space(value.data);

    if (row->list)
        read_list(&reading, &place, p, to);
    else
        read_value(&reading, &place, p, to);
    *faults = reading.faults;
    faults->exhausted |= reading.exhausted;
}
