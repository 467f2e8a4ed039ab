/* Envelopes: finding and checking the members of a request that have a meaning. See json.h.
 *
 * The members of the outermost object are taken here, one by one, and everything inside them by the
 * scanner, so that finding them costs no second look. A body is read to its end before it is
 * judged: bad JSON anywhere outweighs a bad request, and `id` may come after a bad request's fault.
 */
#include "wire/json.h"
#include "wire/json_plain.h"
#include "wire/json_private.h"

enum member { MEMBER_IN, MEMBER_PARAMS, MEMBER_ID, MEMBER_COUNT };

static const struct {
    struct bytes name;
    const char *twice;
} members[MEMBER_COUNT] = {
    [MEMBER_IN] = {{"in", 2}, "the request has the member \"in\" twice"},
    [MEMBER_PARAMS] = {{"params", 6}, "the request has the member \"params\" twice"},
    [MEMBER_ID] = {{"id", 2}, "the request has the member \"id\" twice"},
};

struct reader {
    struct json_scan scan;
    /* Values as they were sent; the first of a name counts. Starts and sizes are apart because
     * reading both as one, just after they were written as two, stalls the processor. */
    const char *found[MEMBER_COUNT];
    size_t found_size[MEMBER_COUNT];
    const char *object; /* where the request starts */
    bool twice[MEMBER_COUNT];
    struct json_error fault; /* the first fault of a request that is JSON; reason NULL for none */
};

static void note_fault(struct reader *reader, const char *at, const char *reason)
{
    if (reader->fault.reason == NULL)
        reader->fault = (struct json_error){(size_t)(at - reader->scan.start), reason};
}

/* Writes `code` as UTF-8 (RFC 3629 section 3) and returns its size. */
static size_t write_utf8(uint32_t code, char to[4])
{
    static const struct {
        uint32_t below;
        unsigned char lead;
    } forms[] = {{0x80, 0x00}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
    size_t more = 0;

    while (code >= forms[more].below)
        more++;
    for (size_t i = more; i > 0; i--, code >>= 6)
        to[i] = (char)(unsigned char)(0x80 | (code & 0x3f));
    to[0] = (char)(unsigned char)(forms[more].lead | code);
    return more + 1;
}

/* The character of the \uXXXX, or of the surrogate pair, at `*p`, which moves past it; -1 for half
 * of a pair. */
static int32_t read_unicode_escape(const char **p, const char *end)
{
    int unit = json_hex4(*p + 2);

    *p += 6;
    if (json_is_low_surrogate(unit))
        return -1;
    if (!json_is_high_surrogate(unit))
        return unit;
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return -1;
    int second = json_hex4(*p + 2);
    if (!json_is_low_surrogate(second))
        return -1;
    *p += 6;
    return 0x10000 + ((unit & 0x3ff) << 10 | (second & 0x3ff));
}

/* The character of the escape at `*p`, which moves past it; -1 for half of a pair. */
static int32_t read_escape(const char **p, const char *end)
{
    char c = (*p)[1];

    if (c == 'u')
        return read_unicode_escape(p, end);
    *p += 2;
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* a quote, a backslash or a slash */
    }
}

/* Unescapes the inside of a string that the scanner has taken, \u0000 too. On success `size` is set
 * and the result NULL; otherwise it is the reason why this is no name of a method. */
static const char *unescape(struct bytes inside, char *to, size_t capacity, size_t *size)
{
    const char *p = inside.data;
    const char *const end = p + inside.size;
    size_t used = 0;

    while (p < end) {
        char character[4] = {*p};
        size_t more = 1;
        if (*p == '\\') {
            int32_t code = read_escape(&p, end);
            if (code < 0)
                return "the method's name in \"in\" holds half of a surrogate pair";
            more = write_utf8((uint32_t)code, character);
        } else {
            p++;
        }
        if (more > capacity - used)
            return "the method's name in \"in\" is too long";
        memcpy(to + used, character, more);
        used += more;
    }
    *size = used;
    return NULL;
}

static bool has_escapes(const struct reader *reader, struct bytes inside)
{
    return reader->scan.escapes && memchr(inside.data, '\\', inside.size) != NULL;
}

static struct bytes inside_of(struct bytes string)
{
    return (struct bytes){string.data + 1, string.size - 2};
}

static enum member member_named(struct bytes name)
{
    enum member member = MEMBER_IN;

    while (member < MEMBER_COUNT && !bytes_equal(name, members[member].name))
        member++;
    return member;
}

/* The member that a name (quotes included) stands for; MEMBER_COUNT for any other name. */
static enum member member_of(const struct reader *reader, struct bytes name)
{
    struct bytes plain = inside_of(name);
    enum member member = member_named(plain);
    char buffer[8];
    size_t size;

    if (member != MEMBER_COUNT || !has_escapes(reader, plain))
        return member;
    if (unescape(plain, buffer, sizeof(buffer), &size) != NULL)
        return MEMBER_COUNT;
    return member_named((struct bytes){buffer, size});
}

/* Takes a member's name that has a meaning, written without escapes or white space, and its colon,
 * in one look: nearly every client writes them so. Returns the first byte of its value, or NULL. */
static inline const char *quick_name(const struct json_scan *scan, const char *p,
                                     enum member *member)
{
    if (scan->end - p < 9)
        return NULL;
    if (memcmp(p, "\"in\":", 5) == 0) {
        *member = MEMBER_IN;
        return json_skip_space(p + 5, scan->end);
    }
    if (memcmp(p, "\"params\":", 9) == 0) {
        *member = MEMBER_PARAMS;
        return json_skip_space(p + 9, scan->end);
    }
    return NULL;
}

/* Takes a string without escapes or special characters. Returns its end, or NULL with nothing
 * done. */
static inline const char *quick_string(struct json_scan *scan, const char *p)
{
    if (p == scan->end || *p != '"' || scan->values_left == 0)
        return NULL;
    p = json_skip_plain(p + 1, scan->end);
    if (p == scan->end || *p != '"')
        return NULL;
    scan->values_left--;
    return p + 1;
}

static inline void keep_member(struct reader *reader, enum member member, const char *name,
                               struct bytes value)
{
    if (member == MEMBER_COUNT)
        return;
    if (reader->found[member] == NULL) {
        reader->found[member] = value.data;
        reader->found_size[member] = value.size;
        return;
    }
    note_fault(reader, name, members[member].twice);
    reader->twice[member] = true;
}

/* Takes the outermost object. */
static const char *read_members(struct reader *reader, const char *p)
{
    struct json_scan *scan = &reader->scan;

    p = json_scan_open(scan, p);
    while (p != NULL && scan->depth == 1) {
        const char *start = p;
        enum member member;
        const char *value = quick_name(scan, p, &member);
        if (value == NULL) {
            struct bytes name;
            value = json_scan_name(scan, p, &name);
            if (value == NULL)
                return NULL;
            member = member_of(reader, name);
        }
        p = quick_string(scan, value);
        if (p == NULL)
            p = json_scan_value(scan, value);
        if (p == NULL)
            return NULL;
        keep_member(reader, member, start, (struct bytes){value, (size_t)(p - value)});
        p = json_scan_next(scan, p);
    }
    return p;
}

static inline void read_id(struct reader *reader, struct envelope *envelope)
{
    struct bytes id = {reader->found[MEMBER_ID], reader->found_size[MEMBER_ID]};

    if (id.data == NULL || reader->twice[MEMBER_ID])
        return;
    if (strchr("{[tf", *id.data) != NULL)
        note_fault(reader, id.data, "\"id\" is not a string, a number or null");
    else
        envelope->id = id;
}

static void read_in(struct reader *reader, struct envelope *envelope)
{
    struct bytes in = {reader->found[MEMBER_IN], reader->found_size[MEMBER_IN]};
    const char *reason = NULL;

    if (in.data == NULL) {
        note_fault(reader, reader->object, "the request has no member \"in\"");
        return;
    }
    if (*in.data != '"') {
        note_fault(reader, in.data, "\"in\" is not a string");
        return;
    }
    if (reader->twice[MEMBER_IN])
        return;
    envelope->in = inside_of(in);
    if (has_escapes(reader, envelope->in)) {
        reason = unescape(envelope->in, envelope->in_buffer, METHOD_NAME_MAX, &envelope->in.size);
        envelope->in.data = envelope->in_buffer;
        if (reason == NULL && memchr(envelope->in.data, '\0', envelope->in.size) != NULL)
            reason = "the method's name in \"in\" holds \\u0000";
    } else if (envelope->in.size > METHOD_NAME_MAX) {
        reason = "the method's name in \"in\" is too long";
    }
    if (reason == NULL)
        return;
    note_fault(reader, in.data, reason);
    envelope->in = (struct bytes){NULL, 0};
}

/* The body is bad JSON. The reply gets the request's id if it was read before the fault. An id that
 * the fault follows directly is not used: it may be cut off. */
__attribute__((cold, noinline)) static enum envelope_status
refuse(struct reader *reader, struct envelope *envelope, struct json_error *error)
{
    const char *id = reader->found[MEMBER_ID];

    *error = reader->scan.error;
    if (id != NULL && id + reader->found_size[MEMBER_ID] < reader->scan.start + error->offset)
        read_id(reader, envelope);
    return ENVELOPE_NOT_JSON;
}

enum envelope_status envelope_read(struct bytes body, const struct json_limits *limits,
                                   struct envelope *envelope, struct json_error *error)
{
    struct reader reader;
    const char *p = json_scan_start(&reader.scan, body, limits);
    bool is_object = p < reader.scan.end && *p == '{';

    memset(reader.found, 0, sizeof(reader.found));
    reader.object = p;
    memset(reader.twice, 0, sizeof(reader.twice));
    reader.fault.reason = NULL;
    envelope->in = (struct bytes){NULL, 0};
    envelope->params = (struct bytes){NULL, 0};
    envelope->id = (struct bytes){NULL, 0};

    p = is_object ? read_members(&reader, p) : json_scan_value(&reader.scan, p);
    if (p == NULL || !json_scan_end(&reader.scan, p))
        return refuse(&reader, envelope, error);
    if (!is_object) {
        note_fault(&reader, reader.object, "the request is not an object");
    } else {
        read_id(&reader, envelope);
        read_in(&reader, envelope);
    }
    if (reader.fault.reason != NULL) {
        *error = reader.fault;
        return ENVELOPE_INVALID;
    }
    envelope->params.data = reader.found[MEMBER_PARAMS];
    envelope->params.size = reader.found_size[MEMBER_PARAMS];
    if (envelope->params.data == NULL)
        envelope->params = BYTES("null");
    return ENVELOPE_OK;
}

long json_string_text(struct bytes string, char *to, size_t capacity)
{
    size_t size;

    if (string.size < 2 || string.data[0] != '"' ||
        unescape(inside_of(string), to, capacity, &size) != NULL)
        return -1;
    return (long)size;
}

bool json_has_nul(struct bytes text)
{
    const char *const end = text.data + text.size, *at = text.data;

    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at >= 6 && memcmp(at + 1, "u0000", 5) == 0)
            return true;
        at += 2; /* skip the escaped character, which may be a backslash */
    }
    return false;
}

/* True when a name, quotes included, is this one. */
static bool is_named(struct bytes quoted, struct bytes name)
{
    struct bytes plain = inside_of(quoted);
    char buffer[METHOD_NAME_MAX];
    size_t size;

    if (memchr(plain.data, '\\', plain.size) == NULL)
        return bytes_equal(plain, name);
    return unescape(plain, buffer, sizeof(buffer), &size) == NULL &&
           bytes_equal((struct bytes){buffer, size}, name);
}

struct bytes envelope_member(struct bytes body, struct bytes name)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_scan scan;
    const char *p = json_scan_start(&scan, body, &limits);

    if (p == scan.end || *p != '{')
        return (struct bytes){NULL, 0};
    p = json_scan_open(&scan, p);
    while (p != NULL && scan.depth == 1) {
        struct bytes found;
        const char *value = json_scan_name(&scan, p, &found);
        p = value == NULL ? NULL : json_scan_value(&scan, value);
        if (p == NULL)
            break;
        if (is_named(found, name))
            return (struct bytes){value, (size_t)(p - value)};
        p = json_scan_next(&scan, p);
    }
    return (struct bytes){NULL, 0};
}
