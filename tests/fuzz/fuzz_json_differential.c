/* What the strict pass accepts, cJSON parses to an equal value.
 *
 * A small recursive reader, which shares nothing with the pass, walks the text beside cJSON's tree.
 * Where cJSON differs by design, and only there, it may:
 * - a \u0000 ends its strings and names, so they are compared up to there;
 * - half of a surrogate pair makes it refuse the text, and it must, so that this stays true;
 * - its numbers are what strtod(3) makes of them.
 * Then the tree is printed: what modules answer with is JSON to us as well.
 *
 * And what cJSON finds in a request of JSON-RPC, or in a batch, envelope_read does. */
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "wire/envelope.h"

struct reader {
    const char *p;  /* into text that the strict pass has accepted and that a NUL follows */
    char *decoded;  /* room for any string in it */
    bool half_pair; /* one was seen so far */
};

static void skip_space(struct reader *reader)
{
    reader->p += strspn(reader->p, " \t\r\n");
}

/* Takes `c` and the white space before it, when it is next. */
static bool take(struct reader *reader, char c)
{
    skip_space(reader);
    if (*reader->p != c)
        return false;
    reader->p++;
    return true;
}

static unsigned long hex4(const char *p)
{
    const char digits[5] = {p[0], p[1], p[2], p[3], '\0'};

    return strtoul(digits, NULL, 16);
}

static unsigned long read_unicode(struct reader *reader)
{
    unsigned long code = hex4(reader->p);

    reader->p += 4;
    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code < 0xdc00 && reader->p[0] == '\\' && reader->p[1] == 'u') {
        unsigned long low = hex4(reader->p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            reader->p += 6;
            return 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
        }
    }
    reader->half_pair = true;
    return code;
}

static char *encode(char *to, unsigned long code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* The string at the reader; with \u0000 in it, a shorter string to C. */
static const char *read_string(struct reader *reader)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    char *to = reader->decoded;

    require(take(reader, '"'));
    while (*reader->p != '"') {
        require(*reader->p != '\0');
        char c = *reader->p++;
        if (c == '\\') {
            c = *reader->p++;
            if (c == 'u') {
                to = encode(to, read_unicode(reader));
                continue;
            }
            const char *special = strchr(from, c);
            c = special == NULL ? c : into[special - from];
        }
        *to++ = c;
    }
    reader->p++;
    *to = '\0';
    return reader->decoded;
}

static void compare_number(struct reader *reader, const cJSON *item)
{
    size_t size = strspn(reader->p, "+-.0123456789eE");
    char *end, *digits = strndup(reader->p, size);
    double value = strtod(digits, &end);

    require(size > 0 && *end == '\0');
    if (item != NULL)
        require(cJSON_IsNumber(item) && item->valuedouble == value);
    reader->p += size;
    free(digits);
}

static void compare_value(struct reader *reader, const cJSON *item, bool compared);

static void compare_members(struct reader *reader, char close, const cJSON *item, bool compared)
{
    const cJSON *child = compared ? item->child : NULL;

    reader->p++;
    if (take(reader, close)) {
        require(child == NULL);
        return;
    }
    do {
        require(!compared || child != NULL);
        if (close == '}') {
            const char *name = read_string(reader);
            if (compared)
                require(strcmp(child->string, name) == 0);
            require(take(reader, ':'));
        }
        compare_value(reader, child, compared);
        child = compared ? child->next : NULL;
    } while (take(reader, ','));
    require(child == NULL && take(reader, close));
}

static void compare_word(struct reader *reader, const char *word, bool equal)
{
    require(strncmp(reader->p, word, strlen(word)) == 0 && equal);
    reader->p += strlen(word);
}

/* Reads a value; when `compared`, `item` is to be equal to it. */
static void compare_value(struct reader *reader, const cJSON *item, bool compared)
{
    skip_space(reader);
    switch (*reader->p) {
    case '{':
        require(!compared || cJSON_IsObject(item));
        compare_members(reader, '}', item, compared);
        break;
    case '[':
        require(!compared || cJSON_IsArray(item));
        compare_members(reader, ']', item, compared);
        break;
    case '"': {
        const char *string = read_string(reader);
        if (compared)
            require(cJSON_IsString(item) && strcmp(item->valuestring, string) == 0);
        break;
    }
    case 't':
        compare_word(reader, "true", !compared || cJSON_IsTrue(item));
        break;
    case 'f':
        compare_word(reader, "false", !compared || cJSON_IsFalse(item));
        break;
    case 'n':
        compare_word(reader, "null", !compared || cJSON_IsNull(item));
        break;
    default:
        compare_number(reader, compared ? item : NULL);
    }
}

static struct reader compare_text(const char *text, char *decoded, const cJSON *item, bool compared)
{
    struct reader reader = {.p = text, .decoded = decoded};

    compare_value(&reader, item, compared);
    skip_space(&reader);
    require(*reader.p == '\0');
    return reader;
}

static void require_printed_is_json(const cJSON *item)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;
    char *printed = cJSON_PrintUnformatted(item);

    require(printed != NULL && json_check(bytes_of(printed), &limits, &error));
    cJSON_free(printed);
}

/* ---- Requests of JSON-RPC ---- */

/* The member, unless it is there twice; how often is told too. */
static const cJSON *member_of(const cJSON *object, const char *name, unsigned *times)
{
    const cJSON *found = NULL, *item;

    *times = 0;
    cJSON_ArrayForEach(item, object)
    {
        if (strcmp(item->string, name) != 0)
            continue;
        found = found == NULL ? item : found;
        ++*times;
    }
    return found;
}

/* True when this is a request by the specification (section 4). */
static bool is_request(const cJSON *object)
{
    unsigned versions, methods, ids, params;
    const cJSON *version = member_of(object, "jsonrpc", &versions);
    const cJSON *method = member_of(object, "method", &methods);
    const cJSON *id = member_of(object, "id", &ids), *param = member_of(object, "params", &params);

    return versions == 1 && methods == 1 && ids <= 1 && params <= 1 && cJSON_IsString(version) &&
           strcmp(version->valuestring, "2.0") == 0 && cJSON_IsString(method) &&
           strlen(method->valuestring) <= METHOD_NAME_MAX &&
           (id == NULL || cJSON_IsString(id) || cJSON_IsNumber(id) || cJSON_IsNull(id)) &&
           (param == NULL || cJSON_IsObject(param) || cJSON_IsArray(param));
}

static void compare_request(const struct envelope *envelope, const cJSON *item)
{
    unsigned times;
    const char *method = member_of(item, "method", &times)->valuestring;

    require(bytes_equal(envelope->in, bytes_of(method)));
    require(envelope->notifies == (member_of(item, "id", &times) == NULL));
}

static void compare_batch(struct bytes batch, const cJSON *items)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    const cJSON *item;
    struct bytes element;
    size_t at = 0;

    cJSON_ArrayForEach(item, items)
    {
        struct envelope envelope;
        struct json_error error;
        require(envelope_next(batch, &at, &element));
        cJSON *same = cJSON_ParseWithLength(element.data, element.size);
        /* 1e400 is an infinity, which cJSON_Compare finds different from itself. */
        require(same != NULL && same->type == item->type);
        cJSON_Delete(same);
        bool ok = cJSON_IsObject(item) && is_request(item);
        require((envelope_read_element(element, &limits, &envelope, &error) == ENVELOPE_OK) == ok);
        if (ok)
            compare_request(&envelope, item);
    }
    require(!envelope_next(batch, &at, &element));
}

/* Text with \u0000 is left out: cJSON cuts names and strings there. */
static void compare_envelope(struct bytes exact, const cJSON *item)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct envelope envelope;
    struct json_error error;
    unsigned times = 0;

    if (json_has_nul(exact))
        return;
    enum envelope_status status = envelope_read(exact, &limits, &envelope, &error);
    bool named = cJSON_IsObject(item) && member_of(item, "jsonrpc", &times) != NULL;
    require((envelope.format == ENVELOPE_JSONRPC) == (named || cJSON_IsArray(item)));
    require((status == ENVELOPE_BATCH) == (cJSON_IsArray(item) && item->child != NULL));
    if (named)
        require((status == ENVELOPE_OK) == is_request(item));
    if (named && status == ENVELOPE_OK)
        compare_request(&envelope, item);
    if (status == ENVELOPE_BATCH)
        compare_batch(exact, item);
}

/* `exact` has no NUL after it, as a body has none; `text` is the same and has one. */
static void compare_with_cjson(struct bytes exact, const char *text, char *decoded)
{
    struct reader seen = compare_text(text, decoded, NULL, false);
    const char *end = NULL;
    cJSON *item = cJSON_ParseWithLengthOpts(exact.data, exact.size, &end, false);
    bool whole = item != NULL && strspn(text + (end - exact.data), " \t\r\n") ==
                                     (size_t)(exact.data + exact.size - end);

    require(seen.half_pair ? item == NULL : whole);
    if (whole) {
        compare_text(text, decoded, item, true);
        require_printed_is_json(item);
        compare_envelope(exact, item);
    }
    cJSON_Delete(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct bytes exact = {(const char *)data, size};
    struct json_error error;

    if (!json_check(exact, &limits, &error))
        return 0;
    char *text = strndup(exact.data, size), *decoded = malloc(size + 1);
    compare_with_cjson(exact, text, decoded);
    free(text);
    free(decoded);
    return 0;
}
