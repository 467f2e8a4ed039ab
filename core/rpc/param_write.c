/* Writing structures by their table. See param_write.h. */
#include "rpc/param_write.h"

#include <math.h>
#include <stdio.h>

#include "rpc/param_fault.h"
#include "rpc/result.h"
#include "wire/json.h"
#include "wire/json_plain.h"
#include "wire/number.h"

#define NO_INDEX SIZE_MAX

/* A structure being written. */
struct writing {
    struct pillion_request *req;
    struct faults faults;
};

static void write_object(struct writing *writing, const struct param_table *table,
                         const struct param_place *outer, const char *from);

/* ---- Text ---- */

/* True for UTF-8; `characters` is how many there are. */
static bool is_utf8(struct bytes text, size_t *characters)
{
    size_t at = text.size == 0
                    ? 0
                    : (size_t)(json_skip_plain(text.data, text.data + text.size) - text.data);

    for (*characters = at; at < text.size; ++*characters) {
        size_t size = utf8_sequence(text.data + at, text.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static bool has_length(struct writing *writing, const struct param_place *place, size_t size,
                       const char *unit)
{
    const struct param_row *row = place->row;

    if (!row->bounded || (size >= (uint64_t)row->min && size <= (uint64_t)row->max))
        return true;
    param_fault_why(&writing->faults, place, "got %zu %s%s", size, unit, size == 1 ? "" : "s");
    return false;
}

static void write_text(struct writing *writing, const struct param_place *place, struct bytes text)
{
    size_t characters;

    if (!is_utf8(text, &characters))
        param_fault_why(&writing->faults, place, "got bytes that are no UTF-8");
    else if (has_length(writing, place, characters, "character"))
        result_put_text(writing->req, NULL, text);
}

static void write_bytes(struct writing *writing, const struct param_place *place, struct bytes data)
{
    if (has_length(writing, place, data.size, "byte"))
        result_put_base64(writing->req, NULL, data);
}

static void write_json(struct writing *writing, const struct param_place *place, struct bytes json)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (json_check(json, &limits, &error))
        result_put_json(writing->req, NULL, json);
    else
        param_fault_why(&writing->faults, place, "got no valid JSON: %s, at byte %zu", error.reason,
                        error.offset);
}

/* ---- Other values ---- */

static void write_integer(struct writing *writing, const struct param_place *place, const char *at)
{
    const struct param_row *row = place->row;
    int64_t value;

    memcpy(&value, at, sizeof(value));
    if (row->bounded && (value < row->min || value > row->max))
        param_fault_why(&writing->faults, place, "got %lld", (long long)value);
    else
        result_put_integer(writing->req, NULL, value);
}

static void write_number(struct writing *writing, const struct param_place *place, const char *at)
{
    const struct param_row *row = place->row;
    char text[NUMBER_TEXT_MAX];
    double value;

    memcpy(&value, at, sizeof(value));
    if (!isfinite(value)) {
        param_fault_why(&writing->faults, place, "got %g", value);
    } else if (row->bounded && (value < row->from || value > row->to)) {
        number_write(value, text);
        param_fault_why(&writing->faults, place, "got %s", text);
    } else {
        result_put_number(writing->req, NULL, value);
    }
}

static void write_word(struct writing *writing, const struct param_place *place, const char *at)
{
    const struct param_row *row = place->row;
    int index;

    memcpy(&index, at, sizeof(index));
    if (index < 0 || (size_t)index >= row->word_count)
        param_fault_why(&writing->faults, place, "got the index %d, which is no word's", index);
    else
        result_put_text(writing->req, NULL, row->words[index]);
}

static bool is_set(const char *at)
{
    unsigned char byte;

    memcpy(&byte, at, 1);
    return byte != 0;
}

static struct bytes bytes_at(const char *at)
{
    pillion_bytes bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return (struct bytes){bytes.data, bytes.size};
}

/* What a row of text or JSON points at; data NULL: nothing. */
static struct bytes pointed_at(const struct param_row *row, const char *at)
{
    const char *string;

    if (row->type != PILLION_STRING)
        return bytes_at(at);
    memcpy(&string, at, sizeof(string));
    return string == NULL ? (struct bytes){NULL, 0} : bytes_of(string);
}

/* Writes the value at `at`, which is no list, with its name where it is no element of one. One that
 * points at nothing is left out where the row lets it. */
static inline void write_value(struct writing *writing, const struct param_place *place,
                               const char *at)
{
    const struct param_row *row = place->row;
    struct bytes bytes = {NULL, 0};

    if (param_may_be_null(row)) {
        bytes = pointed_at(row, at);
        if (bytes.data == NULL) {
            if (row->required || row->list)
                param_fault_why(&writing->faults, place, "got NULL");
            return;
        }
    }
    if (!row->list)
        result_put_key(writing->req, row->key);
    switch ((pillion_type)row->type) {
    case PILLION_FLAG:
        result_put_json(writing->req, NULL, is_set(at) ? BYTES("true") : BYTES("false"));
        break;
    case PILLION_INTEGER:
        write_integer(writing, place, at);
        break;
    case PILLION_NUMBER:
        write_number(writing, place, at);
        break;
    case PILLION_ENUM:
        write_word(writing, place, at);
        break;
    case PILLION_BYTES:
        write_bytes(writing, place, bytes);
        break;
    case PILLION_JSON:
        write_json(writing, place, bytes);
        break;
    case PILLION_OBJECT:
        result_begin(writing->req, NULL, false);
        write_object(writing, row->members, place, at);
        result_end(writing->req);
        break;
    default: /* PILLION_STRING, PILLION_TEXT */
        write_text(writing, place, bytes);
    }
}

/* ---- Lists and objects ---- */

static void write_list(struct writing *writing, struct param_place *place, const char *at)
{
    const struct param_row *row = place->row;
    pillion_array list;

    memcpy(&list, at, sizeof(list));
    if (list.count < row->least || list.count > row->most)
        param_fault_why(&writing->faults, place, "got %zu", list.count);
    if (list.items == NULL && list.count > 0) {
        param_fault_why(&writing->faults, place, "got %zu at NULL", list.count);
        return;
    }
    result_put_key(writing->req, row->key);
    result_begin(writing->req, NULL, true);
    for (size_t i = 0; i < list.count; i++) {
        place->index = i;
        write_value(writing, place, (const char *)list.items + i * row->item_size);
    }
    place->index = NO_INDEX;
    result_end(writing->req);
}

/* Writes the members of the object that has been begun, from the structure. */
static void write_object(struct writing *writing, const struct param_table *table,
                         const struct param_place *outer, const char *from)
{
    struct param_place place = {.outer = outer, .index = NO_INDEX};

    for (size_t i = 0; i < table->count; i++) {
        const struct param_row *row = place.row = &table->rows[i];
        if (row->given != 0 && !is_set(from + row->given)) {
            if (row->required)
                param_fault_missing(&writing->faults, &place);
        } else if (row->list) {
            write_list(writing, &place, from + row->offset);
        } else {
            write_value(writing, &place, from + row->offset);
        }
    }
}

/* ---- Requests ---- */

/* Writes the structure as a whole. `what` is what places in it begin with. */
static void write_structure(struct pillion_request *req, const struct param_table *table,
                            const char *name, const char *what, const void *structure)
{
    const struct param_place outermost = {.root = what, .index = NO_INDEX};
    struct writing writing = {.req = req, .faults = {.pool = req->pool}};

    result_begin(req, name, false);
    if (req->result == NULL) /* without memory, the request is answered */
        return;
    write_object(&writing, table, &outermost, structure);
    if (writing.faults.count > 0) {
        const struct fault *first = writing.faults.of[0];
        char *mistake = pool_alloc(req->pool, sizeof(*first) + 3);
        if (mistake != NULL)
            snprintf(mistake, sizeof(*first) + 3, "%s: %s", first->path, first->text);
        writing.faults.exhausted |= mistake == NULL;
        result_wrong(req, mistake);
    }
    if (writing.faults.exhausted)
        result_wrong(req, "a value is not as its table says");
    result_end(req);
}

void param_reply(struct pillion_request *req, const char *out, const void *structure)
{
    if (req->filter != NULL || req->method->gives == NULL)
        result_refuse(req, "pillion_reply_struct is for handlers of methods with PILLION_GIVES");
    else if (req->result != NULL)
        result_refuse(req, "pillion_reply_struct within a result that it has begun "
                           "(pillion_put_struct)");
    else if (structure == NULL)
        result_refuse(req, "pillion_reply_struct was given NULL");
    else
        write_structure(req, req->method->gives, out, "result", structure);
}

/* The table that was made of these rows: this one, or one in it. NULL when there is none. */
static const struct param_table *find_table(const struct param_table *table,
                                            const pillion_param *rows)
{
    const struct param_table *found = table->origin == rows ? table : NULL;

    for (size_t i = 0; found == NULL && i < table->count; i++) {
        if (table->rows[i].members != NULL)
            found = find_table(table->rows[i].members, rows);
    }
    return found;
}

void param_put(struct pillion_request *req, const char *name, const pillion_param *rows,
               const void *structure)
{
    const struct param_table *gives = req->filter == NULL ? req->method->gives : NULL;
    const struct param_table *table = gives == NULL ? NULL : find_table(gives, rows);

    if (req->result == NULL || table == NULL || structure == NULL) {
        result_wrong(req, structure == NULL
                              ? "pillion_put_struct was given NULL"
                              : "pillion_put_struct was given a table that is not in its method's "
                                "PILLION_GIVES");
        result_put_json(req, name, BYTES("null")); /* where none is begun, that is told */
        return;
    }
    write_structure(req, table, name, name == NULL ? "item" : name, structure);
}
