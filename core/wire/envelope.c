/* Envelopes: finding and checking the members of a request that have a meaning. See envelope.h.
 *
 * The members of the outermost object are taken here, one by one, and everything inside them by the
 * scanner, so that finding them costs no second look. A body is read to its end before it is
 * judged: bad JSON anywhere outweighs a bad request, and `id` may come after a bad request's fault.
 */
#include "wire/envelope.h"

#include "wire/json_plain.h"
#include "wire/json_private.h"

enum member { MEMBER_IN, MEMBER_PARAMS, MEMBER_ID, MEMBER_JSONRPC, MEMBER_METHOD, MEMBER_COUNT };

static const struct {
    struct bytes name;
    const char *twice;
} members[MEMBER_COUNT] = {
    [MEMBER_IN] = {{"in", 2}, "the request has the member \"in\" twice"},
    [MEMBER_PARAMS] = {{"params", 6}, "the request has the member \"params\" twice"},
    [MEMBER_ID] = {{"id", 2}, "the request has the member \"id\" twice"},
    [MEMBER_JSONRPC] = {{"jsonrpc", 7}, "the request has the member \"jsonrpc\" twice"},
    [MEMBER_METHOD] = {{"method", 6}, "the request has the member \"method\" twice"},
};

/* Why a member names no method. */
struct name_faults {
    const char *missing, *type, *half, *too_long, *nul;
};

static const struct name_faults faults_of_in = {
    .missing = "the request has no member \"in\"",
    .type = "\"in\" is not a string",
    .half = "the method's name in \"in\" holds half of a surrogate pair",
    .too_long = "the method's name in \"in\" is too long",
    .nul = "the method's name in \"in\" holds \\u0000",
};

static const struct name_faults faults_of_method = {
    .missing = "the request has no member \"method\"",
    .type = "\"method\" is not a string",
    .half = "the method's name in \"method\" holds half of a surrogate pair",
    .too_long = "the method's name in \"method\" is too long",
    .nul = "the method's name in \"method\" holds \\u0000",
};

/* The members that have a meaning in each format. */
#define BIT(member)    (1u << (member))
#define OF_BOTH        (BIT(MEMBER_PARAMS) | BIT(MEMBER_ID))
#define OF_PILLION     (OF_BOTH | BIT(MEMBER_IN))
#define OF_JSONRPC     (OF_BOTH | BIT(MEMBER_JSONRPC) | BIT(MEMBER_METHOD))
#define IS_TWICE(r, m) (((r)->twice & BIT(m)) != 0)

struct reader {
    struct json_scan scan;
    /* Values as they were sent; the first of a name counts. Starts and sizes are apart because
     * reading both as one, just after they were written as two, stalls the processor. */
    const char *found[MEMBER_COUNT];
    size_t found_size[MEMBER_COUNT];
    const char *object;                 /* where the request starts */
    unsigned twice;                     /* bit for bit, of the members that are there twice: */
    const char *twice_at[MEMBER_COUNT]; /* where the second name of such a one starts */
    struct json_error fault; /* the first fault of a request that is JSON; reason NULL for none */
};

static void note_fault(struct reader *reader, const char *at, const char *reason)
{
    if (reader->fault.reason == NULL)
        reader->fault = (struct json_error){(size_t)(at - reader->scan.start), reason};
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
    if (json_unescape(plain, buffer, sizeof(buffer), &size) != JSON_UNESCAPED)
        return MEMBER_COUNT;
    return member_named((struct bytes){buffer, size});
}

/* Takes a member's name that has a meaning, written without escapes or white space, and its colon,
 * in one look: nearly every client writes them so. Returns the first byte of its value, or NULL. */
static inline const char *quick_name(const struct json_scan *scan, const char *p,
                                     enum member *member)
{
    const ptrdiff_t left = scan->end - p;
    size_t size;

    if (left < 6)
        return NULL;
    if (memcmp(p, "\"in\":", size = 5) == 0)
        *member = MEMBER_IN;
    else if (left >= 9 && memcmp(p, "\"params\":", size = 9) == 0)
        *member = MEMBER_PARAMS;
    else if (memcmp(p, "\"id\":", size = 5) == 0)
        *member = MEMBER_ID;
    else if (left >= 9 && memcmp(p, "\"method\":", size = 9) == 0)
        *member = MEMBER_METHOD;
    else if (left >= 10 && memcmp(p, "\"jsonrpc\":", size = 10) == 0)
        *member = MEMBER_JSONRPC;
    else
        return NULL;
    return json_skip_space(p + size, scan->end);
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
    if (!IS_TWICE(reader, member))
        reader->twice_at[member] = name;
    reader->twice |= BIT(member);
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

/* Notes the first second name of a member with a meaning in this format. */
__attribute__((cold, noinline)) static void note_twice(struct reader *reader, unsigned of_format)
{
    enum member first = MEMBER_COUNT;

    for (enum member member = 0; member < MEMBER_COUNT; member++) {
        if ((reader->twice & of_format & BIT(member)) != 0 &&
            (first == MEMBER_COUNT || reader->twice_at[member] < reader->twice_at[first]))
            first = member;
    }
    if (first != MEMBER_COUNT)
        note_fault(reader, reader->twice_at[first], members[first].twice);
}

static inline struct bytes value_of(const struct reader *reader, enum member member)
{
    return (struct bytes){reader->found[member], reader->found_size[member]};
}

static inline void read_id(struct reader *reader, struct envelope *envelope)
{
    struct bytes id = value_of(reader, MEMBER_ID);

    if (id.data == NULL || IS_TWICE(reader, MEMBER_ID))
        return;
    if (strchr("{[tf", *id.data) != NULL)
        note_fault(reader, id.data, "\"id\" is not a string, a number or null");
    else
        envelope->id = id;
}

/* Unescapes the method's name into the envelope. NULL, or why it is none. */
static const char *unescape_name(struct envelope *envelope, const struct name_faults *faults)
{
    enum json_unescaped result =
        json_unescape(envelope->in, envelope->in_buffer, METHOD_NAME_MAX, &envelope->in.size);

    envelope->in.data = envelope->in_buffer;
    if (result != JSON_UNESCAPED)
        return result == JSON_UNESCAPED_HALF ? faults->half : faults->too_long;
    return memchr(envelope->in.data, '\0', envelope->in.size) == NULL ? NULL : faults->nul;
}

/* Takes the method's name from `member`. */
static inline void read_name(struct reader *reader, struct envelope *envelope, enum member member,
                             const struct name_faults *faults)
{
    struct bytes in = value_of(reader, member);
    const char *reason = NULL;

    if (in.data == NULL) {
        note_fault(reader, reader->object, faults->missing);
        return;
    }
    if (*in.data != '"') {
        note_fault(reader, in.data, faults->type);
        return;
    }
    if (IS_TWICE(reader, member))
        return;
    envelope->in = inside_of(in);
    if (has_escapes(reader, envelope->in))
        reason = unescape_name(envelope, faults);
    else if (envelope->in.size > METHOD_NAME_MAX)
        reason = faults->too_long;
    if (reason == NULL)
        return;
    note_fault(reader, in.data, reason);
    envelope->in = (struct bytes){NULL, 0};
}

static bool is_version_2(struct bytes value)
{
    char text[4];

    return json_string_text(value, text, sizeof(text)) == 3 && memcmp(text, "2.0", 3) == 0;
}

/* The object has a member `jsonrpc`. Not inlined: Pillion's own format would pay for it. */
__attribute__((noinline)) static void read_jsonrpc(struct reader *reader, struct envelope *envelope)
{
    struct bytes version = value_of(reader, MEMBER_JSONRPC);
    const char *params = reader->found[MEMBER_PARAMS];

    envelope->format = ENVELOPE_JSONRPC;
    if (reader->twice != 0)
        note_twice(reader, OF_JSONRPC);
    if (!is_version_2(version))
        note_fault(reader, version.data, "\"jsonrpc\" is not \"2.0\"");
    read_id(reader, envelope);
    read_name(reader, envelope, MEMBER_METHOD, &faults_of_method);
    if (params != NULL && *params != '{' && *params != '[')
        note_fault(reader, params, "\"params\" is neither an object nor an array");
    envelope->notifies = reader->fault.reason == NULL && envelope->id.data == NULL;
}

/* The body is bad JSON. The reply gets the request's id if it was read before the fault. An id that
 * the fault follows directly is not used: it may be cut off. */
__attribute__((cold, noinline)) static enum envelope_status
refuse(struct reader *reader, struct envelope *envelope, struct json_error *error)
{
    const char *id = reader->found[MEMBER_ID];
    bool is_batch = reader->object < reader->scan.end && *reader->object == '[';

    *error = reader->scan.error;
    if (is_batch || reader->found[MEMBER_JSONRPC] != NULL)
        envelope->format = ENVELOPE_JSONRPC;
    if (id != NULL && id + reader->found_size[MEMBER_ID] < reader->scan.start + error->offset)
        read_id(reader, envelope);
    return ENVELOPE_NOT_JSON;
}

/* The body is JSON, and no object. */
__attribute__((cold, noinline)) static enum envelope_status
read_other(const struct reader *reader, struct envelope *envelope, struct json_error *error)
{
    const char *p = reader->object;
    bool is_array = *p == '[';

    *error = (struct json_error){(size_t)(p - reader->scan.start), "the request is not an object"};
    if (!is_array)
        return ENVELOPE_INVALID;
    envelope->format = ENVELOPE_JSONRPC;
    if (*json_skip_space(p + 1, reader->scan.end) != ']')
        return ENVELOPE_BATCH;
    error->reason = "the batch has no elements";
    return ENVELOPE_INVALID;
}

enum envelope_status envelope_read(struct bytes body, const struct json_limits *limits,
                                   struct envelope *envelope, struct json_error *error)
{
    struct reader reader;
    const char *p = json_scan_start(&reader.scan, body, limits);
    bool is_object = p < reader.scan.end && *p == '{';

    memset(reader.found, 0, sizeof(reader.found));
    reader.object = p;
    reader.twice = 0;
    reader.fault.reason = NULL;
    envelope->in = (struct bytes){NULL, 0};
    envelope->params = (struct bytes){NULL, 0};
    envelope->id = (struct bytes){NULL, 0};
    envelope->format = ENVELOPE_PILLION;
    envelope->notifies = false;

    p = is_object ? read_members(&reader, p) : json_scan_value(&reader.scan, p);
    if (p == NULL || !json_scan_end(&reader.scan, p))
        return refuse(&reader, envelope, error);
    if (!is_object)
        return read_other(&reader, envelope, error);
    if (reader.found[MEMBER_JSONRPC] != NULL) {
        read_jsonrpc(&reader, envelope);
    } else {
        if (reader.twice != 0)
            note_twice(&reader, OF_PILLION);
        read_id(&reader, envelope);
        read_name(&reader, envelope, MEMBER_IN, &faults_of_in);
    }
    if (reader.fault.reason != NULL) {
        *error = reader.fault;
        return ENVELOPE_INVALID;
    }
    envelope->params = value_of(&reader, MEMBER_PARAMS);
    if (envelope->params.data == NULL)
        envelope->params = BYTES("null");
    return ENVELOPE_OK;
}

static const struct json_limits no_limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};

/* The first byte of the next element or member: `*at` is 0, or the place of the comma before it.
 * NULL at the bracket behind the last one. An empty array or object has its bracket there. */
static const char *walk_on(struct json_scan *scan, struct bytes text, size_t at)
{
    const char *start = json_scan_start(scan, text, &no_limits);
    const char *p = at == 0 ? start : text.data + at;

    if (at != 0 && *p != ',')
        return NULL;
    return json_skip_space(p + 1, scan->end);
}

bool envelope_next(struct bytes array, size_t *at, struct bytes *element)
{
    struct json_scan scan;
    const char *p = walk_on(&scan, array, *at);
    const char *end = p == NULL || *p == ']' ? NULL : json_scan_value(&scan, p);

    if (end == NULL)
        return false;
    *element = (struct bytes){p, (size_t)(end - p)};
    *at = (size_t)(json_skip_space(end, scan.end) - array.data);
    return true;
}

bool envelope_next_member(struct bytes object, size_t *at, struct bytes *name, struct bytes *value)
{
    struct json_scan scan;
    const char *p = walk_on(&scan, object, *at);

    p = p == NULL || *p == '}' ? NULL : json_scan_name(&scan, p, name);
    const char *end = p == NULL ? NULL : json_scan_value(&scan, p);
    if (end == NULL)
        return false;
    *value = (struct bytes){p, (size_t)(end - p)};
    *at = (size_t)(json_skip_space(end, scan.end) - object.data);
    return true;
}

enum envelope_status envelope_read_element(struct bytes element, const struct json_limits *limits,
                                           struct envelope *envelope, struct json_error *error)
{
    enum envelope_status status = envelope_read(element, limits, envelope, error);

    if (status == ENVELOPE_NOT_JSON ||
        (status != ENVELOPE_BATCH && envelope->format == ENVELOPE_JSONRPC))
        return status;
    if (status == ENVELOPE_OK || (status == ENVELOPE_INVALID && *element.data == '{'))
        *error = (struct json_error){0, "the request has no member \"jsonrpc\""};
    else if (status == ENVELOPE_BATCH)
        *error = (struct json_error){0, "an element of a batch is an array"};
    envelope->format = ENVELOPE_JSONRPC;
    envelope->in = envelope->params = (struct bytes){NULL, 0};
    return ENVELOPE_INVALID;
}

/* True when a name, quotes included, is this one. */
static bool is_named(struct bytes quoted, struct bytes name)
{
    struct bytes plain = inside_of(quoted);
    char buffer[METHOD_NAME_MAX];
    size_t size;

    if (memchr(plain.data, '\\', plain.size) == NULL)
        return bytes_equal(plain, name);
    return json_unescape(plain, buffer, sizeof(buffer), &size) == JSON_UNESCAPED &&
           bytes_equal((struct bytes){buffer, size}, name);
}

struct bytes envelope_member(struct bytes body, struct bytes name)
{
    struct json_scan scan;
    const char *p = json_scan_start(&scan, body, &no_limits);

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
