/* Params by table against cJSON: for JSON that the strict check accepts, the table's verdict and
 * every value in the structure are what an oracle finds that walks cJSON's tree by the same table.
 * The structure is written by the table then, as results are: cJSON finds every value of it in the
 * text, and the text reads back as the same structure.
 * Numbers are compared where doubles can tell; their digits are the unit test's (test_number). */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "fuzz.h"
#include "rpc/param_read.h"
#include "rpc/param_table.h"
#include "rpc/param_write.h"
#include "wire/base64.h"
#include "wire/frame.h"

struct inner {
    const char *s;
    double n;
    bool given;
};

struct outer {
    bool f;
    int64_t i;
    double n;
    const char *s;
    int e;
    pillion_bytes t, b, j;
    struct inner o;
    pillion_array os, is, ss;
    bool given, gave_o, gave_is; /* what zero is no value of needs one */
};

static const char *const words[] = {"a", "bc", NULL};

static const pillion_param inner_rows[] = {
    PILLION_PARAM(struct inner, s, PILLION_STRING, .min = 1, .required = true),
    PILLION_PARAM(struct inner, n, PILLION_NUMBER, .fallback = "1", .from = -1, .to = 9,
                  .given = offsetof(struct inner, given)),
    {0},
};

static const pillion_param rows[] = {
    PILLION_PARAM(struct outer, i, PILLION_INTEGER, .fallback = "3", .min = -5, .max = 1000),
    PILLION_PARAM(struct outer, f, PILLION_FLAG, .given = offsetof(struct outer, given)),
    PILLION_PARAM(struct outer, n, PILLION_NUMBER),
    PILLION_PARAM(struct outer, s, PILLION_STRING, .max = 4),
    PILLION_PARAM(struct outer, e, PILLION_ENUM, .words = words),
    PILLION_PARAM(struct outer, t, PILLION_TEXT),
    PILLION_PARAM(struct outer, b, PILLION_BYTES, .max = 3),
    PILLION_PARAM(struct outer, j, PILLION_JSON),
    PILLION_PARAM(struct outer, o, PILLION_OBJECT, PILLION_MEMBERS(struct inner, inner_rows),
                  .given = offsetof(struct outer, gave_o)),
    PILLION_PARAM(struct outer, os, PILLION_OBJECT, .list = true, .most = 9, .open = true,
                  PILLION_MEMBERS(struct inner, inner_rows)),
    PILLION_PARAM(struct outer, is, PILLION_INTEGER, .list = true, .least = 1,
                  .given = offsetof(struct outer, gave_is)),
    PILLION_PARAM(struct outer, ss, PILLION_TEXT, .list = true),
    {0},
};

static char *sink;

static char *reserve(struct pillion_request *req, size_t size)
{
    (void)req;
    return sink = realloc(sink, size + 1);
}

/* ---- The oracle ---- */

static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool scalar_right(const pillion_param *row, const cJSON *item, const char *at)
{
    char decoded[4096];
    double number = item->valuedouble;
    pillion_bytes bytes;
    long size;

    switch (row->type) {
    case PILLION_FLAG:
        return cJSON_IsBool(item) &&
               (at == NULL || *(const bool *)(const void *)at == cJSON_IsTrue(item));
    case PILLION_INTEGER:
        if (!cJSON_IsNumber(item) || number != floor(number) || fabs(number) > 9e18)
            return false;
        if ((row->min != 0 || row->max != 0) &&
            (number < (double)row->min || number > (double)row->max))
            return false;
        return at == NULL || (double)*(const int64_t *)(const void *)at == number;
    case PILLION_NUMBER:
        if (!cJSON_IsNumber(item) || isinf(number))
            return false;
        if ((row->from != 0 || row->to != 0) && (number < row->from || number > row->to))
            return false;
        return at == NULL || *(const double *)(const void *)at == number;
    case PILLION_STRING:
        if (!cJSON_IsString(item) || characters(item->valuestring) < (size_t)row->min ||
            (row->max != 0 && characters(item->valuestring) > (size_t)row->max))
            return false;
        return at == NULL || strcmp(*(const char *const *)(const void *)at, item->valuestring) == 0;
    case PILLION_TEXT:
        if (!cJSON_IsString(item) || at == NULL)
            return cJSON_IsString(item);
        memcpy(&bytes, at, sizeof(bytes));
        return bytes.size == strlen(item->valuestring) &&
               memcmp(bytes.data, item->valuestring, bytes.size) == 0;
    case PILLION_ENUM:
        for (int i = 0; cJSON_IsString(item) && words[i] != NULL; i++) {
            if (strcmp(words[i], item->valuestring) == 0)
                return at == NULL || *(const int *)(const void *)at == i;
        }
        return false;
    case PILLION_BYTES:
        if (!cJSON_IsString(item) || strlen(item->valuestring) > sizeof(decoded))
            return false;
        size = base64_decode(bytes_of(item->valuestring), decoded);
        if (size < 0 || (row->max != 0 && size > row->max) || at == NULL)
            return size >= 0 && size <= row->max;
        memcpy(&bytes, at, sizeof(bytes));
        return bytes.size == (size_t)size && memcmp(bytes.data, decoded, bytes.size) == 0;
    default:
        if (at == NULL)
            return true;
        memcpy(&bytes, at, sizeof(bytes));
        cJSON *same = cJSON_ParseWithLength(bytes.data, bytes.size);
        bool equal = same != NULL && same->type == item->type;
        cJSON_Delete(same);
        return equal;
    }
}

static bool object_right(const pillion_param *table, const cJSON *item, const char *at, bool open);

static bool value_right(const pillion_param *row, const cJSON *item, const char *at)
{
    if (row->type == PILLION_OBJECT)
        return object_right(row->members, item, at, row->open);
    return scalar_right(row, item, at);
}

static size_t item_size(const pillion_param *row)
{
    return row->type == PILLION_OBJECT    ? row->size
           : row->type == PILLION_INTEGER ? sizeof(int64_t)
                                          : sizeof(pillion_bytes);
}

static bool member_right(const pillion_param *row, const cJSON *item, const char *at)
{
    pillion_array list = {NULL, 0};
    const cJSON *element;
    size_t count = 0;

    if (!row->list)
        return value_right(row, item, at);
    if (at != NULL)
        memcpy(&list, at, sizeof(list));
    if (!cJSON_IsArray(item))
        return false;
    cJSON_ArrayForEach(element, item)
    {
        const char *place = at == NULL ? NULL : (const char *)list.items + count * item_size(row);
        if ((at != NULL && count >= list.count) || !value_right(row, element, place))
            return false;
        count++;
    }
    return count >= row->least && (row->most == 0 || count <= row->most) &&
           (at == NULL || count == list.count);
}

/* With `at` NULL: whether the table takes it; otherwise whether the structure is the same, too. */
static bool object_right(const pillion_param *table, const cJSON *item, const char *at, bool open)
{
    const cJSON *member;

    if (!cJSON_IsObject(item))
        return false;
    for (const pillion_param *row = table; row->name != NULL; row++) {
        unsigned times = 0;
        cJSON_ArrayForEach(member, item)
        {
            if (strcmp(member->string, row->name) != 0)
                continue;
            times++;
            if (!member_right(row, member, at == NULL ? NULL : at + row->offset))
                return false;
        }
        if (times > 1 || (times == 0 && row->required))
            return false;
        if (at != NULL && row->given != 0 &&
            *(const bool *)(const void *)(at + row->given) != (times == 1))
            return false;
    }
    cJSON_ArrayForEach(member, item)
    {
        const pillion_param *row = table;
        while (row->name != NULL && strcmp(row->name, member->string) != 0)
            row++;
        if (row->name == NULL && !open)
            return false;
    }
    return true;
}

/* True when a number in the text is one on which doubles cannot decide: with many digits, or a
 * large exponent. */
static bool too_fine(struct bytes text)
{
    size_t digits = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        digits = (c >= '0' && c <= '9') || c == '.' ? digits + 1 : 0;
        if (digits > 14 ||
            ((c | 0x20) == 'e' && i > 0 && text.data[i - 1] >= '0' && text.data[i - 1] <= '9'))
            return true;
    }
    return false;
}

static void compare(const struct pillion_request *req, const struct bytes text)
{
    cJSON *item = cJSON_ParseWithLength(text.data, text.size);

    if (item == NULL) /* what cJSON cannot hold */
        return;
    bool takes = cJSON_IsNull(item) || object_right(rows, item, NULL, false);
    require(takes == (req->args != NULL));
    if (takes && cJSON_IsObject(item))
        require(object_right(rows, item, req->args, false));
    cJSON_Delete(item);
}

/* ---- Writing ---- */

/* The structure, written by the table of the request's method: a copy in the pool. */
static struct bytes written(const struct method *method, const void *structure, struct pool *pool)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct pillion_request req = {
        .method = method, .pool = pool, .reserve = reserve, .max_reply = 1 << 20};
    struct json_error fault;

    param_reply(&req, "f", structure);
    require(req.answered && !req.failed);
    struct bytes reply = {sink + FRAME_HEADER_SIZE, req.size - FRAME_HEADER_SIZE};
    require(json_check(reply, &limits, &fault));
    struct bytes result = envelope_member(reply, BYTES("result"));
    char *copy = pool_alloc(pool, result.size);
    require(copy != NULL);
    memcpy(copy, result.data, result.size);
    return (struct bytes){copy, result.size};
}

/* What the params have filled is written, found by the oracle, and read back. */
static void write_back(const struct pillion_request *read)
{
    struct bytes first = written(read->method, read->args, read->pool);
    struct pillion_request again = {
        .method = read->method,
        .params = first,
        .pool = read->pool,
        .reserve = reserve,
        .max_reply = 1 << 20,
    };

    require(param_read(&again));
    require(bytes_equal(first, written(read->method, again.args, read->pool)));
    cJSON *item = json_has_nul(first) || too_fine(first)
                      ? NULL
                      : cJSON_ParseWithLength(first.data, first.size);
    if (item != NULL)
        require(object_right(rows, item, read->args, false));
    cJSON_Delete(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    static struct pillion_instance instance = {.name = "fuzz", .version = "1"};
    static struct method method = {.name = BYTES("fuzz"), .instance = &instance, .own_name = "f"};
    struct json_error fault;
    struct error error;
    struct pool pool = {0};
    bool positional = size > 0 && data[size - 1] == '\n';
    char *exact = malloc(size == 0 ? 1 : size);

    memcpy(exact, data, size);
    if (method.args == NULL)
        method.args = param_table_make(rows, sizeof(struct outer), false, &error);
    if (method.gives == NULL)
        method.gives = param_table_make_gives(rows, sizeof(struct outer), &error);
    require(method.args != NULL && method.gives != NULL);
    const struct bytes text = {exact, size - (positional ? 1 : 0)};
    /* Params are a value without white space around it, as an envelope has it. */
    if (json_check(text, &limits, &fault) && exact[0] > ' ' && text.data[text.size - 1] > ' ') {
        struct pillion_request req = {
            .method = &method,
            .params = text,
            .pool = &pool,
            .reserve = reserve,
            .max_reply = 1 << 20,
            .format = positional ? ENVELOPE_JSONRPC : ENVELOPE_PILLION,
        };
        require(param_read(&req) == (req.args != NULL));
        require(req.answered == (req.args == NULL));
        struct bytes reply = {sink, req.size};
        if (req.answered)
            require(req.size > FRAME_HEADER_SIZE &&
                    json_check((struct bytes){reply.data + FRAME_HEADER_SIZE,
                                              reply.size - FRAME_HEADER_SIZE},
                               &limits, &fault));
        if (!positional && !json_has_nul(text) && !too_fine(text))
            compare(&req, text);
        if (req.args != NULL)
            write_back(&req);
    }
    pool_free(&pool);
    free(exact);
    return 0;
}
