/* Making tables of params. See param_table.h. */
#include "rpc/param_table.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/param_read.h"
#include "rpc/param_schema.h"

/* For each type of a param, its size in the structure; 0: params cannot be of it. */
static const size_t sizes[] = {
    [PILLION_FLAG] = sizeof(bool),           [PILLION_INTEGER] = sizeof(int64_t),
    [PILLION_STRING] = sizeof(char *),       [PILLION_ENUM] = sizeof(int),
    [PILLION_NUMBER] = sizeof(double),       [PILLION_TEXT] = sizeof(pillion_bytes),
    [PILLION_BYTES] = sizeof(pillion_bytes), [PILLION_OBJECT] = sizeof(char *),
    [PILLION_JSON] = sizeof(pillion_bytes),
};

/* Where its member may be: at multiples of this. */
static const size_t alignments[] = {
    [PILLION_FLAG] = _Alignof(bool),           [PILLION_INTEGER] = _Alignof(int64_t),
    [PILLION_STRING] = _Alignof(char *),       [PILLION_ENUM] = _Alignof(int),
    [PILLION_NUMBER] = _Alignof(double),       [PILLION_TEXT] = _Alignof(pillion_bytes),
    [PILLION_BYTES] = _Alignof(pillion_bytes), [PILLION_OBJECT] = 1,
    [PILLION_JSON] = _Alignof(pillion_bytes),
};

/* A table being made. */
struct making {
    struct pool *pool; /* of the outermost */
    size_t *size;      /* of all structures so far */
    const char *what;  /* what a row is called: "param" */
    bool fills;        /* the structure is filled by the table, and not read */
    struct error *error;
};

static const struct param_table *make(const struct making *making, const pillion_param *params,
                                      size_t size, bool open, unsigned depth);

/* Sets the error: "the param "name" …". */
__attribute__((format(printf, 3, 4))) static bool
wrong(const struct making *making, const pillion_param *param, const char *format, ...)
{
    va_list args;
    char text[512];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(making->error, "the %s \"%.64s\" %s", making->what, param->name, text);
}

/* One line of UTF-8 that JSON holds as it is, in any language. */
static bool name_valid(const char *name)
{
    size_t size = strlen(name);

    if (size == 0 || size > PARAM_NAME_MAX)
        return false;
    for (size_t i = 0, length; i < size; i += length) {
        length = utf8_sequence(name + i, size - i);
        if (length == 0 || (unsigned char)name[i] < 0x20 || strchr("\"\\\x7f", name[i]) != NULL)
            return false;
    }
    return true;
}

static bool check_name(const struct making *making, const pillion_param *params,
                       const pillion_param *param)
{
    if (!name_valid(param->name))
        return error_set(making->error,
                         "the name of a %s has 1 to %u bytes of UTF-8, without quotes, "
                         "backslashes and control characters; correct row %td",
                         making->what, PARAM_NAME_MAX, param - params + 1);
    for (const pillion_param *other = params; other < param; other++) {
        if (strcmp(other->name, param->name) == 0)
            return wrong(making, param, "is in the table twice");
    }
    return true;
}

static size_t width_of(const struct param_row *row)
{
    return row->list ? sizeof(pillion_array) : row->item_size;
}

/* Of an object, the largest of its members'. */
static size_t alignment_of(const struct param_row *row)
{
    size_t alignment = row->list ? _Alignof(pillion_array) : alignments[row->type];

    for (size_t i = 0; !row->list && row->members != NULL && i < row->members->count; i++) {
        size_t inner = alignment_of(&row->members->rows[i]);
        alignment = inner > alignment ? inner : alignment;
    }
    return alignment;
}

static bool within(size_t offset, const struct param_row *row)
{
    return offset >= row->offset && offset - row->offset < width_of(row);
}

/* No two rows fill the same bytes: a client that gives the one would choose what the other is, a
 * pointer even. `rows` are those up to `row`. */
static bool check_apart(const struct making *making, const struct param_row *rows,
                        const struct param_row *row)
{
    if (!making->fills)
        return true;
    for (const struct param_row *other = rows; other <= row; other++) {
        bool apart = other == row || (!within(row->offset, other) && !within(other->offset, row));
        if (!apart)
            return wrong(making, row->param,
                         "fills the same bytes of the structure as \"%.64s\"; see its .offset",
                         other->name.data);
        if (row->given != 0 && within(row->given, other))
            return wrong(making, row->param, "has its .given in the member of \"%.64s\"",
                         other->name.data);
        if (other->given != 0 && within(other->given, row))
            return wrong(making, other->param, "has its .given in the member of \"%.64s\"",
                         row->name.data);
    }
    return true;
}

/* The member lies within the structure, and has the size that its type takes. */
static bool check_place(const struct making *making, const pillion_param *param,
                        const struct param_row *row, size_t size)
{
    size_t width = width_of(row);

    if (param->width != 0 && param->width != width)
        return wrong(making, param, "fills %zu bytes, and its member has %zu; see pillion_type%s",
                     width, param->width, param->list ? " (a list is a pillion_array)" : "");
    if (param->offset > size || width > size - param->offset)
        return wrong(making, param,
                     "lies outside the structure; set its size by PILLION_PARAMS, "
                     "PILLION_GIVES or PILLION_MEMBERS");
    if (param->offset % alignment_of(row) != 0)
        return wrong(making, param,
                     "is at byte %zu of the structure, where its type cannot be; see its .offset "
                     "(a structure with a table is not packed)",
                     param->offset);
    if (param->given >= size && param->given != 0)
        return wrong(making, param, "has its .given outside the structure");
    return true;
}

static bool make_words(const struct making *making, const pillion_param *param,
                       struct param_row *row)
{
    size_t count = 0;

    if (param->type != PILLION_ENUM)
        return param->words == NULL ||
               wrong(making, param, "has .words, which are for PILLION_ENUM");
    while (param->words != NULL && param->words[count] != NULL)
        count++;
    if (count == 0)
        return wrong(making, param, "is an enumeration without words");
    struct bytes *words = pool_must_zalloc(making->pool, count * sizeof(*words));
    for (size_t i = 0; i < count; i++) {
        words[i] = bytes_of(param->words[i]);
        if (words[i].size > 0 && !name_valid(param->words[i]))
            return wrong(making, param, "has a word that is none: row %zu", i + 1);
        for (size_t j = 0; j < i; j++) {
            if (bytes_equal(words[j], words[i]))
                return wrong(making, param, "has the word \"%.64s\" twice", param->words[i]);
        }
    }
    row->words = words;
    row->word_count = count;
    return true;
}

static bool make_bounds(const struct making *making, const pillion_param *param,
                        struct param_row *row)
{
    bool counts = param->type != PILLION_INTEGER; /* characters or bytes */

    row->min = param->min != 0 || param->max != 0 || counts ? param->min : INT64_MIN;
    row->max = param->max == 0 && param->min >= 0 ? INT64_MAX : param->max;
    row->from = param->from == 0 && param->to == 0 ? -INFINITY : param->from;
    row->to = param->to == 0 && param->from >= 0 ? INFINITY : param->to;
    row->least = param->least;
    row->most = param->most == 0 ? SIZE_MAX : param->most;
    row->bounded = param->min != 0 || param->max != 0 || param->from != 0 || param->to != 0;
    if (row->min > row->max || !(row->from <= row->to) || row->least > row->most)
        return wrong(making, param, "has a lower bound above its upper one");
    if (counts && (param->min < 0 || param->max < 0))
        return wrong(making, param, "has a bound below 0, and how long it is is never");
    if ((param->from != 0 || param->to != 0) && param->type != PILLION_NUMBER)
        return wrong(making, param,
                     "has .from and .to, which are for PILLION_NUMBER; give .min "
                     "and .max");
    if ((param->min != 0 || param->max != 0) && param->type != PILLION_INTEGER &&
        param->type != PILLION_STRING && param->type != PILLION_TEXT &&
        param->type != PILLION_BYTES)
        return wrong(making, param, "has .min and .max, which its type cannot have%s",
                     param->type == PILLION_NUMBER ? "; give .from and .to" : "");
    if ((param->least != 0 || param->most != 0) && !param->list)
        return wrong(making, param, "has .least and .most, which are for lists");
    return true;
}

static bool make_row(const struct making *making, const pillion_param *params, size_t i,
                     size_t size, struct param_row *row, unsigned depth)
{
    const pillion_param *param = &params[i];

    if (!check_name(making, params, param))
        return false;
    if ((size_t)param->type >= sizeof(sizes) / sizeof(*sizes) || sizes[param->type] == 0)
        return wrong(making, param, "is of no type that a param can have");
    *row = (struct param_row){
        .name = bytes_of(param->name),
        .type = (uint8_t)param->type,
        .list = param->list,
        .required = param->required,
        .offset = param->offset,
        .given = param->given,
        .item_size = param->type == PILLION_OBJECT ? param->size : sizes[param->type],
        .param = param,
    };
    if (param->required && param->fallback != NULL)
        return wrong(making, param, "is required, and has a fallback that is never used");
    if (param->type != PILLION_OBJECT && (param->size != 0 || param->open))
        return wrong(making, param, "has %s, which is for PILLION_OBJECT",
                     param->open ? ".open" : "PILLION_MEMBERS");
    if (param->type == PILLION_OBJECT) {
        if (param->members == NULL || param->size == 0)
            return wrong(making, param, "is an object without PILLION_MEMBERS");
        row->members = make(making, param->members, param->size, param->open, depth + 1);
        if (row->members == NULL)
            return error_prefix(making->error, "in \"%.64s\"", param->name);
    }
    return check_place(making, param, row, size) && check_apart(making, row - i, row) &&
           make_words(making, param, row) && make_bounds(making, param, row);
}

/* Puts what a param is that is not given into the image. */
static bool make_default(const struct making *making, const struct param_row *row, char *image)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct faults faults = {.pool = making->pool};
    struct json_error fault;
    const char *fallback = row->param->fallback;

    if (fallback == NULL) {
        if (row->type == PILLION_OBJECT && !row->list)
            memcpy(image + row->offset, row->members->image, row->members->size);
        return true;
    }
    if (!json_check(bytes_of(fallback), &limits, &fault))
        return wrong(making, row->param, "has a fallback that is not JSON: %s, at byte %zu",
                     fault.reason, fault.offset);
    param_read_value(row, bytes_of(fallback), image + row->offset, &faults);
    if (faults.exhausted)
        memory_exhausted();
    return faults.count == 0 || wrong(making, row->param, "has a wrong fallback: %s: %s",
                                      faults.of[0]->path, faults.of[0]->text);
}

static struct bytes make_key(const struct making *making, struct bytes name)
{
    char *key = pool_must_zalloc(making->pool, name.size + 4);

    return (struct bytes){key, (size_t)sprintf(key, "\"%s\":", name.data)};
}

static const struct param_table *make(const struct making *making, const pillion_param *params,
                                      size_t size, bool open, unsigned depth)
{
    size_t count = 0;

    if (depth > PARAM_DEPTH_MAX) {
        error_set(making->error, "%ss are nested deeper than %u tables", making->what,
                  PARAM_DEPTH_MAX);
        return NULL;
    }
    while (params[count].name != NULL)
        count++;
    if (count > PARAM_ROWS_MAX) {
        error_set(making->error, "a table of %ss has %u rows at most, and not %zu", making->what,
                  PARAM_ROWS_MAX, count);
        return NULL;
    }
    if (size > PARAM_SIZE_MAX - *making->size) {
        error_set(making->error, "the structures of %ss have %u bytes at most, added up",
                  making->what, PARAM_SIZE_MAX);
        return NULL;
    }
    *making->size += size;
    struct param_table *table = pool_must_zalloc(making->pool, sizeof(*table));
    struct param_row *rows = pool_must_zalloc(making->pool, (count + 1) * sizeof(*rows));
    char *image = pool_must_zalloc(making->pool, size == 0 ? 1 : size);
    for (size_t i = 0; i < count; i++) {
        if (!make_row(making, params, i, size, &rows[i], depth) ||
            !make_default(making, &rows[i], image))
            return NULL;
        rows[i].key = make_key(making, rows[i].name);
        rows[i].bit = (uint64_t)1 << i;
        table->required |= params[i].required ? rows[i].bit : 0;
    }
    rows[count].name.size = rows[count].key.size = SIZE_MAX;
    table->rows = rows;
    table->count = count;
    table->open = open;
    table->size = size;
    table->image = image;
    table->origin = params[count].members == NULL ? params : params[count].members;
    return table;
}

/* Makes the outermost table. */
static struct param_table *make_whole(const pillion_param *rows, size_t size, bool open, bool gives,
                                      struct error *error)
{
    struct pool pool = {0};
    size_t structures = 0;
    const struct making making = {
        .pool = &pool,
        .size = &structures,
        .what = gives ? "member" : "param",
        .fills = !gives,
        .error = error,
    };

    const struct param_table *made = make(&making, rows, size, open, 1);
    struct text schema = {0};
    if (made == NULL) {
        pool_free(&pool);
        return NULL;
    }
    /* Outside of the pool, so that its holder is seen to hold the pool too: valgrind takes blocks
     * for lost that nothing points at the beginning of. */
    struct param_table *table = must_zalloc(sizeof(*table));
    *table = *made;
    param_schema(&schema, table, gives);
    table->schema = pool_must_strdup(&pool, text_string(&schema));
    text_free(&schema);
    table->pool = pool;
    return table;
}

struct param_table *param_table_make(const pillion_param *params, size_t size, bool open,
                                     struct error *error)
{
    return make_whole(params, size, open, false, error);
}

struct param_table *param_table_make_gives(const pillion_param *members, size_t size,
                                           struct error *error)
{
    return make_whole(members, size, true, true, error);
}

void param_table_free(struct param_table *table)
{
    if (table == NULL)
        return;
    pool_free(&table->pool);
    free(table);
}
